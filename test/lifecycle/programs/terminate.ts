// Ends worker threads from outside, over and over, while they are in certain states. Reports what is alive before and
// after, and whether a handshake of this thread, paused all the while, can still be finished.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import * as libssl from 'openssl-session/libssl'
import { Pair, type Protocol, protocols } from '../endpoints.js'
import { Random } from '../random.js'
import { established } from './interrupt.js'
import { task } from './task.js'

export interface Report {
  readonly before: libssl.LeakReport
  readonly after: libssl.LeakReport
  readonly exitCodes: readonly number[]
  readonly ownHandshake: string
}

const { states, rounds, seed } = task as unknown as { states: string[]; rounds: number; seed: number }
const random = new Random(seed)
const victim = new URL('./victim.js', import.meta.url)

async function endOne(state: string, protocol: Protocol): Promise<number> {
  const worker = new Worker(victim, { workerData: { ...task, state, protocol } })
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error))
  if (state === 'starting') await delay(random.below(60))
  else await Promise.race([once(worker, 'message'), failed])
  if (state === 'handshakes being done') await delay(random.below(10))
  const exit = once(worker, 'exit')
  await Promise.race([worker.terminate(), failed])
  failed.catch(() => {})
  return (await exit)[0]
}

const { ctx, clientCtx } = await established(task, 'TLSv1.3')
let goOn = () => {}
libssl.SSL_CTX_set_cert_cb(ctx, () => new Promise((resolve) => (goOn = () => resolve(1))))
const own = new Pair(clientCtx, ctx)
await own.handshake({ stopAtQuestion: true })

const before = libssl.leaks()
const exitCodes: number[] = []
for (let round = 0; round < rounds; round++) {
  for (const state of states) exitCodes.push(await endOne(state, random.pick(protocols)))
}
const after = libssl.leaks()

goOn()
const report: Report = { before, after, exitCodes, ownHandshake: await own.handshake() }
console.log(JSON.stringify(report))
