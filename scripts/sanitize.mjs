// Runs tests on an addon instrumented by AddressSanitizer or ThreadSanitizer and fails when a report names our code:
// memory that is used after it was freed or beyond its end, or by two threads with nothing to order them. Which tests:
// all of them, or the files given. OpenSSL is linked into the addon (sanitizers do not go with RTLD_DEEPBIND): the
// system's, or one that was built with the same sanitizer, which then sees what OpenSSL's own code does.
//
//   node scripts/sanitize.mjs address|thread [--openssl_root=DIR] [build/test/some.test.js ...]
//
// Node is not instrumented: only its calls of the C library are seen, and reports without a frame of the addon are
// counted, not judged. Leaks are for scripts/valgrind.mjs: LeakSanitizer does not see what V8's heap points to, and after
// process.exit(), where Node tears nothing down, it reports V8's own memory by the hundred.

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

const suppressions = resolve('test', 'support', 'sanitizers', 'thread.supp')

const sanitizers = {
  address: { library: 'libasan.so', variable: 'ASAN_OPTIONS', options: ['detect_leaks=0', 'malloc_context_size=50'] },
  thread: {
    library: 'libtsan.so',
    variable: 'TSAN_OPTIONS',
    options: [
      `suppressions=${suppressions}`,
      'print_suppressions=1',
      // Reports are read from the logs. With an exit code of their own they would fail tests for the wrong reason.
      'exitcode=0',
      // Otherwise every program waits a second before it ends.
      'atexit_sleep_ms=0',
      // It tells of these handlers on the standard error, which some tests want empty. A crash fails the test as it is.
      'handle_segv=0:handle_sigbus=0:handle_sigfpe=0',
      'history_size=4',
      'second_deadlock_stack=1',
    ],
  },
}

/** The time that mocha gives a test which asks for no other: five times the usual. The environment is mocha's, too. */
const timeout = 5 * createRequire(import.meta.url)('../.mocharc.cjs').timeout

/** A stack frame of ours: of the addon as a file, or of its sources. OpenSSL inside the addon counts as ours. */
const ours = /openssl_session\.node|\/native\/(bind|engine|openssl|session)\/|\/native\/addon\.cc/

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`\`${[command, ...args].join(' ')}\` failed.`, { cause: error })
}

/** The sanitizer's library, which has to be in a process before anything else. */
function runtimeLibrary(name) {
  const { stdout } = spawnSync('c++', [`-print-file-name=${name}`], { encoding: 'utf8' })
  const file = stdout?.trim() ?? ''
  if (!isAbsolute(file))
    throw new Error(`The compiler (c++) has no ${name}. This needs GCC and its sanitizers on Linux.`)
  return file
}

/** Builds the instrumented addon. Returns its file. */
function build(kind, opensslRoot) {
  const folder = join('build', kind)
  const definitions = [`SANITIZE=${kind}`, 'OPENSSL_STATIC=ON', `OPENSSL_ROOT=${opensslRoot}`]
  const args = ['--directory', 'native', '--out', folder, ...definitions.map((definition) => `--CD${definition}`)]
  // Every time, because it also lists the sources.
  for (const command of ['configure', 'build']) run('npx', ['--no', 'cmake-js', command, ...args])
  return resolve(folder, 'Release', 'openssl_session.node')
}

/**
 * A folder for the front of PATH, whose programs begin without the sanitizer. It has nothing to say about them, and they do
 * not all bear it: with libasan, curl stops for ever in its first setlocale(); with libtsan, sh crashes.
 */
function otherPrograms() {
  const folder = resolve('build', 'sanitize', 'bin')
  mkdirSync(folder, { recursive: true })
  for (const name of ['curl', 'openssl', 'redis-server', 'redis-cli', 'valkey-server', 'valkey-cli']) {
    const script = `#!/usr/bin/env -S -u LD_PRELOAD sh\nPATH=\${PATH#*:} exec ${name} "$@"\n`
    writeFileSync(join(folder, name), script, { mode: 0o755 })
  }
  return folder
}

/** Runs a test file; each Node program that it starts inherits the sanitizer. Resolves with what mocha said. */
function runTests(file, env) {
  const mocha = [join('node_modules', 'mocha', 'bin', 'mocha.js'), '--no-config', '--timeout', `${timeout}`]
  const child = spawn(process.execPath, ['--enable-source-maps', ...mocha, file], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  return new Promise((done, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => done({ output: output.trim(), code: signal ?? code }))
  })
}

