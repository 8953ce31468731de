// Builds the addons that the package carries, so that installing it takes no compiler: one for each ABI of libssl, which
// use the library of the machine, and one with OpenSSL inside, which is also made for musl (scripts/musl.mjs). Each is
// built in a system of its own (scripts/roots.mjs) and so comes out the same, byte for byte, whatever machine this runs on.
//
//   node scripts/prebuild.mjs [--check] [--arch=x64,arm64] [NAME ...]
//
// With --check, for a release, each is built with the latest OpenSSL of its Debian, then once more, and both are compared.
//
// Those for arm64 are built on x64 too, by Debian's compiler for it.
// The folders are prebuildify's (prebuilds/<platform>-<arch>/); prebuildify itself knows one addon for each platform, and
// would build in place of the checkout's own.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkPrebuild } from './check-prebuilds.mjs'
import { compilers, system as muslSystem, opensslForMusl, opensslForMuslPackage } from './musl.mjs'
import { addArm64, entering, inside, makeRoot, opensslPackage, opensslPrefix, refreshOpenssl } from './roots.mjs'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

/**
 * An OpenSSL that gives headers and libraries, and the system to build in, whose C and C++ libraries are the oldest that
 * the addon is to run on.
 */
const ofDebian = (openssl, system) => ({
  system,
  /** Where it is installed, once the system has all that building for this processor takes. */
  install(arch) {
    if (arch === 'arm64') addArm64(system)
    else makeRoot(system)
    return opensslPrefix(openssl, arch)
  },
  /** Debian's version of it, once it is installed. */
  version: () => opensslPackage(openssl),
  /** Makes it Debian's latest. */
  refresh: () => refreshOpenssl(openssl),
  /** The compiler, where it is not the system's own. */
  compiler: (arch) => (arch === 'arm64' ? 'aarch64-linux-gnu-g++' : undefined),
})

const openssl3 = ofDebian('3.0', '3.0')

const opensslOfMusl = {
  system: muslSystem,
  install: (arch) => opensslForMusl(arch),
  version: opensslForMuslPackage,
  refresh(archs) {
    for (const arch of archs) opensslForMusl(arch, { fresh: true })
  },
  compiler: (arch) => compilers(arch)['c++'],
}

/** The OpenSSL of each is the oldest that it is to run with. */
const prebuilds = {
  'libssl.so.4': { openssl: ofDebian('4.0', '3.0') },
  'libssl.so.3': { openssl: openssl3 },
  'libssl.so.1.1': { openssl: ofDebian('1.1.1', '1.1.1') },
  static: { openssl: openssl3, isStatic: true },
  'static.musl': { openssl: opensslOfMusl, isStatic: true },
}

/** What CMake has to be told of another compiler than the system's own. */
function crossBuild(compiler, arch) {
  if (!compiler) return {}
  return {
    CMAKE_SYSTEM_NAME: 'Linux',
    CMAKE_SYSTEM_PROCESSOR: { x64: 'x86_64', arm64: 'aarch64' }[arch],
    CMAKE_CXX_COMPILER: compiler,
  }
}

function build(name, arch, folder) {
  const { openssl, isStatic } = prebuilds[name]
  const prefix = openssl.install(arch)
  rmSync(folder, { recursive: true, force: true })
  const definitions = {
    OPENSSL_ROOT: join(inside, relative('.', prefix)),
    OPENSSL_STATIC: isStatic ? 'ON' : 'OFF',
    PORTABLE: 'ON',
    // A few sources at a time, as native/configure.mjs does it.
    CMAKE_UNITY_BUILD: 'ON',
    ...crossBuild(openssl.compiler(arch), arch),
  }
  const cmakeJs = ['node', 'node_modules/cmake-js/bin/cmake-js', 'compile', '--directory', 'native', '--out', folder]
  const defining = Object.entries(definitions).map(([key, value]) => `--CD${key}=${value}`)
  const parallel = ['--parallel', `${availableParallelism()}`]
  const [command, args] = entering(openssl.system, [...cmakeJs, ...defining, ...parallel], { node: 20 })
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name} for ${arch} could not be built:\n${stdout}${stderr}`)
  return join(folder, 'Release', 'openssl_session.node')
}

/** Builds one into prebuilds/, and with `twice` once more to compare. */
function make(name, arch, twice) {
  const target = join('prebuilds', `linux-${arch}`)
  mkdirSync(target, { recursive: true })
  const file = join(target, `${name}.node`)
  const built = build(name, arch, join('build', 'prebuild', arch, name))
  // A new file in one step: programs may be using the old one, or begin meanwhile.
  copyFileSync(built, `${file}.new`)
  renameSync(`${file}.new`, file)
  console.log(checkPrebuild(file))
  const { openssl, isStatic } = prebuilds[name]
  const version = `Debian's OpenSSL ${openssl.version(arch)}`
  console.log(isStatic ? `  has ${version} inside` : `  built with the headers of ${version}`)
  if (!twice) return
  // In another folder, whose name must not show either.
  const again = build(name, arch, join('build', 'prebuild', arch, `${name}-again`))
  if (!readFileSync(again).equals(readFileSync(file))) throw new Error(`${again} differs from ${file}`)
  console.log('  built twice: the same bytes')
}

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { check: { type: 'boolean', default: false }, arch: { type: 'string', default: 'x64,arm64' } },
  })
  const names = positionals.length > 0 ? positionals : Object.keys(prebuilds)
  const archs = values.arch.split(',')
  if (values.check) {
    for (const openssl of new Set(names.map((name) => prebuilds[name].openssl))) openssl.refresh(archs)
  }
  for (const arch of archs) for (const name of names) make(name, arch, values.check)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
