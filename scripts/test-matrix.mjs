// Runs the test suite on each OpenSSL (scripts/roots.mjs) with each Node.js, on the prebuilt addons (`npm run prebuilds`), and
// writes docs/matrix.md. Each cell's results are kept in build/matrix, file by file: a later run goes on where this one
// ended, with what has failed and with the tests that have changed since. Of a library, an addon or a helper of the tests
// that has changed, nothing holds any more.
//
//   node scripts/test-matrix.mjs [--minutes=60]       what has not passed yet, the most important cells first, while there is time
//   node scripts/test-matrix.mjs 3.5 4.0 [--node=20,22]          these cells, all of it
//   node scripts/test-matrix.mjs 3.5 build/test/some.test.js     some tests, of which nothing is kept
//   node scripts/test-matrix.mjs --check              runs nothing: all cells must have passed for this very state, and docs/matrix.md say so
//   node scripts/test-matrix.mjs --quick              one other OpenSSL, and the tests that tell most of it

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { equip } from './debian-11.mjs'
import { page } from './matrix-table.mjs'
import { entering, makeRoot, roots } from './roots.mjs'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))
const folder = join('build', 'matrix')
const testFolder = join('build', 'test')

/** Rows and columns, the most important first. */
const rootNames = ['3.0', '3.5', '1.1.1', '4.0', '3.6']
const nodeMajors = ['20', '24', '26', '22']

const quick = { root: '3.5', node: '24', files: /^(isolation|libssl\/|session\/|package\/|tls\/(context|session))/ }

/** Milliseconds after which a suite has not ended and is ended. */
const limit = 45 * 60_000

const prebuilt = (root) => `libssl.so.${root === '1.1.1' ? '1.1' : root.split('.')[0]}`
const addon = (root) => join('prebuilds', 'linux-x64', `${prebuilt(root)}.node`)

const filesUnder = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .sort()
    .map((name) => join(folder, name))

/** As `npm test` has them: the one that takes longest comes first. */
const testFiles = (pattern) =>
  filesUnder(testFolder)
    .filter((file) => /\.test\.js$/.test(file) && pattern.test(file.slice(testFolder.length + 1)))
    .sort((one, other) => other.endsWith('store-faults.test.js') - one.endsWith('store-faults.test.js'))

const digest = (...files) => {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest('hex')
}

/** What results are worth: they hold for the very library, addon and helpers that were used. */
function stateOf(root) {
  const helpers = filesUnder(testFolder).filter((file) => !file.endsWith('.test.js'))
  return digest(...filesUnder('dist'), ...helpers, addon(root))
}

const resultFile = (root, node) => join(folder, `${root}-node${node}.json`)

/** The results of a cell that hold, by file; `run` is what is known of the runs that they come from. */
function knownOf(root, node) {
  const file = resultFile(root, node)
  const nothing = { run: undefined, files: {} }
  if (!existsSync(file) || !existsSync(addon(root))) return nothing
  const { state, files, ...run } = JSON.parse(readFileSync(file, 'utf8'))
  if (state !== stateOf(root)) return nothing
  const holds = ([name, { is }]) => existsSync(name) && digest(name) === is
  return { run, files: Object.fromEntries(Object.entries(files).filter(holds)) }
}

/** The test files of a cell that are still to pass. */
function openIn(root, node) {
  const { files } = knownOf(root, node)
  return testFiles(/./).filter((file) => !files[file] || files[file].failed > 0)
}

