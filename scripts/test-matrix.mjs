// Runs the test suite on each OpenSSL (scripts/roots.mjs) with each Node.js that it is given, on the prebuilt addons
// (`npm run prebuilds`), and prints a table at the end. A run of everything keeps the table in docs/matrix.md.
//
//   node scripts/test-matrix.mjs [--node=20,22] [ROOT ...] [build/test/some.test.js ...]

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { entering, makeRoot, roots } from './roots.mjs'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(packageFolder)
const folder = join('build', 'matrix')
const table = join('docs', 'matrix.md')

/** What cannot run on a system, and why. */
const without = {
  '1.1.1': {
    files: /^(stores\/lmdb|docs\/(demos|examples|readme)|tls\/processes)/,
    why: 'without the tests that need LmdbSessionStore: the package lmdb has no prebuilt part for Debian 11',
  },
}

const prebuilt = (root) => `libssl.so.${root === '1.1.1' ? '1.1' : root.split('.')[0]}`

function testFiles(root) {
  const tests = join('build', 'test')
  return readdirSync(tests, { recursive: true })
    .filter((name) => name.endsWith('.test.js') && !without[root]?.files.test(name))
    .sort()
    .map((name) => join(tests, name))
}

/** Runs test files in a root. Returns the totals; the whole output is in a file of `folder`. */
function run(root, node, files) {
  makeRoot(root)
  const name = `${root}-node${node}`
  const totalsFile = join(folder, `${name}.json`)
  rmSync(totalsFile, { force: true })
  const reporter = [
    '--reporter',
    './build/test/support/totals_reporter.js',
    '--reporter-option',
    `output=${totalsFile}`,
  ]
  const mocha = [
    'node',
    'node_modules/mocha/bin/mocha.js',
    ...reporter,
    ...(files.length > 0 ? files : testFiles(root)),
  ]
  const env = { OPENSSL_SESSION_BUILD: resolve('prebuilds', 'linux-x64', `${prebuilt(root)}.node`) }
  const begin = performance.now()
  const { stdout, stderr } = spawnSync(...entering(root, mocha, { node, env, at: packageFolder }), {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  writeFileSync(join(folder, `${name}.log`), stdout + stderr)
  const seconds = Math.round((performance.now() - begin) / 1000)
  const totals = existsSync(totalsFile) ? JSON.parse(readFileSync(totalsFile, 'utf8')) : null
  const [version] =
    spawnSync(...entering(root, ['openssl', 'version']), { encoding: 'utf8' }).stdout.match(/\d\S+/) ?? []
  const [program] = spawnSync(...entering(root, ['node', '--version'], { node }), { encoding: 'utf8' }).stdout.split(
    '\n',
  )
  return { root, version, program, totals, seconds, log: join(folder, `${name}.log`) }
}

const row = ({ root, version, program, totals, seconds }) => {
  const result = totals ? `${totals.passed} | ${totals.failed} | ${totals.skipped}` : 'did not end | | '
  return `| ${version} | Debian ${roots[root].suite} | ${program} | ${prebuilt(root)} | ${result} | ${Math.ceil(seconds / 60)} min |`
}

const args = process.argv.slice(2)
const nodes = args
  .find((arg) => arg.startsWith('--node='))
  ?.slice('--node='.length)
  .split(',') ?? ['20']
const names = args.filter((arg) => roots[arg])
const files = args.filter((arg) => arg.endsWith('.js'))
mkdirSync(folder, { recursive: true })
const results = []
for (const root of names.length > 0 ? names : Object.keys(roots)) {
  for (const node of nodes) {
    const result = run(root, node, files)
    results.push(result)
    console.log(`${row(result)} ${result.log}`)
  }
}
if (names.length === 0 && files.length === 0) {
  const text = [
    '# Matrix',
    '',
    'The test suite on each OpenSSL, written by `npm run test:matrix`. What versions do differently is in',
    '[conformance.md](conformance.md).',
    '',
    '| OpenSSL | on | Node.js | addon | passed | failed | skipped | took |',
    '|---|---|---|---|---|---|---|---|',
    ...results.map(row),
    '',
    ...Object.entries(without).map(([root, { why }]) => `OpenSSL ${root} runs ${why}.`),
    '',
  ]
  writeFileSync(table, text.join('\n'))
}
process.exitCode = results.every(({ totals }) => totals && totals.failed === 0) ? 0 : 1
