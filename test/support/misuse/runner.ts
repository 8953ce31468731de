// A program of its own, because what it does may kill it: misuses functions of the libssl layer and writes a log, which
// test/libssl/misuse.test.ts reads.
//
//   node --expose-gc runner.js <task.json> <log>

import { readFileSync } from 'node:fs'
import { leaks } from 'openssl-session/libssl'
import type { Credentials } from '../credentials.js'
import type { ExportedFunction } from '../libssl_api.js'
import { times } from '../thorough.js'
import { misuseAnswers } from './answers.js'
import { misuseArguments } from './arguments.js'
import { Calls } from './calls.js'
import { misuseMoments } from './moments.js'
import { Specimens } from './specimens.js'
import { walks } from './walk.js'

export interface Task {
  readonly misuse: keyof typeof misuses
  /** Those that it is the turn of. */
  readonly functions: readonly ExportedFunction[]
  readonly all: readonly ExportedFunction[]
  readonly credentials: Credentials
}

const [taskFile, logFile] = process.argv.slice(2) as [string, string]
const { misuse, functions, all, credentials }: Task = JSON.parse(readFileSync(taskFile, 'utf8'))
const misuses = { arguments: misuseArguments, answers: misuseAnswers, moments: misuseMoments, walks: walks(all) }
const calls = new Calls(logFile)
/** After how many functions garbage is collected. */
const interval = times(1, 20)

// In a function, because what it holds has to be gone before what is left is counted.
async function misuseAll(): Promise<void> {
  const specimens = new Specimens(credentials)
  for (const [index, f] of functions.entries()) {
    calls.begin(f.name)
    await misuses[misuse](f, calls, specimens)
    calls.announce(`what came after the calls of ${f.name}`)
    if (index % interval === 0) await calls.settle()
  }
}

await misuseAll()
// What one collection frees may hold what the next one can free.
for (let round = 0; round < 5; round++) await calls.settle()
calls.end(leaks())
