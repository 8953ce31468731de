// The addon runs on the system's OpenSSL, compiled with the system's headers, or not at all. Every claim is checked in a
// fresh process, against what the system's own tools say.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Runtime, runtime } from 'openssl-session/libssl'
import { addonFile } from './lifecycle/run.js'
import { sanitized } from './support/sanitizer.js'
import { isPrebuilt } from './support/versions.js'

const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const addon = resolve(addonFile())
/** Whether the addon is that of node-gyp's build, whose records tell how it was compiled. */
const isBuiltHere = addon === join(packageFolder, 'build', 'Release', 'openssl_session.node')
const nodeHeaders = join(dirname(realpathSync(process.execPath)), '..', 'include', 'node')

const output = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8' }).trim()
const pkgConfig = (question: string) => output('pkg-config', question, 'openssl')

/** Runs a module in a new process, in `cwd`. It reports by printing JSON, or the error it ended with. */
function runFresh<T>(source: string, env: NodeJS.ProcessEnv = {}, cwd = packageFolder): T {
  const body = `
    const report = async () => { ${source} }
    const failed = ({ code, message }) => ({ code, message })
    console.log(JSON.stringify(await report().catch(failed)))`
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', body], {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

interface Failure {
  code: string
  message: string
}

const importIt = "await import('openssl-session/libssl')"

/** The file that the dynamic loader takes for a library's name. */
function ldconfigFile(soname: string): string {
  const ldconfig = ['/sbin/ldconfig', '/usr/sbin/ldconfig'].find((path) => existsSync(path)) ?? 'ldconfig'
  const line = output(ldconfig, '-p')
    .split('\n')
    .find((line) => line.trim().startsWith(`${soname} `))
  assert.ok(line, `ldconfig knows ${soname}`)
  return realpathSync(line.slice(line.indexOf('=> ') + 3))
}

/** The name under which the addon asks the dynamic loader for a library. */
function neededName(library: string): string {
  const name = output('readelf', '-d', addon).match(new RegExp(`NEEDED.*\\[(${library}\\.so[^\\]]*)\\]`))?.[1]
  assert.ok(name, `the addon is linked with ${library}`)
  return name
}

describe('The OpenSSL in use', () => {
  before(function () {
    // A static build has no library of the system's to compare with; what it carries is checked when it loads.
    if (runtime().linkage === 'static') this.skip()
  })

  for (const library of ['libssl', 'libcrypto'] as const) {
    it(`is the ${library} that ldconfig and pkg-config name, and not the one inside Node`, () => {
      const { info, maps } = runFresh<{ info: Runtime; maps: string }>(`
        const { runtime } = ${importIt}
        const { readFileSync } = await import('node:fs')
        return { info: runtime(), maps: readFileSync('/proc/self/maps', 'utf8') }`)
      const file = info[library]
      assert.equal(file, ldconfigFile(neededName(library)))
      assert.equal(file, realpathSync(join(pkgConfig('--variable=libdir'), `${library}.so`)))
      assert.notEqual(file, realpathSync(process.execPath))
      const mapped = new Set(maps.match(new RegExp(`/\\S*${library}\\.so\\S*(?<!\\.node)$`, 'gm')))
      assert.deepEqual([...mapped], [file], 'no second copy is loaded')
    })
  }

  it('has the version that its own program prints', () => {
    // 1.1.1 names the library's version only where it is not its own.
    const printed = output('openssl', 'version')
    const version = printed.match(/Library: (\S+ \S+)/)?.[1] ?? printed.split(' ').slice(0, 2).join(' ')
    assert.equal(`OpenSSL ${runtime().libraryVersion}`, version)
    assert.equal(runtime().nodeOpenSSL, process.versions.openssl)
  })

  it('says whether lookups can pause a handshake', () => {
    const asyncJobs = `const { runtime } = ${importIt}; return runtime().asyncJobs`
    assert.equal(runFresh(asyncJobs, { OPENSSL_SESSION_ASYNC: '1' }), true)
    assert.equal(runFresh(asyncJobs, { OPENSSL_SESSION_ASYNC: '0' }), false)
  })
})

describe('The headers that the addon was compiled with', () => {
  /** The compiler's command line without files, from the build itself. */
  function compilation(): string[] {
    const record = join(
      packageFolder,
      'build/Release/.deps/Release/obj.target/openssl_session/build/units/openssl-1.o.d',
    )
    const command = readFileSync(record, 'utf8').match(/^cmd_\S+ := (.*)$/m)?.[1]
    assert.ok(command)
    const kept = command.replace(/ -MMD -MF \S+| -o \S+| -c\b/g, '').replaceAll("'", '')
    return kept.split(' ').filter((word) => word !== '' && !word.endsWith('.cc'))
  }

  function compile(flags: string[]) {
    const [compiler = '', ...own] = compilation()
    const args = [...flags, ...own, '-Wfatal-errors', '../native/openssl/runtime.cc']
    return spawnSync(compiler, args, { cwd: join(packageFolder, 'build'), encoding: 'utf8' })
  }

  it('have the version that pkg-config names, which is also the least that the library may have', function () {
    if (isPrebuilt) this.skip()
    const { headerVersion, headerVersionNumber, libraryVersionNumber } = runtime()
    assert.equal(headerVersion, pkgConfig('--modversion'))
    assert.ok(libraryVersionNumber >= headerVersionNumber)
  })

  it('are none of those that Node ships, by the list that the compiler makes of the files it reads', function () {
    if (!isBuiltHere) this.skip()
    const { stdout, stderr, status } = compile(['-M'])
    assert.equal(status, 0, stderr)
    const ours = join(packageFolder, 'native')
    const files = stdout
      .split(/[\s\\]+/)
      .map((file) => resolve(packageFolder, 'build', file))
      .filter((file) => /\/openssl\/\w+\.h$/.test(file) && !file.startsWith(ours))
    assert.ok(files.some((file) => file.endsWith('/openssl/ssl.h')))
    const includeFolder = pkgConfig('--variable=includedir')
    for (const file of files) {
      assert.ok(file.startsWith(includeFolder), file)
      assert.ok(!realpathSync(file).startsWith(nodeHeaders), file)
    }
  })

  it("stop the build when Node's copy is on the include path", function () {
    if (!isBuiltHere || !existsSync(join(nodeHeaders, 'openssl', 'ssl.h'))) this.skip()
    for (const flag of ['-I', '-idirafter']) {
      const { stderr, status } = compile(['-fsyntax-only', `${flag}${nodeHeaders}`])
      assert.notEqual(status, 0, flag)
      assert.match(stderr, /Node's copy of OpenSSL's headers is on the include path/, flag)
    }
  })
})

describe('Loading the addon', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-isolation-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const plainLoads = {
    'process.dlopen without RTLD_DEEPBIND': `
      const { constants } = await import('node:os')
      process.dlopen({ exports: {} }, ${JSON.stringify(addon)}, constants.dlopen.RTLD_NOW)`,
    'require()': `
      const { createRequire } = await import('node:module')
      createRequire(process.cwd() + '/')(${JSON.stringify(addon)})`,
  }
  for (const [how, source] of Object.entries(plainLoads)) {
    it(`is refused with ERR_OPENSSL_INTERPOSED when Node's functions come first, as with ${how}`, function () {
      if (runtime().linkage === 'static') this.skip()
      const { code, message } = runFresh<Failure>(source)
      assert.equal(code, 'ERR_OPENSSL_INTERPOSED')
      assert.match(message, /inside Node itself.*import 'openssl-session'/)
    })
  }

  it('is refused with ERR_OPENSSL_INTERPOSED after a load without isolation, because the loader keeps its bindings', function () {
    if (runtime().linkage === 'static') this.skip()
    const { code } = runFresh<Failure>(`
      try { ${plainLoads['require()']} } catch {}
      ${importIt}`)
    assert.equal(code, 'ERR_OPENSSL_INTERPOSED')
  })

  it("is refused with ERR_OPENSSL_INTERPOSED when libssl was loaded before and is tied to Node's libcrypto", function () {
    if (runtime().linkage === 'static') this.skip()
    const { code, message } = runFresh<Failure>(importIt, { LD_PRELOAD: runtime().libssl })
    assert.equal(code, 'ERR_OPENSSL_INTERPOSED')
    assert.match(message, /LD_PRELOAD/)
  })

  it('is refused with ERR_OPENSSL_VERSION_MISMATCH when the library is older than the headers', function () {
    if (runtime().linkage === 'static' || !(process.arch in functionReturning)) this.skip()
    // Functions come with minor versions, so that is what counts: an older patch of the same is good enough.
    const older = runtime().headerVersionNumber - 0x10_0000
    const name = neededName('libcrypto')
    writeFileSync(join(folder, name), withVersionNumber(readFileSync(runtime().libcrypto), older))
    const { code, message } = runFresh<Failure>(importIt, { LD_LIBRARY_PATH: folder })
    assert.equal(code, 'ERR_OPENSSL_VERSION_MISMATCH')
    assert.ok(message.includes(join(folder, name)), message)
    assert.ok(message.includes(runtime().headerVersion), message)
  })

  it('accepts an older patch of the version that the headers have, since both promise the same functions', function () {
    if (runtime().linkage === 'static' || !(process.arch in functionReturning)) this.skip()
    const { headerVersionNumber } = runtime()
    const patch = headerVersionNumber >= 0x3000_0000 ? 0xf_fff0 : 0xff0
    const older = (headerVersionNumber & ~patch) >>> 0
    writeFileSync(join(folder, neededName('libcrypto')), withVersionNumber(readFileSync(runtime().libcrypto), older))
    const loaded = runFresh<Runtime>(`return (${importIt}).runtime()`, { LD_LIBRARY_PATH: folder })
    assert.equal(loaded.libraryVersionNumber, older)
    assert.equal(loaded.headerVersionNumber, headerVersionNumber)
  })

  it('fails with ERR_ADDON_NOT_BUILT, naming the command that builds it, when it is missing', () => {
    cpSync(join(packageFolder, 'dist'), join(folder, 'copy', 'dist'), { recursive: true })
    copyFileSync(join(packageFolder, 'package.json'), join(folder, 'copy', 'package.json'))
    const { code, message } = runFresh<Failure>(importIt, { OPENSSL_SESSION_BUILD: '' }, join(folder, 'copy'))
    assert.equal(code, 'ERR_ADDON_NOT_BUILT')
    assert.ok(message.includes(join(realpathSync(folder), 'copy', 'build', 'Release')), message)
    assert.match(message, /npm run build/)
  })

  it('takes the addon that OPENSSL_SESSION_BUILD names', () => {
    const copy = join(folder, 'another.node')
    const load = `const { runtime } = ${importIt}; return runtime()`
    assert.equal(runFresh<Failure>(load, { OPENSSL_SESSION_BUILD: copy }).code, 'ERR_ADDON_NOT_BUILT')
    copyFileSync(addon, copy)
    // A static build is its own libssl.
    const file = realpathSync(copy)
    const inside = runtime().linkage === 'static' ? { libssl: file, libcrypto: file } : {}
    assert.deepEqual(runFresh(load, { OPENSSL_SESSION_BUILD: copy }), { ...runtime(), addon: file, ...inside })
    const { code, message } = runFresh<Failure>(load, { OPENSSL_SESSION_BUILD: 'NoSuchBuild' })
    assert.equal(code, 'ERR_ADDON_NOT_BUILT')
    assert.ok(message.includes(join('build', 'NoSuchBuild')), message)
  })

  it('fails with ERR_ADDON_NOT_LOADABLE when the file is damaged', () => {
    const damaged = join(folder, 'damaged.node')
    writeFileSync(damaged, 'not a shared library')
    const { code, message } = runFresh<Failure>(importIt, { OPENSSL_SESSION_BUILD: damaged })
    assert.equal(code, 'ERR_ADDON_NOT_LOADABLE')
    assert.ok(message.includes(damaged), message)
  })

  it('works twice in one process', () => {
    // Sanitizers end the process at RTLD_DEEPBIND; lib/native.ts does without it too.
    const isolation = sanitized ? '' : ' | constants.dlopen.RTLD_DEEPBIND'
    const [first, second] = runFresh<Runtime[]>(`
      const { runtime } = ${importIt}
      const { constants } = await import('node:os')
      const again = { exports: {} }
      process.dlopen(again, ${JSON.stringify(addon)}, constants.dlopen.RTLD_NOW${isolation})
      return [runtime(), again.exports.runtime()]`)
    assert.deepEqual(first, runtime())
    assert.deepEqual(second, first)
  })

  it('works in ten worker threads at once, each with contexts of its own', () => {
    const reports = runFresh<Runtime[]>(`
      const { Worker } = await import('node:worker_threads')
      const source = \`
        import { parentPort } from 'node:worker_threads'
        const { SSL_CTX_new, SSL_CTX_free, TLS_method, runtime } = ${importIt}
        for (let i = 0; i < 100; i++) SSL_CTX_free(SSL_CTX_new(TLS_method()))
        parentPort.postMessage(runtime())\`
      const report = () => new Promise((resolve, reject) => {
        const worker = new Worker(source, { eval: true })
        let info
        worker.on('message', (message) => { info = message })
        worker.on('error', reject)
        worker.on('exit', (code) => code === 0 && info ? resolve(info) : reject(new Error('exit code ' + code)))
      })
      return Promise.all(Array.from({ length: 10 }, report))`)
    assert.equal(reports.length, 10, JSON.stringify(reports))
    for (const report of reports) assert.deepEqual(report, runtime())
  })
})

