// Writes the API reference, docs/api, from the doc comments of what the package exports, and fails when an export has none.
// typedoc is installed under build/, because it needs an older TypeScript than the one that compiles the package.
//
//   node scripts/api.mjs [--check]       --check: only looks whether everything is documented and docs/api is true

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))
const toolFolder = join('build', 'typedoc')
const target = join('docs', 'api')
const tools = { typedoc: '0.28.20', 'typedoc-plugin-markdown': '4.14.1', typescript: '6.0' }
const entryPoints = ['lib/index.ts', 'lib/libssl.ts', 'lib/stores/index.ts']

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options })
  if (status !== 0) throw new Error(`\`${[command, ...args].join(' ')}\` failed.`, { cause: error })
}

function installTools() {
  const wanted = JSON.stringify({ private: true, dependencies: tools })
  const file = join(toolFolder, 'package.json')
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) return
  mkdirSync(toolFolder, { recursive: true })
  writeFileSync(file, '{ "private": true }')
  run('npm', ['install', '--silent', '--no-save', ...Object.entries(tools).map((tool) => tool.join('@'))], {
    cwd: toolFolder,
  })
  writeFileSync(file, wanted)
}

/** Runs typedoc. Returns what is exported and has no comment; members that are as in node:tls are not explained again. */
function undocumentedExports(args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })
  if (status !== 0) throw new Error(`typedoc failed:\n${stdout}${stderr}`)
  const warnings = [
    ...`${stdout}${stderr}`.matchAll(/\[warning\] (\S+) \(\w+\), defined in \S+ does not have any documentation/g),
  ]
  return warnings.map(([, name]) => name).filter((name) => /^[\w/]+\.\w+$/.test(name))
}

/** Everything in a folder: texts by name. */
function textsIn(folder) {
  if (!existsSync(folder)) return {}
  const names = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.md'))
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}

try {
  const isCheck = process.argv.includes('--check')
  const out = isCheck ? join('build', 'api') : target
  installTools()
  rmSync(out, { recursive: true, force: true })
  const bare = undocumentedExports([
    join(toolFolder, 'node_modules', 'typedoc', 'bin', 'typedoc'),
    '--logLevel',
    'Warn',
    '--plugin',
    'typedoc-plugin-markdown',
    '--tsconfig',
    'tsconfig.json',
    ...entryPoints.flatMap((file) => ['--entryPoints', file]),
    '--out',
    out,
    '--readme',
    'none',
    '--router',
    'module',
    '--excludePrivate',
    '--excludeInternal',
    '--excludeExternals',
    '--disableSources',
    '--hideGenerator',
    '--validation.notDocumented',
    'true',
  ])
  if (bare.length > 0) throw new Error(`Exported without a doc comment:\n${bare.join('\n')}`)
  if (isCheck && JSON.stringify(textsIn(out)) !== JSON.stringify(textsIn(target))) {
    throw new Error(`${target} is not what the doc comments say: \`npm run docs:api\` writes it.`)
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
