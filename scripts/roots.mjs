// Systems of other ages, each in a folder under build/roots: a Debian suite with its OpenSSL, for building against and
// for running in. Nothing outside the checkout changes. What is there already is kept.
//
//   node scripts/roots.mjs [1.1.1 3.0 3.5 3.6 4.0]             makes these, or all
//   node scripts/roots.mjs run 3.5 [--node=20] COMMAND ...     runs a command in one, which has the checkout where it is here
//
// They are of x64. Libraries of arm64, a compiler for it and its emulator are added to them when they are wanted.
// Needs Linux, debootstrap and the rights of root (debootstrap, chroot and mounts of its own namespace need them).
// Exits with 69 when these rights or Debian's archive are not to be had here, and with 1 when anything else is wrong.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))
/** A variable in the language of pkg-config's files. */
const variable = (name) => `$\{${name}}`

/** Where the checkout is, seen from inside a root, unless asked otherwise: the same for all who build prebuilt addons. */
export const inside = '/openssl-session'
export const mirror = 'http://deb.debian.org/debian'
const packages = 'ca-certificates cmake curl g++ iproute2 libatomic1 make pkg-config procps python3 redis-server'.split(
  ' ',
)
/** The processors that there are prebuilt addons for, by Node's name, and what GNU's tools and Debian's folders call them. */
const multiarch = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }

/** Where each OpenSSL comes from: `suite` is installed, and OpenSSL taken from another that goes on top of it. */
export const roots = {
  '1.1.1': { suite: 'bullseye', from: 'bullseye-security' },
  '3.0': { suite: 'bookworm', from: 'bookworm-security' },
  3.5: { suite: 'trixie', from: 'trixie-security' },
  3.6: { suite: 'testing' },
  '4.0': { suite: 'unstable', from: 'experimental' },
}

/** Those that addons are built in, and the one that lends all its emulator. */
const crossBuilders = ['1.1.1', '3.0']
const emulatorRoot = '3.0'

const rootFolder = (name) => join(packageFolder, 'build', 'roots', name)

/** What this machine or the network refuses, so that nothing can be said of what was to be tested. */
class Unavailable extends Error {
  exitCode = 69
}

/** How debootstrap and apt say that the archive does not answer, or not with what it promised. */
const archiveFailure =
  /Failed (getting|to fetch)|Couldn't (retrieve|download)|Could(n't| not) (resolve|connect)|Unable to connect|Hash Sum mismatch|Release file .*(expired|not valid)/

/** Runs a command and returns what it printed, and shows what it said if it fails. */
export function run(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    ...options,
  })
  if (status === 0) return stdout
  const said = `${stdout ?? ''}${stderr ?? ''}`
  process.stderr.write(said)
  throw Object.assign(new Error(`\`${[command, ...args].join(' ')}\` failed.`, { cause: error }), { said })
}

/** Throws unless this process may mount and change its root. */
function requireRights() {
  const { status, stderr } = spawnSync(
    'unshare',
    ['--mount', 'sh', '-c', 'mount -t tmpfs none /mnt && chroot / true'],
    {
      encoding: 'utf8',
    },
  )
  if (status !== 0)
    throw new Unavailable(`The rights of root are needed, to mount and to chroot. ${stderr ?? ''}`.trim())
}

/** The folder of the system that has OpenSSL `name`. It is made if it is not there, which takes a minute. */
export function makeRoot(name) {
  const recipe = roots[name]
  if (!recipe) throw new Error(`There is no root for OpenSSL ${name}, but for ${Object.keys(roots).join(', ')}.`)
  const folder = rootFolder(name)
  const stamp = join(folder, '.made-of')
  const wanted = JSON.stringify({ ...recipe, packages })
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  console.error(`Debian ${recipe.suite} with OpenSSL ${name} is made in ${relative(process.cwd(), folder)}`)
  const openssl = ['openssl', 'libssl-dev']
  const include = recipe.from ? packages : [...packages, ...openssl]
  fromArchive(() =>
    run('debootstrap', ['--variant=minbase', `--include=${include.join()}`, recipe.suite, folder, mirror], {
      env: { ...process.env, LC_ALL: 'C' },
    }),
  )
  writeFileSync(join(folder, 'etc', 'hosts'), '127.0.0.1 localhost\n::1 localhost\n')
  if (recipe.from) {
    const archive = recipe.from.endsWith('-security') ? `${mirror}-security` : mirror
    const list = join(folder, 'etc', 'apt', 'sources.list.d', `${recipe.from}.list`)
    writeFileSync(list, `deb ${archive} ${recipe.from} main\n`)
    aptGet(name, 'update')
    aptGet(name, 'install', '-t', recipe.from, ...openssl)
  }
  rmSync(join(folder, 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true })
  writeFileSync(stamp, wanted)
  return folder
}