/** The first line of a report, or what the sanitizer says when it gives up itself. */
const headline = /^(?=.*(?:WARNING: Thread|ERROR: Address|ERROR: Thread|CHECK failed|FATAL: ))/m

/** What the log of a process tells: its reports, and how many more the suppressions have kept back. */
function readLog(file) {
  const log = readFileSync(file, 'utf8')
  const [, ...reports] = log.split(headline)
  const kept = [...log.matchAll(/Matched (\d+) suppressions/g)]
  return {
    // Programs that Node starts begin as copies of it, which have a log too.
    isNode: /\.node\.\d+$/.test(file) && /Running under|Init done/.test(log),
    reports: reports.map((report) => report.replace(/(^SUMMARY.*$)[\s\S]*/m, '$1')),
    suppressed: kept.reduce((sum, [, count]) => sum + Number(count), 0),
  }
}

/** Runs one test file and tells what came of it. Returns its figures, and whether it is good. */
async function check(kind, file, environment) {
  const folder = resolve('build', 'sanitize', kind, relative(join('build', 'test'), file).replace(/\.test\.js$/, ''))
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const begin = performance.now()
  const { output, code } = await runTests(file, environment(folder))
  const seconds = Math.round((performance.now() - begin) / 1000)
  const logs = readdirSync(folder).map((name) => readLog(join(folder, name)))
  const reports = logs.flatMap(({ reports }) => reports)
  const figures = {
    processes: logs.filter(({ isNode }) => isNode).length,
    ours: reports.filter((report) => ours.test(report)).length,
    others: reports.filter((report) => !ours.test(report)).length,
    suppressed: logs.reduce((sum, log) => sum + log.suppressed, 0),
    seconds,
  }
  const good = code === 0 && figures.ours === 0
  console.log(`${file}: ${describe(figures)}; mocha ended with ${code}`)
  if (!good) console.log([output, ...reports.filter((report) => ours.test(report))].join('\n\n'))
  return { figures, good }
}

const describe = ({ processes, ours, others, suppressed, seconds }) =>
  `${processes} Node processes, ${ours} reports on our code, ${others} on others', ${suppressed} suppressed, ${seconds} s`

function parse([kind, ...args]) {
  if (!sanitizers[kind])
    throw new Error('Usage: node scripts/sanitize.mjs address|thread [--openssl_root=DIR] [FILE ...]')
  const root = args.find((arg) => arg.startsWith('--openssl_root='))?.replace(/^.*?=/, '')
  const chosen = args.filter((arg) => !arg.startsWith('--'))
  const all = readdirSync(join('build', 'test'), { recursive: true }).filter((name) => name.endsWith('.test.js'))
  const files = chosen.length > 0 ? chosen : all.sort().map((name) => join('build', 'test', name))
  return { kind, opensslRoot: root ? resolve(root) : '', files }
}

try {
  const { kind, opensslRoot, files } = parse(process.argv.slice(2))
  const { library, variable, options } = sanitizers[kind]
  const preload = runtimeLibrary(library)
  const addon = build(kind, opensslRoot)
  // Verbose, so that every program writes a log, and can be counted.
  const path = `${otherPrograms()}:${process.env.PATH}`
  const environment = (folder) => ({
    ...process.env,
    PATH: path,
    LD_PRELOAD: preload,
    OPENSSL_SESSION_BUILD: addon,
    OPENSSL_SESSION_TESTS: process.env.OPENSSL_SESSION_TESTS ?? 'complete',
    [variable]: [...options, 'verbosity=1', 'log_exe_name=1', `log_path=${join(folder, 'log')}`].join(':'),
  })
  const total = {}
  const faulty = []
  // One after the other: some tests measure time.
  for (const file of files) {
    const { figures, good } = await check(kind, file, environment)
    for (const [name, value] of Object.entries(figures)) total[name] = (total[name] ?? 0) + value
    if (!good) faulty.push(file)
  }
  console.log(`${files.length} test files: ${describe(total)}`)
  if (faulty.length > 0) throw new Error(`failed under the ${kind} sanitizer: ${faulty.join(', ')}`)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
