// Loads the addon in worker threads: in many at once, or in one that is gone before the next one loads it. The main
// thread has no addon until the end.

import { type Transferable, Worker } from 'node:worker_threads'
import { Random } from '../random.js'
import { task } from './task.js'

export interface Report {
  readonly exitCodes: readonly number[]
  /** What the main thread, which loads the addon last, finds alive. */
  readonly live: object
  readonly ownHandshakes: readonly string[]
}

const { plan, seed } = task as unknown as { plan: 'at once' | 'one after the other'; seed: number }
const random = new Random(seed)

/** Starts a worker that makes `handshakes` handshakes, then tells and ends, or waits to be ended. */
function start(handshakes: number, then: 'end' | 'wait') {
  const worker = new Worker(new URL('./few_handshakes.js', import.meta.url), {
    workerData: { ...task, handshakes, stay: then === 'wait' } satisfies Transferable | object,
  })
  const exit = new Promise<number>((resolve, reject) => {
    worker.on('exit', resolve)
    worker.on('error', reject)
  })
  const done = new Promise<void>((resolve) => worker.on('message', resolve))
  return { worker, exit, done }
}

const exitCodes: number[] = []
if (plan === 'at once') {
  const workers = Array.from({ length: 10 }, (_, number) => start(10, number % 3 === 0 ? 'end' : 'wait'))
  await Promise.all(workers.map(({ done }) => done))
  for (const { worker, exit } of random.shuffle(workers)) {
    void worker.terminate()
    exitCodes.push(await exit)
  }
} else {
  for (let number = 0; number < 10; number++) exitCodes.push(await start(2, 'end').exit)
}

const libssl = await import('openssl-session/libssl')
const { makeHandshakes } = await import('./few_handshakes.js')
const { live } = libssl.leaks()
console.log(JSON.stringify({ exitCodes, live, ownHandshakes: await makeHandshakes(4) } satisfies Report))
