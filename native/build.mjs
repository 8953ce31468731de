// Builds the addon with node-gyp, compiling only what has changed. Runs when the package is installed
// (`npm install`), for `npm run build:native`, and from scripts/setup.mjs.
//
//   node native/build.mjs [--debug] [--openssl_root=DIR] [--openssl_static=true]

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { requireNode, requireTools } from './toolchain.mjs'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))
const { engines } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))

const outputFolder = ({ debug }) => join(packageFolder, 'build', debug ? 'Debug' : 'Release')
const addonFile = (options) => join(outputFolder(options), 'openssl_session.node')
/** Written after each successful build; its time is that build's beginning. */
const recordFile = (options) => join(outputFolder(options), 'build-record.json')

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

/** Options from the command line, else from npm's configuration (`npm install --openssl_static=true`). */
export function parseOptions(args, env = process.env) {
  const value = (name) =>
    args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? env[`npm_config_${name}`] ?? ''
  const root = value('openssl_root')
  return {
    debug: args.includes('--debug'),
    openssl_root: root && resolve(root),
    openssl_static: value('openssl_static') === 'true',
  }
}

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

function nodeGyp() {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
  } catch {
    // In somebody's node_modules there is only npm's own, whose place it tells its scripts.
    const bundled = process.env.npm_config_node_gyp
    if (bundled) return bundled
    throw new Error('node-gyp is not installed. Run this through npm, or `npm install --save-dev node-gyp` first.')
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
