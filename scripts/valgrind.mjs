// Runs tests under valgrind's memcheck and fails when our code, or OpenSSL called by it, touches memory it must not, uses
// memory it has not written, or loses memory for good. Which tests: those that exercise the addon most, below.
//
//   node scripts/valgrind.mjs [build/test/some.test.js ...]

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasProgram, installCommand } from '../native/toolchain.mjs'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

/** Test files and folders of them, below test/. The rest starts other programs, or runs little native code. */
const representative = ['lifecycle/brief', 'session', 'tls/handshake']

/** What valgrind calls ours: a fault counts if any of these is on one of its stacks. */
const ours = /openssl_session\.node|\/lib(ssl|crypto)\.so/

const valgrindFlags = [
  '--tool=memcheck',
  '--leak-check=full',
  '--show-leak-kinds=definite',
  '--errors-for-leak-kinds=definite',
  // Deep enough to get from an allocation inside OpenSSL to the frame of ours that asked for it.
  '--num-callers=50',
  '--keep-debuginfo=yes',
  '--fair-sched=yes',
  // Node processes that a test starts are watched too; other programs are not ours to judge.
  '--trace-children=yes',
  '--trace-children-skip=*/openssl,*/sh,*/@typescript/*',
  '--xml=yes',
]
const suppressions = join('test', 'support', 'valgrind.supp')

// Mocha is told everything here: with its own configuration it would start Node a second time, outside valgrind.
const mocha = [join('node_modules', 'mocha', 'bin', 'mocha.js'), '--no-config', '--timeout', '0', '--reporter', 'dot']

function testFiles(name) {
  const folder = join('build', 'test', name)
  if (!existsSync(folder)) return `${folder}.test.js`
  const names = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.test.js'))
  return names.sort().map((file) => join(folder, file))
}

/** Runs one test file. Resolves with what mocha wrote and its exit code; each process leaves a report in `folder`. */
function memcheck(file, folder) {
  const flags = [...valgrindFlags, `--xml-file=${join(folder, '%p.xml')}`]
  if (existsSync(suppressions)) flags.push(`--suppressions=${suppressions}`)
  const child = spawn('valgrind', [...flags, process.execPath, '--expose-gc', ...mocha, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ main: join(folder, `${child.pid}.xml`), output: output.trim(), code: signal ?? code })
    })
  })
}

const text = (xml, tag) => decode(xml.match(new RegExp(`<${tag}>(.*?)</${tag}>`, 's'))?.[1] ?? '')
const decode = (xml) => xml.replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => entities[name])
const entities = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }

/** The faults in the report of one process. What a test kills leaves a report without an end. */
function readFaults(report) {
  const xml = readFileSync(report, 'utf8')
  return [...xml.matchAll(/<error>(.*?)<\/error>/gs)].map(([, error]) => ({
    what: text(error, 'what') || text(text(error, 'xwhat'), 'text'),
    parts: [...error.matchAll(/<auxwhat>(.*?)<\/auxwhat>|<stack>(.*?)<\/stack>/gs)].map(([, note, stack]) =>
      note ? decode(note) : [...stack.matchAll(/<frame>(.*?)<\/frame>/gs)].map(([, frame]) => readFrame(frame)),
    ),
  }))
}

function readFrame(frame) {
  const [object, file] = [text(frame, 'obj'), text(frame, 'file')]
  return {
    object,
    label: `${text(frame, 'fn') || '?'} (${file ? `${file}:${text(frame, 'line')}` : basename(object)})`,
  }
}

const isOurs = ({ parts }) => parts.some((part) => Array.isArray(part) && part.some(({ object }) => ours.test(object)))

function describe({ what, parts }) {
  const lines = parts.flatMap((part) => {
    if (!Array.isArray(part)) return [`  ${part}`]
    // What is far below the last frame of ours is V8 calling JavaScript, which helps nobody.
    const shown = part.slice(0, Math.max(10, part.findLastIndex(({ object }) => ours.test(object)) + 3))
    return shown.map(({ label }) => `    ${label}`)
  })
  return ['', what, ...lines].join('\n')
}

/** Watches one test file. Tells what came of it when it is done, and returns whether that is good. */
async function check(file) {
  const folder = join('build', 'valgrind', relative(join('build', 'test'), file).replace(/\.test\.js$/, ''))
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { main, output, code } = await memcheck(file, folder)
  const crashed = !readFileSync(main, 'utf8').includes('</valgrindoutput>')
  const reports = readdirSync(folder).map((name) => join(folder, name))
  const faults = reports.flatMap(readFaults)
  const serious = faults.filter(isOurs)
  const good = code === 0 && !crashed && serious.length === 0
  const elsewhere = faults.length - serious.length
  console.log(
    `${file}: ${reports.length} processes, ${serious.length} faults in our code, ${elsewhere} in others'; ` +
      `mocha ${crashed ? 'crashed' : 'ended'} with ${code}`,
  )
  if (!good) console.log([output, ...serious.map(describe)].join('\n'))
  return good
}

/** Watches test files, as many at a time as there are processors. Returns those that are not good. */
async function checkAll(files) {
  const waiting = [...files]
  const faulty = []
  const work = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) if (!(await check(file))) faulty.push(file)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return faulty
}

try {
  if (!hasProgram('valgrind')) {
    const command = installCommand([{ 'apt-get': 'valgrind', dnf: 'valgrind', apk: 'valgrind', brew: 'valgrind' }])
    throw new Error(`valgrind is missing.${command ? ` Install it with:\n\n  ${command}\n` : ''}`)
  }
  const chosen = process.argv.slice(2)
  const files = chosen.length > 0 ? chosen : representative.flatMap(testFiles)
  const faulty = await checkAll(files)
  if (faulty.length > 0) throw new Error(`memcheck failed for ${faulty.join(', ')}`)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
