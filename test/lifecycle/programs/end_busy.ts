// Ends the process while this thread has paused handshakes and the threads beside it are making theirs.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Pair, protocols } from '../endpoints.js'
import { answeredHandshake, established, pausedHandshakes } from './interrupt.js'
import { task } from './task.js'

const { manner, workers } = task as unknown as { manner: 'exit' | 'end' | 'throw'; workers: number }

for (const protocol of protocols) {
  await pausedHandshakes(task, protocol)
  await answeredHandshake(task, protocol)
}
const victim = new URL('./victim.js', import.meta.url)
const data = { ...task, state: 'handshakes being done' }
const threads = Array.from({ length: workers }, () => new Worker(victim, { workerData: data }))
await Promise.all(threads.map((worker) => once(worker, 'message')))

// Libssl is still at work in the last moments of the process.
const { ctx, clientCtx, session } = await established(task, 'TLSv1.3')
process.on('exit', () => {
  const pair = new Pair(clientCtx, ctx, session)
  while (pair.client.advance() === 'starved' && pair.server.advance() === 'starved') pair.exchange()
  pair.close()
})
if (manner === 'exit') process.exit(42)
if (manner === 'throw') throw new Error('thrown at the top')
process.exitCode = 42
for (const worker of threads) worker.unref()
