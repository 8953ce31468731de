// Servers that try to listen with fewer and fewer descriptors left. Says how each of them fared.

import { once } from 'node:events'
import { closeSync, openSync, readdirSync } from 'node:fs'
import net from 'node:net'
import { createServer } from 'openssl-session'
import { say, task } from './task.js'

/** What a server came to that had so many descriptors left, and how many it has left open then. */
export interface Attempt {
  readonly outcome: string
  readonly left: number
}

const openFiles = (): number => readdirSync('/proc/self/fd').length

async function attempt(port: number): Promise<string> {
  const { cert, key } = task
  const server = createServer({ cert, key, threads: 4 })
  server.listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'no code'
  }
  server.close()
  await once(server, 'close')
  return 'listening'
}

// The port of somebody who has gone, and everything that is loaded late.
const probe = net.createServer().listen(0, '127.0.0.1')
await once(probe, 'listening')
const { port } = probe.address() as net.AddressInfo
probe.close()
await once(probe, 'close')
const before = openFiles()

const taken: number[] = []
try {
  for (;;) taken.push(openSync('/dev/null', 'r'))
} catch {
  // None is left.
}
const attempts: Attempt[] = []
for (let free = 3; free <= 60; free += 3) {
  for (let more = 0; more < 3; more++) closeSync(taken.pop() as number)
  const outcome = await attempt(port)
  if (outcome === 'listening') break
  // One more to look with.
  closeSync(taken.pop() as number)
  attempts.push({ outcome, left: openFiles() - taken.length - before })
  taken.push(openSync('/dev/null', 'r'))
}
for (const fd of taken) closeSync(fd)
say({ attempts, after: await attempt(port) })
process.disconnect()
