// Builds the addons that the package carries, so that installing it takes no compiler: one for each ABI of libssl, which
// use the library of the machine, and one with OpenSSL inside. Each is built in a system of its own (scripts/roots.mjs) and
// so comes out the same, byte for byte, whatever machine this runs on.
//
//   node scripts/prebuild.mjs [--check] [NAME ...]      --check: builds each once more and compares
//
// The folders are prebuildify's (prebuilds/<platform>-<arch>/); prebuildify itself knows one addon for each platform, and
// would build in place of the checkout's own.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkPrebuild } from './check-prebuilds.mjs'
import { entering, inside, makeRoot, opensslPrefix } from './roots.mjs'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

const target = join('prebuilds', 'linux-x64')

/**
 * The OpenSSL that gives headers and libraries, always the oldest that the addon is to run with; and the system to build
 * in, whose C and C++ libraries are the oldest that it is to run on.
 */
const prebuilds = {
  'libssl.so.4': { openssl: '4.0', system: '3.0' },
  'libssl.so.3': { openssl: '3.0', system: '3.0' },
  'libssl.so.1.1': { openssl: '1.1.1', system: '1.1.1' },
  static: { openssl: '3.0', system: '3.0', isStatic: true },
}

function build(name, folder) {
  const { openssl, system, isStatic } = prebuilds[name]
  makeRoot(system)
  opensslPrefix(openssl)
  rmSync(folder, { recursive: true, force: true })
  const definitions = {
    OPENSSL_ROOT: `${inside}/build/openssl/${openssl}`,
    OPENSSL_STATIC: isStatic ? 'ON' : 'OFF',
    PORTABLE: 'ON',
  }
  const cmakeJs = ['node', 'node_modules/cmake-js/bin/cmake-js', 'compile', '--directory', 'native', '--out', folder]
  const defining = Object.entries(definitions).map(([key, value]) => `--CD${key}=${value}`)
  const [command, args] = entering(system, [...cmakeJs, ...defining, '--parallel', `${availableParallelism()}`], {
    node: 20,
  })
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name} could not be built:\n${stdout}${stderr}`)
  return join(folder, 'Release', 'openssl_session.node')
}

try {
  const args = process.argv.slice(2)
  const twice = args.includes('--check')
  const names = args.filter((arg) => arg !== '--check')
  mkdirSync(target, { recursive: true })
  for (const name of names.length > 0 ? names : Object.keys(prebuilds)) {
    const file = join(target, `${name}.node`)
    const built = build(name, join('build', 'prebuild', name))
    // A new file in one step: programs may be using the old one, or begin meanwhile.
    copyFileSync(built, `${file}.new`)
    renameSync(`${file}.new`, file)
    console.log(checkPrebuild(file))
    if (!twice) continue
    // In another folder, whose name must not show either.
    const again = build(name, join('build', 'prebuild', `${name}-again`))
    if (!readFileSync(again).equals(readFileSync(file))) throw new Error(`${again} differs from ${file}`)
    console.log('  built twice: the same bytes')
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
