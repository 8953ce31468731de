// Every function of the libssl layer, misused. What is tried is generated from the types of its parameters, in
// test/support/misuse/. A crash would take the tests with it, so the calls are made by another process; if that dies,
// the function it was in is to blame, and the next process goes on behind it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LeakReport } from 'openssl-session/libssl'
import { credentials } from '../support/credentials.js'
import { type ExportedFunction, presentFunctions } from '../support/libssl_api.js'
import type { Line } from '../support/misuse/calls.js'
import type { Task } from '../support/misuse/runner.js'
import { steps } from '../support/misuse/walk.js'
import { thorough, times } from '../support/thorough.js'

const runner = join(dirname(fileURLToPath(import.meta.url)), '..', 'support', 'misuse', 'runner.js')
/** How long, in milliseconds, a call may take. */
const patience = 60_000

interface Outcomes {
  /** What was called and what was wrong, by function. */
  readonly calls: Map<string, string[]>
  readonly complaints: Map<string, string[]>
  /** What the last process still held at its end. */
  left?: LeakReport
}

/** Runs processes until every function had its turn. */
async function misuse(how: Task['misuse'], functions: ExportedFunction[], env: NodeJS.ProcessEnv): Promise<Outcomes> {
  const outcomes: Outcomes = { calls: new Map(), complaints: new Map() }
  let remaining = functions
  while (remaining.length > 0) {
    await run({ misuse: how, functions: remaining, all: functions, credentials: credentials() }, env, outcomes)
    remaining = remaining.filter(({ name }) => !outcomes.calls.has(name))
  }
  return outcomes
}

async function run(task: Task, env: NodeJS.ProcessEnv, outcomes: Outcomes): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'openssl-session-misuse-'))
  try {
    const [taskFile, logFile] = [join(folder, 'task.json'), join(folder, 'log')]
    writeFileSync(taskFile, JSON.stringify(task))
    writeFileSync(logFile, '')
    const child = spawn(process.execPath, ['--expose-gc', runner, taskFile, logFile], {
      // Freed memory is filled with a pattern, so that using it shows.
      env: { ...process.env, MALLOC_PERTURB_: '165', ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const errors: Buffer[] = []
    child.stderr?.on('data', (chunk) => errors.push(chunk))
    const watch = watchForProgress(logFile, () => child.kill('SIGKILL'))
    const [code, signal] = await once(child, 'close')
    clearInterval(watch)
    const lines = readFileSync(logFile, 'utf8').trim().split('\n')
    const last = read(
      lines.filter(Boolean).map((line): Line => JSON.parse(line)),
      outcomes,
    )
    if (outcomes.left) return
    if (!last) throw new Error(`the process did not start: ${Buffer.concat(errors)}`)
    const why = signal === 'SIGKILL' ? 'made no progress' : `died (${signal ?? `exit code ${code}`})`
    add(outcomes.complaints, last.about, `the process ${why} in ${last.call}\n${Buffer.concat(errors)}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Gives up when the log has not grown for a while. */
function watchForProgress(logFile: string, giveUp: () => void): NodeJS.Timeout {
  let seen = -1
  return setInterval(() => {
    const { size } = statSync(logFile)
    if (size === seen) giveUp()
    seen = size
  }, patience)
}

/** Distributes a log to the functions it is about. Returns the last call in it. */
function read(lines: readonly Line[], outcomes: Outcomes): { about: string; call: string } | undefined {
  let last: { about: string; call: string } | undefined
  for (const line of lines) {
    if ('left' in line) outcomes.left = line.left
    else if ('complaint' in line) add(outcomes.complaints, line.about, line.complaint)
    else {
      add(outcomes.calls, line.about, line.call)
      last = line
    }
  }
  return last
}

function add(map: Map<string, string[]>, name: string, text: string): void {
  const texts = map.get(name)
  if (texts === undefined) map.set(name, [text])
  else texts.push(text)
}

/** The tests of one way of misuse: one for each function, and one for what is left behind. */
function describeMisuse(
  title: string,
  how: Task['misuse'],
  env: NodeJS.ProcessEnv,
  least: (f: ExportedFunction) => number,
) {
  describe(title, function () {
    this.timeout(10 * 60_000)
    const functions = presentFunctions()
    let outcomes: Outcomes

    before('the functions are called in other processes', async () => {
      outcomes = await misuse(how, functions, env)
    })

    for (const f of functions) {
      const calls = least(f)
      if (calls === 0) continue
      it(`${f.name} answers with an error or with what C answers`, () => {
        assert.deepEqual(outcomes.complaints.get(f.name) ?? [], [])
        // The generator did not quietly run dry.
        assert.ok(f.optional || (outcomes.calls.get(f.name) ?? []).length >= calls, 'hardly any calls were made')
      })
    }

    it('leaves no object behind', () => {
      assert.deepEqual(outcomes.left?.live, { SSL_CTX: 0, SSL: 0, SSL_SESSION: 0 })
    })
  })
}

const takesConnection = ({ parameters }: ExportedFunction) =>
  parameters.some(({ types }) => types.some((type) => ['SSL', 'SSL_CTX', 'SSL_SESSION'].includes(type)))
const setsCallback = ({ parameters }: ExportedFunction) =>
  parameters.some(({ types }) => types.some((type) => type.endsWith('Callback')))

describe('a function of openssl-session/libssl', () => {
  const badArguments = ({ parameters }: ExportedFunction) => 4 + 30 * parameters.length
  describeMisuse('given bad arguments, or good ones in odd states', 'arguments', {}, badArguments)

  const everyMoment = (f: ExportedFunction) => (takesConnection(f) ? times(28, 14) : 0)
  describeMisuse('called inside callbacks or while their answers are awaited', 'moments', {}, everyMoment)

  const everyAnswer = (f: ExportedFunction) => (setsCallback(f) ? 100 : 0)
  describeMisuse('that set a callback which answers nonsense', 'answers', {}, everyAnswer)
  describeMisuse('at the start of many calls without a plan', 'walks', {}, () => 0.9 * steps)

  if (!thorough) return
  const env = { OPENSSL_SESSION_ASYNC: '0' }
  describeMisuse('called inside callbacks, without async jobs', 'moments', env, everyMoment)
  describeMisuse('that set a callback which answers nonsense, without async jobs', 'answers', env, everyAnswer)
})
