// Brings a checkout to the point where tests and demo can run, from a fresh clone or from any state since: checks the
// system's tools, those named as arguments (see native/toolchain.mjs) among them, installs the packages, builds the addon
// and the TypeScript. What is up to date is left alone.
// Plain Node without dependencies, because it runs before anything is installed.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildNative, environmentOf, parseOptions, previousOptions, requestToBuild } from '../native/build.mjs'
import { requireNode, requireTools } from '../native/toolchain.mjs'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(packageFolder)

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  })
  if (status !== 0) throw new Error(`\`${[command, ...args].join(' ')}\` failed.`, { cause: error })
}

/** Whether node_modules holds what package-lock.json asks for; npm leaves a list of what it has installed. */
function packagesAreCurrent() {
  const installedList = join('node_modules', '.package-lock.json')
  if (!existsSync(installedList)) return false
  const installed = readJson(installedList).packages
  const { '': _root, ...wanted } = readJson('package-lock.json').packages
  return Object.entries(wanted).every(([path, { version, optional }]) =>
    installed[path] ? installed[path].version === version : optional,
  )
}

/** Deletes what tsc once made from a source that is gone: mocha would go on running it. */
function prune(outputs, sources) {
  if (!existsSync(outputs)) return
  for (const name of readdirSync(outputs, { recursive: true })) {
    const stem = name.match(/^(.*?)\.(d\.ts|js|js\.map)$/)?.[1]
    if (stem && !existsSync(join(sources, `${stem}.ts`))) rmSync(join(outputs, name))
  }
}

try {
  requireNode(readJson('package.json').engines.node)
  const args = process.argv.slice(2)
  const flags = args.filter((arg) => arg.startsWith('-'))
  const isAsked = flags.length > 0 || requestToBuild() !== null
  const options = isAsked ? parseOptions(flags) : previousOptions()
  const tools = ['compiler', 'make', 'python3', 'pkg-config', 'headers', 'openssl']
  requireTools([...tools, ...args.filter((arg) => !flags.includes(arg))], { opensslRoot: options.openssl_root })
  if (!packagesAreCurrent()) {
    // Its install script builds the addon, too.
    run('npm', ['ci', '--no-audit', '--no-fund', '--foreground-scripts'], environmentOf(options))
  }
  buildNative(options)
  prune('dist', 'lib')
  prune(join('build', 'test'), 'test')
  prune(join('build', 'examples'), 'examples')
  run('npm', ['run', '--silent', 'build:ts'])
} catch (error) {
  console.error(`\n${error.message}`)
  process.exit(1)
}
