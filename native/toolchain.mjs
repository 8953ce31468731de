// Looks for what building and testing need from the system, and names the one command that installs what is missing.
// Plain Node without dependencies, because it runs before anything is installed.

import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where `program` is, in the first of the folders of PATH that has it; undefined if none does. */
export function findProgram(program) {
  const files = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program))
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Whether `program` is in one of the folders of PATH. */
export const hasProgram = (program) => findProgram(program) !== undefined

const runs = (command, args, input) =>
  spawnSync(command, args, { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0

const compiler = () => process.env.CXX?.split(' ')[0] || (process.platform === 'darwin' ? 'c++' : 'g++')
const pythons = () => [process.env.PYTHON, process.env.npm_config_python, 'python3'].filter(Boolean)

/** A thing needed, how to see that it is there, and its package for each package manager. */
const needs = {
  compiler: {
    what: 'a compiler for C++20 (g++ 10 or clang 14, or newer)',
    there: () =>
      runs(compiler(), ['-std=c++20', '-fsyntax-only', '-x', 'c++', '-'], '#include <concepts>\n#include <version>\n'),
    packages: { 'apt-get': 'g++', dnf: 'gcc-c++', apk: 'g++ linux-headers', brew: 'gcc' },
  },
  make: { there: () => hasProgram('make'), packages: { 'apt-get': 'make', dnf: 'make', apk: 'make', brew: 'make' } },
  python3: {
    there: () => pythons().some((python) => python.includes('/') || hasProgram(python)),
    packages: { 'apt-get': 'python3', dnf: 'python3', apk: 'python3', brew: 'python3' },
  },
  'pkg-config': {
    there: () => hasProgram('pkg-config'),
    packages: { 'apt-get': 'pkg-config', dnf: 'pkgconf-pkg-config', apk: 'pkgconf', brew: 'pkgconf' },
  },
  headers: {
    what: 'the headers of OpenSSL 1.1.1 or newer',
    there: ({ opensslRoot }) => Boolean(opensslRoot) || runs('pkg-config', ['--atleast-version=1.1.1', 'openssl']),
    packages: { 'apt-get': 'libssl-dev', dnf: 'openssl-devel', apk: 'openssl-dev', brew: 'openssl@3' },
  },
  openssl: {
    what: 'the program openssl',
    there: () => hasProgram('openssl'),
    packages: { 'apt-get': 'openssl', dnf: 'openssl', apk: 'openssl', brew: 'openssl@3' },
  },
  redis: {
    what: 'the programs redis-server and redis-cli',
    there: () => hasProgram('redis-server') && hasProgram('redis-cli'),
    packages: { 'apt-get': 'redis-server', dnf: 'redis', apk: 'redis', brew: 'redis' },
  },
}

const installers = {
  'apt-get': 'apt-get install -y',
  dnf: 'dnf install -y',
  apk: 'apk add',
  brew: 'brew install',
}

/** The command that installs `packages`, for the package manager of this system; null if it has none that we know. */
export function installCommand(packagesOf) {
  const manager = Object.keys(installers).find(hasProgram)
  if (!manager) return null
  const packages = [...new Set(packagesOf.flatMap((packages) => packages[manager].split(' ')))]
  const sudo = manager !== 'brew' && process.getuid?.() !== 0 ? 'sudo ' : ''
  return `${sudo}${installers[manager]} ${packages.join(' ')}`
}

/** Throws one error that names everything missing among `names` and how to get it. */
export function requireTools(names, options = {}) {
  const unknown = names.find((name) => !(name in needs))
  if (unknown) throw new Error(`There is no tool "${unknown}" to look for, but ${Object.keys(needs).join(', ')}.`)
  const missing = names.filter((name) => !needs[name].there(options))
  if (missing.length === 0) return
  const list = missing.map((name) => `  - ${needs[name].what ?? name}`).join('\n')
  const command = installCommand(missing.map((name) => needs[name].packages))
  const advice = command ? `Install it with:\n\n  ${command}\n` : 'Install it with the package manager of this system.'
  throw new Error(`openssl-session needs something that this system lacks:\n${list}\n${advice}`)
}

/** Throws unless this Node.js is at least the version that package.json asks for (">=20.19"). */
export function requireNode(range) {
  const [major, minor] = range.replace(/^>=/, '').split('.').map(Number)
  const [ourMajor, ourMinor] = process.versions.node.split('.').map(Number)
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return
  throw new Error(
    `openssl-session needs Node.js ${range}; this is ${process.version}. See https://nodejs.org/en/download.`,
  )
}
