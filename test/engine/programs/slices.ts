// Tells the time slices of this process's threads, by the kernel's own account: before there is an engine, with one, and after it.

import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, createServer } from 'openssl-session'
import { say, task } from './task.js'

/** In milliseconds; null where the kernel tells none. */
export interface Slices {
  readonly main: number | null
  /** Of all threads but the kernel's, which it has do what libuv asks of an io_uring, and which begin as the thread that asks. */
  readonly all: readonly (number | null)[]
}

function sliceOf(thread: string): number | null {
  const text = readFileSync(`/proc/self/task/${thread}/sched`, 'latin1')
  const [, nanoseconds] = /^se\.slice\s*:\s*(\d+)$/m.exec(text) ?? []
  return nanoseconds === undefined ? null : Number(nanoseconds) / 1e6
}

function isKernels(thread: string): boolean {
  return readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').startsWith('iou-')
}

function slices(): Slices {
  try {
    const threads = readdirSync('/proc/self/task').filter((thread) => !isKernels(thread))
    return { main: sliceOf(String(process.pid)), all: threads.map(sliceOf) }
  } catch {
    return { main: null, all: [] }
  }
}

const before = slices()
const { cert, key, ca } = task
const server = createServer({ cert, key, threads: 2 }, (socket) => socket.end())
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const client = connect({ port, host: '127.0.0.1', servername: 'localhost', ca, threads: 2 })
await once(client, 'secureConnect')
const meanwhile = slices()
client.end()
server.close()
await Promise.all([once(client.resume(), 'close'), once(server, 'close')])
// The threads end a second after the last connection.
await sleep(2000)
say({ before, meanwhile, after: slices() })
process.disconnect?.()