/** Tells a failure of the archive from others that come while packages are fetched. */
export function fromArchive(fetching) {
  try {
    return fetching()
  } catch (cause) {
    if (!archiveFailure.test(cause.said)) throw cause
    const why = 'There is no network, or the mirror is down or out of step; what it said is above.'
    throw new Unavailable(`Debian's packages could not be had from ${mirror}, so nothing was tested. ${why}`, { cause })
  }
}

/** Signatures are checked as always, but mirrors that are brought up to date seldom are good for two months. */
export function aptGet(name, ...args) {
  const settings = [
    'Acquire::Min-ValidTime=5184000',
    'Acquire::Retries=3',
    'APT::Install-Recommends=false',
    'APT::Update::Error-Mode=any',
  ]
  const apt = ['apt-get', ...settings.flatMap((setting) => ['-o', setting]), '--yes', ...args]
  fromArchive(() => run(...entering(name, apt)))
}

/**
 * Puts the files of packages into a root that apt would not install: the archive has no security updates of Debian 11 for arm64,
 * and its release is older than the OpenSSL of x64, which apt wants of the same version.
 */
export function unpack(name, packages) {
  const download = ['cd "$(mktemp -d)"', `apt-get download ${packages.join(' ')}`]
  const script = [...download, 'for file in *.deb; do dpkg -x "$file" /; done'].join(' && ')
  fromArchive(() => run(...entering(name, ['sh', '-c', script])))
}

/** Adds to a root what programs of arm64 are linked with, and what builds and runs them. */
export function addArm64(name) {
  const stamp = join(makeRoot(name), '.has-arm64')
  if (existsSync(stamp)) return
  const { suite, from = suite } = roots[name]
  run(...entering(name, ['dpkg', '--add-architecture', 'arm64']))
  aptGet(name, 'update')
  // Both processors' must be of one version: that of the suite, which is there.
  aptGet(name, 'install', '-t', suite, 'libatomic1:arm64', 'libstdc++6:arm64')
  if (name === '1.1.1')
    unpack(
      name,
      ['libssl1.1:arm64', 'libssl-dev:arm64'].map((name) => `${name}/${suite}`),
    )
  else aptGet(name, 'install', '-t', from, 'libssl-dev:arm64')
  if (crossBuilders.includes(name)) aptGet(name, 'install', `g++-${multiarch.arm64}`)
  if (name === emulatorRoot) aptGet(name, 'install', 'qemu-user-static')
  rmSync(join(rootFolder(name), 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true })
  writeFileSync(stamp, '')
}

/** Brings the OpenSSL of a root up to date with the archive, for a release: what is linked statically has the fixes of that day. */
export function refreshOpenssl(name) {
  const folder = makeRoot(name)
  const { suite, from = suite } = roots[name]
  // Those of arm64 that were unpacked get no fixes.
  const hasBoth = existsSync(join(folder, '.has-arm64')) && name !== '1.1.1'
  aptGet(name, 'update')
  aptGet(name, 'install', '-t', from, 'openssl', 'libssl-dev', ...(hasBoth ? ['libssl-dev:arm64'] : []))
  rmSync(join(folder, 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true })
}

/** The version of a root's OpenSSL as Debian counts it, with the fixes that it has: `3.0.17-1~deb12u3`. */
export function opensslPackage(name) {
  const status = readFileSync(join(rootFolder(name), 'var', 'lib', 'dpkg', 'status'), 'utf8')
  const entries = status.split('\n\n').filter((text) => text.startsWith('Package: libssl-dev\n'))
  const entry = entries.find((text) => text.includes('\nArchitecture: amd64\n'))
  return entry.match(/^Version: (.*)$/m)[1]
}

/** The folder in the checkout where a package of npm is installed, whatever processor or C library that is for. */
export function fromNpm(place, specification) {
  const folder = join(packageFolder, place)
  const stamp = join(folder, '.installed')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === specification) return folder
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  // By force: it may be for another machine than this.
  run('npm', ['install', '--silent', '--no-package-lock', '--force', specification], { cwd: folder })
  writeFileSync(stamp, specification)
  return folder
}

