// Ends its thread, or the whole process, from inside a callback, with all kinds of objects alive and handshakes under
// way. As a thread of its own it tells the main thread's report() what came of it.

import { isMainThread, Worker } from 'node:worker_threads'
import * as libssl from 'openssl-session/libssl'
import type { Protocol } from '../endpoints.js'
import { actInside, actInsideFromLoop, type CallbackName } from './interrupt.js'
import { task } from './task.js'

/** What the main thread saw of a worker that ended. */
export interface Report {
  readonly before: libssl.LeakReport
  readonly after: libssl.LeakReport
  readonly exitCode: number
  readonly error: string | null
}

const { callback, manner, thread, protocol } = task as unknown as {
  callback: CallbackName | 'loop'
  manner: 'exit' | 'throw'
  thread: 'main' | 'worker'
  protocol: Protocol
}

function end(): never {
  if (manner === 'exit') process.exit(42)
  throw new Error('thrown in a callback')
}

async function watch(): Promise<Report> {
  const before = libssl.leaks()
  let message: string | null = null
  const worker = new Worker(new URL(import.meta.url), { workerData: task })
  worker.on('error', (error) => {
    message = error.message
  })
  const exitCode = await new Promise<number>((resolve) => worker.on('exit', resolve))
  return { before, after: libssl.leaks(), exitCode, error: message }
}

if (isMainThread && thread === 'worker') console.log(JSON.stringify(await watch()))
else if (callback === 'loop') await actInsideFromLoop(task, protocol, end)
else await actInside(callback, task, protocol, end)