/** The result of a cell, if there is one for each of its files. */
function resultOf(root, node) {
  const { run, files } = knownOf(root, node)
  const ofAll = testFiles(/./).map((file) => files[file])
  if (run === undefined || !ofAll.every((of) => of)) return undefined
  const sum = (what) => ofAll.reduce((total, of) => total + of[what], 0)
  const failures = ofAll.flatMap((of) => of.failures)
  return { ...run, totals: { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped'), failures } }
}

/** Keeps what came of some files of a cell, next to what is known of the others. */
function keep({ root, node, tested, totals, seconds, ...rest }) {
  // What failed outside all files may have kept any of them from being tested.
  if (totals === null || totals.files['']) return
  const before = knownOf(root, node)
  const files = { ...before.files }
  for (const name of tested) {
    const counts = totals.files[name] ?? { passed: 0, failed: 0, skipped: 0 }
    const failures = totals.failures.filter(({ file }) => file === name)
    files[name] = { ...counts, failures, is: digest(name) }
  }
  const isAll = tested.length === Object.keys(files).length
  const result = { root, node, seconds: seconds + (isAll ? 0 : (before.run?.seconds ?? 0)), files, ...rest }
  writeFileSync(resultFile(root, node), JSON.stringify(result))
}

function enter(root, command, options, timeout = 0) {
  const entered = entering(root, command, { at: process.cwd(), ...options })
  return spawnSync(...entered, { encoding: 'utf8', maxBuffer: 2 ** 28, timeout, killSignal: 'SIGINT' })
}

/** Runs test files in a root. The whole output is in a file of `folder`. */
function run(root, node, files) {
  makeRoot(root)
  if (!existsSync(addon(root))) throw new Error(`${addon(root)} is missing: \`npm run prebuilds\` makes it.`)
  const state = stateOf(root)
  const log = join(folder, `${root}-node${node}.log`)
  const totalsFile = join(folder, 'totals.json')
  rmSync(totalsFile, { force: true })
  const reporter = [
    '--reporter',
    './build/test/support/totals_reporter.js',
    '--reporter-option',
    `output=${totalsFile}`,
  ]
  const mocha = ['node', 'node_modules/mocha/bin/mocha.js', '--exit', '--parallel', ...reporter, ...files]
  const env = { OPENSSL_SESSION_BUILD: resolve(addon(root)), OPENSSL_SESSION_TESTS: 'complete' }
  const begin = performance.now()
  const { stdout, stderr, error } = enter(root, mocha, { node, env, ...(root === '1.1.1' ? equip() : {}) }, limit)
  writeFileSync(log, stdout + stderr)
  const seconds = Math.round((performance.now() - begin) / 1000)
  // Mocha has totals of what it was stopped in, too.
  const totals = !error && existsSync(totalsFile) ? JSON.parse(readFileSync(totalsFile, 'utf8')) : null
  const [version] = enter(root, ['openssl', 'version']).stdout.match(/\d\S+/) ?? []
  const program = enter(root, ['node', '--version'], { node }).stdout.trim()
  const date = new Date().toISOString().slice(0, 10)
  const result = { root, node, version, program, date, seconds, tested: files, totals, state }
  const told = totals ? `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped` : 'did not end'
  console.log(`OpenSSL ${version}, Node.js ${program}: ${told}, ${seconds} s, ${log}`)
  for (const { title } of totals?.failures ?? []) console.log(`  failed: ${title}`)
  return result
}

const hasPassed = (result) => result?.totals?.failed === 0

/** Cells in the order of what they tell: first those of the first row and of the first column. */
function cellsOf(names, nodes) {
  const cells = names.flatMap((root, row) => nodes.map((node, column) => ({ root, node, row, column })))
  const rank = ({ row, column }) => Math.min(row, column) * 100 + row + column
  return cells.sort((one, other) => rank(one) - rank(other))
}

const pageFile = join('docs', 'matrix.md')

function pageText(why) {
  const systems = Object.entries(roots).map(([name, { suite }]) => ({ name, suite, addon: prebuilt(name) }))
  return page({ systems, nodes: nodeMajors.toSorted(), resultOf, why }).join('\n')
}

const writePage = (why) => writeFileSync(pageFile, pageText(why))

/** Throws unless every cell has passed, with the files that are there now, and the page tells of it. */
function requireComplete() {
  const cells = cellsOf(rootNames, nodeMajors)
  const wanting = cells.filter(({ root, node }) => !hasPassed(resultOf(root, node)))
  if (wanting.length > 0) {
    const names = wanting.map(({ root, node }) => `OpenSSL ${root} with Node.js ${node}`)
    const advice = '`npm run test:matrix` runs those that were not run, or not for this state of the files.'
    throw new Error(`${wanting.length} of ${cells.length} cells have not passed: ${names.join(', ')}. ${advice}`)
  }
  if (readFileSync(pageFile, 'utf8') !== pageText('')) throw new Error(`${pageFile} is not that of these results.`)
  console.log(`All ${cells.length} cells have passed.`)
}

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      node: { type: 'string' },
      minutes: { type: 'string' },
      quick: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
    },
  })
  const names = positionals.filter((name) => roots[name])
  const files = positionals.filter((name) => name.endsWith('.js'))
  const nodes = values.node?.split(',')
  mkdirSync(folder, { recursive: true })
  if (values.check) {
    requireComplete()
  } else if (values.quick || files.length > 0) {
    const chosen = values.quick ? testFiles(quick.files) : files
    const cells = values.quick ? [quick] : cellsOf(names.length > 0 ? names : rootNames, nodes ?? ['20'])
    const results = cells.map(({ root, node }) => run(root, node, chosen))
    if (!results.every(hasPassed)) process.exitCode = 1
  } else {
    const budget = values.minutes ? Number(values.minutes) * 60 : Infinity
    const isAsked = names.length > 0 || nodes !== undefined
    const cells = cellsOf(names.length > 0 ? names : rootNames, nodes ?? nodeMajors)
    const begin = performance.now()
    let longest = 0
    let why = isAsked ? 'they were not asked for' : 'they are yet to come'
    for (const { root, node } of cells) {
      const files = isAsked ? testFiles(/./) : openIn(root, node)
      if (files.length === 0) continue
      if ((performance.now() - begin) / 1000 + longest > budget) {
        why = `the ${values.minutes} minutes were up`
        break
      }
      const result = run(root, node, files)
      keep(result)
      if (!hasPassed(result)) process.exitCode = 1
      longest = Math.max(longest, result.seconds)
      writePage(why)
    }
    writePage(why)
    const results = cells.map(({ root, node }) => resultOf(root, node))
    // Who gives so many minutes takes what they are enough for.
    const isEnough = values.minutes !== undefined && results.some((result) => result)
    if (!results.every((result) => (result ? hasPassed(result) : isEnough))) process.exitCode = 1
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
