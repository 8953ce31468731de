// A server whose store answers when it is told to, in a process of its own: what it has is what is measured.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createServer, leaks } from 'openssl-session'
import { say, task } from './task.js'

export interface Report {
  readonly waiting: number
  /** Resident memory for each that waits. */
  readonly bytes: number
  /** SSL objects. */
  readonly before: number
  readonly whileWaiting: number
}

const sessions = new Map<string, Buffer>()
const waiting: (() => void)[] = []
let holding = false

const store = {
  get: (id: Buffer) => {
    const session = sessions.get(id.toString('hex')) ?? null
    if (!holding) return session
    return new Promise<Buffer | null>((resolve) => waiting.push(() => resolve(session)))
  },
  set: (id: Buffer, session: Buffer) => void sessions.set(id.toString('hex'), session),
  delete: () => {},
}

const { cert, key, lookupTimeout = 120_000 } = task
const options = { cert, key, threads: 2, sessionStore: store, lookupTimeout: lookupTimeout as number }
const server = createServer(options, (socket) => socket.on('error', () => {}).resume())
server.on('sessionStoreError', () => {})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(server, 'listening')

function memory(): number {
  global.gc?.()
  return process.memoryUsage.rss()
}

async function idle(): Promise<void> {
  await until(() => leaks().live.SSL === before.ssl)
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5)
}

const before = { ssl: leaks().live.SSL, memory: 0 }

process.on('message', async (message) => {
  const [command = '', ...rest] = String(message).split(' ')
  if (command === 'hold') {
    await idle()
    before.memory = memory()
    holding = true
  } else if (command === 'wait') {
    const count = Number(rest.at(-1))
    await until(() => waiting.length >= count)
    const bytes = (memory() - before.memory) / count
    say({ waiting: waiting.length, bytes, before: before.ssl, whileWaiting: leaks().live.SSL } satisfies Report)
  } else if (command === 'answer') {
    holding = false
    for (const answer of waiting.splice(0)) answer()
  } else if (command === 'block') {
    say('blocked')
    // After the message has gone.
    setImmediate(() => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(rest[0]))
      say('awake')
    })
  } else if (command === 'close') {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    await idle()
    process.removeAllListeners('message')
    say(leaks().live.SSL)
  }
})
say((server.address() as AddressInfo).port)