/** Machine code of a function that takes nothing and returns a 32-bit number. */
const functionReturning: Partial<Record<NodeJS.Architecture, (value: number) => Buffer>> = {
  x64: (value) => Buffer.from([0xb8, ...bytesOf(value), 0xc3]),
  arm64: (value) =>
    Buffer.concat([
      bytesOf(0x52800000 | ((value & 0xffff) << 5)), // movz w0, #low
      bytesOf(0x72a00000 | ((value >>> 16) << 5)), // movk w0, #high, lsl #16
      bytesOf(0xd65f03c0), // ret
    ]),
}

function bytesOf(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

/** A libcrypto that says it has another version: what an older library would answer, with all symbols in place. */
function withVersionNumber(library: Buffer, version: number): Buffer {
  const symbols = output('readelf', '--dyn-syms', '--wide', runtime().libcrypto)
  const address = symbols.match(/: ([0-9a-f]+) .* OpenSSL_version_num(@|$)/m)?.[1]
  const code = functionReturning[process.arch]?.(version)
  assert.ok(address && code, `${basename(runtime().libcrypto)} has OpenSSL_version_num`)
  const patched = Buffer.from(library)
  code.copy(patched, fileOffset(library, Number.parseInt(address, 16)))
  return patched
}

/** Where in a 64-bit ELF file the byte lies that is loaded at an address. */
function fileOffset(elf: Buffer, address: number): number {
  const [table, size, count] = [Number(elf.readBigUInt64LE(0x20)), elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)]
  for (let header = table; header < table + size * count; header += size) {
    const [offset, start, length] = [0x08, 0x10, 0x20].map((field) => Number(elf.readBigUInt64LE(header + field)))
    assert.ok(offset !== undefined && start !== undefined && length !== undefined)
    const isLoaded = elf.readUInt32LE(header) === 1
    if (isLoaded && address >= start && address < start + length) return address - start + offset
  }
  throw new Error(`no segment of the file is loaded at ${address.toString(16)}`)
}
