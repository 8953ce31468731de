// Tests the package as users get it: packs it, looks at what is in the tarball, installs it into an empty project and runs a
// program there that resumes sessions, with no compiler on PATH, on each OpenSSL (scripts/roots.mjs) and Node.js.
// Needs the prebuilt addons (`npm run prebuilds`).
//
//   node scripts/test-package.mjs [--node=20,22,24,26] [ROOT ...]

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { libcOfArm64, system as muslSystem, nodeForMusl } from './musl.mjs'
import { emulatedNode, entering, inside, makeRoot, roots } from './roots.mjs'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(packageFolder)
const folder = join('build', 'package')
const project = join(folder, 'project')
const bare = join(folder, 'bare')

/** Bounds in bytes: of the tarball, and of what it becomes. */
const limits = { size: 13_000_000, unpackedSize: 32_000_000 }
const allowed = [
  /^(LICENSE|README\.md|CHANGELOG\.md|package\.json|binding\.gyp)$/,
  /^dist\/.+(?<!\.test)\.(js|d\.ts)$/,
  /^native\/(addon\.cc|\w+\.mjs|exports\.map|(bind|engine|openssl|session)\/\w+\.(h|cc))$/,
  /^prebuilds\/linux-(x64|arm64)\/(libssl\.so\.(1\.1|3|4)|static(\.musl)?)\.node$/,
]
/** The prebuilt addon that each root must end up with. */
const expected = {
  '1.1.1': 'libssl.so.1.1',
  '3.0': 'libssl.so.3',
  3.5: 'libssl.so.3',
  3.6: 'libssl.so.3',
  '4.0': 'libssl.so.4',
}

const output = (command, args, options) => execFileSync(command, args, { encoding: 'utf8', ...options })

function pack() {
  const args = ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', folder]
  const parsed = JSON.parse(output('npm', args))
  const [{ filename, files, size, unpackedSize }] = Array.isArray(parsed) ? parsed : Object.values(parsed)
  const names = files.map(({ path }) => path)
  assert.deepEqual(
    names.filter((name) => !allowed.some((pattern) => pattern.test(name))),
    [],
    'nothing that has no business in the package',
  )
  for (const name of ['dist/index.js', 'dist/libssl.d.ts', 'native/install.mjs', 'native/build.mjs', 'CHANGELOG.md']) {
    assert.ok(names.includes(name), `${name} is in the package`)
  }
  for (const name of new Set(Object.values(expected)).add('static').add('static.musl')) {
    for (const arch of ['x64', 'arm64']) {
      const file = `prebuilds/linux-${arch}/${name}.node`
      assert.ok(names.includes(file), `${file} is in the package: \`npm run prebuilds\``)
    }
  }
  assert.ok(size <= limits.size && unpackedSize <= limits.unpackedSize, `${size} and ${unpackedSize} bytes`)
  console.log(
    `${names.length} files, ${(size / 1e6).toFixed(1)} MB packed, ${(unpackedSize / 1e6).toFixed(1)} MB unpacked`,
  )
  return join(folder, basename(filename))
}

async function lint(tarball) {
  const bytes = readFileSync(tarball)
  const { messages, pkg } = await publint({
    pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) },
    strict: true,
  })
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg)),
    [],
    'publint has nothing to say',
  )
  console.log('publint: nothing to say')
}

/** An empty project with the package in it, whose install scripts have not run. */
function install(tarball) {
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
  const types = `@types/node@${JSON.parse(readFileSync('package.json', 'utf8')).devDependencies['@types/node']}`
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  output('npm', [...args, types, join('..', basename(tarball))], { cwd: project })
  for (const name of ['consumer.mjs', 'consumer.cjs', 'consumer.ts', 'consumer.cts', 'trust.mjs']) {
    copyFileSync(join('test', 'package', name), join(project, name))
  }
  const request = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost'
  output('openssl', [...request.split(' '), '-keyout', 'key.pem', '-out', 'cert.pem'], { cwd: project, stdio: 'pipe' })
  // All the programs that there are but node: no compiler, no make, no python.
  mkdirSync(join(folder, 'bin'), { recursive: true })
  symlinkSync('/bin/sh', join(folder, 'bin', 'sh'))
}

function checkTypes() {
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc')
  for (const [module, moduleResolution, ...files] of [
    ['node16', 'node16', 'consumer.ts'],
    ['nodenext', 'nodenext', 'consumer.ts', 'consumer.cts'],
    ['esnext', 'bundler', 'consumer.ts'],
  ]) {
    const compilerOptions = { module, moduleResolution, strict: true, noEmit: true, target: 'es2023', types: ['node'] }
    const lib = ['es2023', 'esnext.disposable']
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...compilerOptions, lib }, files }),
    )
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', '.'], { cwd: project, encoding: 'utf8' })
    assert.equal(status, 0, stdout)
    console.log(`types: good with moduleResolution ${moduleResolution} (${files.join(', ')})`)
  }
}

