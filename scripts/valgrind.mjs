// Runs tests under valgrind's memcheck and fails when our code, or OpenSSL called by it, touches memory it must not, uses
// memory it has not written, or loses memory for good. Which tests: those that exercise the addon most, below.
//
//   node scripts/valgrind.mjs [build/test/some.test.js ...]

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasProgram, installCommand } from '../native/toolchain.mjs'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

/** Test files and folders of them, below test/. The rest starts other programs, or runs little native code. */
const representative = ['session', 'tls/handshake']

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

/** Runs one test file. Resolves with mocha's exit code; each process leaves a report in `folder`. */
function memcheck(file, folder) {
  const flags = [...valgrindFlags, `--xml-file=${join(folder, '%p.xml')}`]
  if (existsSync(suppressions)) flags.push(`--suppressions=${suppressions}`)
  const child = spawn('valgrind', [...flags, process.execPath, '--expose-gc', ...mocha, file], { stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve({ main: join(folder, `${child.pid}.xml`), code: signal ?? code }))
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

function print({ what, parts }) {
  console.error(`\n${what}`)
  for (const part of parts) {
    if (!Array.isArray(part)) {
      console.error(`  ${part}`)
      continue
    }
    // What is far below the last frame of ours is V8 calling JavaScript, which helps nobody.
    const shown = part.slice(0, Math.max(10, part.findLastIndex(({ object }) => ours.test(object)) + 3))
    console.error(shown.map(({ label }) => `    ${label}`).join('\n'))
  }
}

async function check(file) {
  console.log(`memcheck: ${file}`)
  const folder = join('build', 'valgrind', basename(file, '.test.js'))
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { main, code } = await memcheck(file, folder)
  if (!readFileSync(main, 'utf8').includes('</valgrindoutput>')) throw new Error(`${file} crashed (${code}).`)
  const reports = readdirSync(folder).map((name) => join(folder, name))
  const faults = reports.flatMap(readFaults)
  const serious = faults.filter(isOurs)
  serious.forEach(print)
  const elsewhere = faults.length - serious.length
  console.log(
    `  ${reports.length} processes: ${serious.length} faults in our code, ${elsewhere} in others'; mocha ended with ${code}`,
  )
  return code === 0 && serious.length === 0
}

try {
  if (!hasProgram('valgrind')) {
    const command = installCommand([{ 'apt-get': 'valgrind', dnf: 'valgrind', apk: 'valgrind', brew: 'valgrind' }])
    throw new Error(`valgrind is missing.${command ? ` Install it with:\n\n  ${command}\n` : ''}`)
  }
  const chosen = process.argv.slice(2)
  const files = chosen.length > 0 ? chosen : representative.flatMap(testFiles)
  const faulty = []
  for (const file of files) if (!(await check(file))) faulty.push(file)
  if (faulty.length > 0) throw new Error(`memcheck failed for ${faulty.join(', ')}`)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