/** The folder of a Node.js out of npm, which is put next to the roots, as seen inside one. */
function nodeFolder(major, checkout, arch = 'x64') {
  const place = join('build', 'node', arch === 'x64' ? `${major}` : `${major}-${arch}`)
  fromNpm(place, `node-linux-${arch}@${major}`)
  return join(checkout, place, 'node_modules', `node-linux-${arch}`, 'bin')
}

/** The command that runs Node.js of arm64 in a root, by the emulator. */
export function emulatedNode(name, major) {
  addArm64(emulatorRoot)
  addArm64(name)
  const emulator = join(inside, relative(packageFolder, rootFolder(emulatorRoot)), 'usr', 'bin', 'qemu-aarch64-static')
  return [emulator, join(nodeFolder(major, inside, 'arm64'), 'node')]
}

/**
 * The command and the arguments that run `command` in a root, with nothing of this environment. The checkout is
 * mounted there, and whatever was mounted goes with the command. With `node`, that major version is first on PATH.
 * `instead` has a folder stand in for one of the checkout: `[folder, path in the checkout]`.
 */
export function entering(name, command, { node, env = {}, at = inside, instead } = {}) {
  const folder = rootFolder(name)
  const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const variables = { PATH: node ? `${nodeFolder(node, at)}:${path}` : path, HOME: '/root', LC_ALL: 'C.UTF-8', ...env }
  const assignments = Object.entries({ DEBIAN_FRONTEND: 'noninteractive', ...variables }).map(([k, v]) => `${k}=${v}`)
  const script = [
    'set -e',
    `mkdir -p "$1$3"`,
    `mount --bind "$2" "$1$3"`,
    ...(instead ? [`mount --bind "${instead[0]}" "$1$3/${instead[1]}"`] : []),
    'mount -t proc proc "$1/proc"',
    'mount --rbind /dev "$1/dev"',
    'root=$1; at=$3; shift 3; exec chroot "$root" env -i -C "$at" "$@"',
  ].join('\n')
  return ['unshare', ['--mount', 'sh', '-c', script, 'sh', folder, packageFolder, at, ...assignments, ...command]]
}

/**
 * OpenSSL's headers and libraries out of a root, as an installation to build against (`--openssl_root`). Nothing else
 * of that system is in it: its C library's headers would bind the addon to newer functions than the floor allows.
 */
export function opensslPrefix(name, arch) {
  const root = makeRoot(name)
  if (arch === 'arm64') addArm64(name)
  const prefix = join(packageFolder, 'build', 'openssl', arch, name)
  const libraries = join(root, 'usr', 'lib', multiarch[arch])
  const version = opensslPackage(name)
  const stamp = join(prefix, '.version')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return prefix
  rmSync(prefix, { recursive: true, force: true })
  const headers = join(prefix, 'include', 'openssl')
  for (const folder of ['include', join('include', multiarch[arch])]) {
    cpSync(join(root, 'usr', folder, 'openssl'), headers, { recursive: true })
  }
  mkdirSync(join(prefix, 'lib', 'pkgconfig'), { recursive: true })
  for (const file of readdirSync(libraries).filter((file) => /^lib(ssl|crypto)\.(a|so.*)$/.test(file))) {
    cpSync(join(libraries, file), join(prefix, 'lib', file), { dereference: true })
  }
  for (const file of ['openssl.pc', 'libssl.pc', 'libcrypto.pc']) {
    const text = readFileSync(join(libraries, 'pkgconfig', file), 'utf8')
    // Relative to pkg-config's variable for the folder of the file itself, because a root sees the checkout elsewhere.
    const relocated = text
      .replace(/^prefix=.*/m, () => `prefix=${variable('pcfiledir')}/../..`)
      .replace(/^libdir=.*/m, () => `libdir=${variable('prefix')}/lib`)
    writeFileSync(join(prefix, 'lib', 'pkgconfig', file), relocated)
  }
  writeFileSync(stamp, version)
  return prefix
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const [verb, name, ...rest] = process.argv.slice(2)
    requireRights()
    if (verb === 'run') {
      makeRoot(name)
      const node = rest[0]?.startsWith('--node=') ? rest.shift().slice('--node='.length) : undefined
      const { status } = spawnSync(...entering(name, rest, { node, at: packageFolder }), { stdio: 'inherit' })
      process.exitCode = status ?? 1
    } else {
      for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(roots))
        console.log(makeRoot(name))
    }
  } catch (error) {
    console.error(error.message)
    process.exitCode = error.exitCode ?? 1
  }
}