/** A bundle that leaves the package, and so the addon, where it is. */
function bundle() {
  // Not by Node.js: where npm ran its install script, it is no JavaScript.
  const esbuild = join('node_modules', '.bin', 'esbuild')
  const options = ['--bundle', '--platform=node', '--format=esm', '--packages=external', '--log-level=warning']
  output(esbuild, [join(project, 'consumer.mjs'), ...options, `--outfile=${join(project, 'bundle.mjs')}`])
}

const all = { 'TLSv1.2, inline': true, 'TLSv1.3, inline': true, 'TLSv1.2, engine': true, 'TLSv1.3, engine': true }

/** What runs a command in the project, in a root, and returns its output. */
function runner(root, node) {
  const bin = join(inside, folder, 'bin')
  const place = join(inside, project)
  return (command, env = {}) => {
    const [, args] = entering(root, ['env', '-C', place, ...command], { node, env })
    const path = args.findIndex((arg) => /^PATH=/.test(arg))
    args[path] = args[path].replace(/(:[^:]*bin)+$/, `:${bin}`)
    args[args.indexOf('env', path)] = '/usr/bin/env'
    const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' })
    assert.equal(status, 0, `${command.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
}

function checkIn(root, node) {
  const run = runner(root, node)
  const look = 'for name in cc c++ gcc g++ clang clang++ make python3; do command -v $name; done; true'
  assert.equal(run(['sh', '-c', look]), '')
  // What npm would have run. It says nothing, because there is nothing to do.
  assert.equal(run(['node', 'node_modules/openssl-session/native/install.mjs']), '')
  const report = JSON.parse(run(['node', 'consumer.mjs']))
  assert.deepEqual(report.resumed, all)
  assert.equal(basename(report.runtime.addon), `${expected[root]}.node`)
  assert.ok(report.runtime.libraryVersion.startsWith(root))
  assert.deepEqual(JSON.parse(run(['node', 'bundle.mjs'])).resumed, all)
  const common = JSON.parse(run(['node', 'consumer.cjs']))
  assert.deepEqual(common, { kinds: ['function', 'function'], same: true, linkage: 'shared' })
  const permission = Number(node) < 22 ? '--experimental-permission' : '--permission'
  const permitted = [permission, '--allow-addons', '--allow-fs-read=*', 'consumer.mjs']
  if (Number(node) >= 25) permitted.unshift('--allow-net')
  assert.deepEqual(JSON.parse(run(['node', ...permitted])).resumed, all)
  let also = ''
  // Debian 11's C library is below the floor of the static one.
  if (root !== '1.1.1') {
    const own = JSON.parse(run(['node', 'consumer.mjs'], { OPENSSL_SESSION_LIBSSL: 'static' }))
    assert.deepEqual([own.resumed, own.runtime.linkage], [all, 'static'])
    also = `, and static (${own.runtime.libraryVersion})`
  }
  const { libraryVersion, addon } = report.runtime
  console.log(`OpenSSL ${libraryVersion}, Node.js ${report.node}: ${basename(addon)}${also}`)
}

/** With OpenSSL inside, on systems whose certificates are elsewhere than on the one it was built on. */
function checkTrustIn(root, node) {
  const run = runner(root, node)
  const trusted = (bundle) => {
    const script = `for folder in /usr/lib/ssl /etc/ssl /etc/pki; do
        /bin/mkdir -p $folder && /bin/mount -t tmpfs none $folder || exit
      done
      if [ "$1" ]; then /bin/mkdir -p "\${1%/*}" && /bin/cp cert.pem "$1" || exit; fi
      exec node trust.mjs`
    const { authorized, linkage } = JSON.parse(
      run(['sh', '-c', script, 'sh', bundle], { OPENSSL_SESSION_LIBSSL: 'static' }),
    )
    assert.equal(linkage, 'static')
    return authorized
  }
  const bundles = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']
  assert.deepEqual(bundles.map(trusted), [true, true, true])
  assert.equal(trusted(''), false)
  console.log('static: trusts what Debian, RHEL and Alpine trust')
}

/** A project that left the optional dependencies out. */
function installWithoutOptional(tarball) {
  mkdirSync(bare, { recursive: true })
  writeFileSync(join(bare, 'package.json'), '{ "private": true, "type": "module" }\n')
  const args = ['install', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  output('npm', [...args, join('..', basename(tarball))], { cwd: bare })
}

/** Only what needs the optional dependencies fails, and says so. */
function checkWithoutOptional(root, node) {
  const program = `
    import { LmdbSessionStore, MemorySessionStore } from 'openssl-session/stores'
    import { createServer } from 'openssl-session'
    createServer({ sessionStore: new MemorySessionStore() })
    try { new LmdbSessionStore('sessions.mdb') } catch ({ code, message }) { console.log(code, message) }`
  // Not where it is, because Node.js would find the checkout's packages above it.
  const script = `/bin/mount --bind ${join(inside, bare)} /mnt && cd /mnt && exec node --input-type=module --eval "$1"`
  assert.match(runner(root, node)(['sh', '-c', script, 'sh', program]), /^ERR_STORE_UNAVAILABLE .*npm install lmdb/)
  console.log('without optional dependencies: ERR_STORE_UNAVAILABLE from LmdbSessionStore, and no more')
}

/** The same program and the addons of arm64, by an emulator, with the arm64 libraries of the root. */
function checkArm64In(root, node) {
  const run = runner(root)
  const program = [...emulatedNode(root, node), 'consumer.mjs']
  const report = JSON.parse(run(program))
  assert.deepEqual(report.resumed, all)
  assert.match(report.runtime.addon, new RegExp(`/prebuilds/linux-arm64/${expected[root]}\\.node$`))
  assert.ok(report.runtime.libraryVersion.startsWith(root))
  assert.match(report.runtime.libssl, /aarch64/)
  const own = root === '1.1.1' ? null : JSON.parse(run(program, { OPENSSL_SESSION_LIBSSL: 'static' }))
  if (own) assert.deepEqual([own.resumed, own.runtime.linkage], [all, 'static'])
  const { libraryVersion } = report.runtime
  console.log(
    `OpenSSL ${libraryVersion}, Node.js ${report.node} of arm64: ${expected[root]}${own ? ', and static' : ''}`,
  )
}

/** The same program with Node.js for musl, which finds the addon for musl among the others. */
function checkMusl() {
  const run = runner(muslSystem)
  const program = [...nodeForMusl(), 'consumer.mjs']
  const report = JSON.parse(run(program))
  assert.deepEqual(report.resumed, all)
  assert.match(report.runtime.addon, /\/prebuilds\/linux-x64\/static\.musl\.node$/)
  assert.deepEqual([report.runtime.linkage, report.runtime.asyncJobs], ['static', false])
  const refused = run(['sh', '-c', '"$@" 2>&1 || true', 'sh', ...program], { OPENSSL_SESSION_LIBSSL: 'libssl.so.3' })
  assert.match(refused, /ERR_ADDON_NOT_BUILT/)
  console.log(`musl, Node.js ${report.node}: static.musl (${report.runtime.libraryVersion})`)
}

/** That of arm64 cannot be run, because there is no Node.js: all that it asks for must be in musl of arm64 or in Node.js. */
function checkMuslOfArm64() {
  const symbols = (file, which) =>
    output('nm', ['--dynamic', '--format=just-symbols', `--${which}-only`, file], { maxBuffer: 2 ** 26 }).split('\n')
  const [node] = nodeForMusl().map((path) => path.replace(`${inside}/`, ''))
  const offered = new Set([libcOfArm64(), node].flatMap((file) => symbols(file, 'defined')))
  const wanted = symbols('prebuilds/linux-arm64/static.musl.node', 'undefined').filter((name) => name)
  assert.ok(wanted.includes('napi_create_object') && wanted.includes('malloc'))
  assert.deepEqual(
    wanted.filter((name) => !offered.has(name)),
    [],
  )
  console.log(`musl of arm64: the ${wanted.length} functions that static.musl needs are there`)
}

try {
  const args = process.argv.slice(2)
  const nodes = args
    .find((arg) => arg.startsWith('--node='))
    ?.slice('--node='.length)
    .split(',') ?? ['20', '22', '24', '26']
  const names = args.filter((arg) => !arg.startsWith('--'))
  if (!existsSync('dist')) throw new Error('Build first: `npm run build`.')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const tarball = pack()
  await lint(tarball)
  install(tarball)
  checkTypes()
  bundle()
  installWithoutOptional(tarball)
  for (const root of names.length > 0 ? names : Object.keys(roots)) {
    makeRoot(root)
    for (const node of nodes) checkIn(root, node)
    if (root === '3.0') {
      checkTrustIn(root, nodes[0])
      checkWithoutOptional(root, nodes[0])
    }
    if (root === muslSystem) {
      checkMusl()
      checkMuslOfArm64()
    }
    checkArm64In(root, nodes[0])
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
