// Builds the addon with node-gyp, compiling only what has changed. Runs when the package is installed
// (`npm install`), for `npm run build:native`, and from scripts/setup.mjs.
//
//   node native/build.mjs [--debug] [--openssl_root=DIR] [--openssl_static=true]
//
// What is not on the command line comes from the environment: OPENSSL_SESSION_OPENSSL_ROOT, OPENSSL_SESSION_OPENSSL_STATIC, or
// npm's own variables of `npm install --openssl_root=DIR`, which npm 12 knows no more.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findProgram, requireNode, requireTools } from './toolchain.mjs'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))
const { engines } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))

const outputFolder = ({ debug }) => join(packageFolder, 'build', debug ? 'Debug' : 'Release')
const addonFile = (options) => join(outputFolder(options), 'openssl_session.node')
/** Written after each successful build; its time is that build's beginning. */
const recordFile = (options) => join(outputFolder(options), 'build-record.json')

/** Variables that node-gyp and make take the compiler and its flags from. */
const toolchainVariables = ['CC', 'CXX', 'CPPFLAGS', 'CXXFLAGS', 'LDFLAGS']

function nativeFiles() {
  const folder = join(packageFolder, 'native')
  return readdirSync(folder, { recursive: true }).map((name) => join(folder, name))
}

/** Everything that makes the build files, as opposed to the sources, out of date when it changes. */
function configuration(options) {
  const ask = (question) => {
    const args = [join('native', 'configure.mjs'), question, `--root=${options.openssl_root}`]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: packageFolder, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr.trim())
    return stdout.trim()
  }
  const recipe = ['binding.gyp', 'native/configure.mjs'].map((name) => readFileSync(join(packageFolder, name)))
  return {
    options,
    toolchain: Object.fromEntries(toolchainVariables.map((name) => [name, process.env[name] ?? ''])),
    openssl: ask('version'),
    node: process.version,
    sources: ask('sources').split('\n'),
    recipe: createHash('sha256').update(Buffer.concat(recipe)).digest('hex'),
  }
}

function readRecord(options) {
  try {
    return JSON.parse(readFileSync(recordFile(options), 'utf8'))
  } catch {
    return null
  }
}

/** What the environment says of an option: our own variable, else npm's. npm makes `false` of `--no-…`, others say 0. */
function fromEnvironment(name, env) {
  const value = env[`OPENSSL_SESSION_${name.toUpperCase()}`] || env[`npm_config_${name}`] || ''
  return ['false', '0'].includes(value) ? '' : value
}

const isYes = (value) => ['true', '1'].includes(value)

/** The option that asks for a build although a prebuilt addon would do; null when none does. */
export function requestToBuild(env = process.env) {
  const forUs = fromEnvironment('build_from_source', env)
  if (isYes(forUs) || forUs === 'openssl-session') return 'build_from_source'
  if (fromEnvironment('openssl_root', env)) return 'openssl_root'
  return isYes(fromEnvironment('openssl_static', env)) ? 'openssl_static' : null
}

/** Options from the command line, else from the environment. */
export function parseOptions(args, env = process.env) {
  const { values } = parseArgs({
    args,
    options: { debug: { type: 'boolean' }, openssl_root: { type: 'string' }, openssl_static: { type: 'string' } },
  })
  const root = values.openssl_root ?? fromEnvironment('openssl_root', env)
  return {
    debug: values.debug ?? false,
    openssl_root: root && resolve(root),
    openssl_static: isYes(values.openssl_static ?? fromEnvironment('openssl_static', env)),
  }
}

/** Variables by which another process parses the same options. */
export const environmentOf = ({ openssl_root, openssl_static }) => ({
  OPENSSL_SESSION_OPENSSL_ROOT: openssl_root || '0',
  OPENSSL_SESSION_OPENSSL_STATIC: `${openssl_static}`,
})

/** The options of the addon that is there: who once chose a static OpenSSL keeps it in later incremental builds. */
export const previousOptions = () => readRecord({ debug: false })?.options ?? parseOptions([])

function runNodeGyp(command, options) {
  const args = [command, '--loglevel=warn', '--jobs=max', `--openssl_static=${options.openssl_static}`]
  if (options.openssl_root) args.push(`--openssl_root=${options.openssl_root}`)
  if (options.debug) args.push('--debug')
  // Headers installed next to this Node are the right ones, and need no download.
  const prefix = resolve(dirname(process.execPath), '..')
  if (!process.env.npm_config_nodedir && headersVersion(prefix) === process.version) args.push(`--nodedir=${prefix}`)
  const { status, error } = spawnSync(process.execPath, [nodeGyp(), ...args], { cwd: packageFolder, stdio: 'inherit' })
  if (status !== 0) {
    throw new Error(`The native build failed (node-gyp ${command}); the reason is above.`, { cause: error })
  }
}

/** node-gyp: a project's own; else the one in npm, which tells its scripts where it is, and others find by its program. */
function nodeGyp() {
  const npm = findProgram('npm')
  const file =
    resolveFrom(import.meta.url, 'node-gyp/bin/node-gyp.js') ??
    process.env.npm_config_node_gyp ??
    (npm && resolveFrom(realpathSync(npm), 'node-gyp/bin/node-gyp.js'))
  if (file) return file
  throw new Error('There is neither node-gyp nor npm, which has it. `npm install --save-dev node-gyp` installs it.')
}

function resolveFrom(place, name) {
  try {
    return createRequire(place).resolve(name)
  } catch {
    return null
  }
}

function headersVersion(prefix) {
  const file = join(prefix, 'include', 'node', 'node_version.h')
  if (!existsSync(file)) return null
  const text = readFileSync(file, 'utf8')
  const number = (name) => text.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1]
  return `v${number('MAJOR')}.${number('MINOR')}.${number('PATCH')}`
}

/** Brings the addon up to date. Returns whether there was anything to do. */
export function buildNative(options) {
  const wanted = configuration(options)
  const record = readRecord(options)
  const configured = JSON.stringify(record) === JSON.stringify(wanted)
  if (configured && existsSync(addonFile(options))) {
    const built = statSync(recordFile(options)).mtimeMs
    if (nativeFiles().every((file) => statSync(file).mtimeMs <= built)) return false
  }
  const begin = new Date()
  if (!configured) runNodeGyp('configure', options)
  runNodeGyp('build', options)
  writeFileSync(recordFile(options), `${JSON.stringify(wanted)}\n`)
  utimesSync(recordFile(options), begin, begin)
  return true
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const options = parseOptions(process.argv.slice(2))
    requireNode(engines.node)
    requireTools(['compiler', 'make', 'python3', 'pkg-config', 'headers'], { opensslRoot: options.openssl_root })
    if (!buildNative(options)) console.log('The addon is up to date.')
  } catch (error) {
    console.error(`\n${error.message}`)
    process.exit(1)
  }
}
