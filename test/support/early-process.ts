// A server process that accepts early data and shares a Redis with others: what it can be told, and how a test tells it.
// Started as a program, this file is such a process.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createServer } from 'openssl-session'
import { RedisSessionStore, SealedSessionStore } from 'openssl-session/stores'
import { createClient } from 'redis'
import { certs } from './certs.js'

interface Setup {
  /** Engine threads, 0 for none. */
  readonly threads: number
  readonly redis: string
  /** Whether sessions are sealed. */
  readonly sealed: boolean
}

/** What a server has seen so far. */
interface Seen {
  /** Connections whose early data it has accepted. */
  accepted: number
  /** All early data that it has read. */
  early: string
}

export class EarlyProcess {
  readonly #child: ChildProcess
  readonly port: number

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  static async start(setup: Setup): Promise<EarlyProcess> {
    const { chainFile, keyFile } = certs().server
    const child = fork(fileURLToPath(import.meta.url), [JSON.stringify({ ...setup, chainFile, keyFile })])
    const [port] = (await once(child, 'message')) as [number]
    return new EarlyProcess(child, port)
  }

  async seen(): Promise<Seen> {
    this.#child.send('seen')
    const [seen] = (await once(this.#child, 'message')) as [Seen]
    return seen
  }

  async stop(): Promise<void> {
    this.#child.disconnect()
    await once(this.#child, 'exit')
  }
}

async function serve(setup: Setup & { chainFile: string; keyFile: string }): Promise<void> {
  const client = createClient({ url: setup.redis })
  await client.connect()
  const store = new RedisSessionStore(client)
  const sessionStore = setup.sealed ? new SealedSessionStore({ store, keys: [Buffer.alloc(32, 5)] }) : store
  const identity = { cert: readFileSync(setup.chainFile), key: readFileSync(setup.keyFile) }
  const seen: Seen = { accepted: 0, early: '' }
  const server = createServer({ ...identity, threads: setup.threads, sessionStore, maxEarlyData: 1024 }, (socket) => {
    socket.on('error', () => {})
    if (socket.earlyData === 'accepted') seen.accepted += 1
    socket.on('data', (chunk) => {
      if (!socket.handshakeComplete) seen.early += chunk
      socket.write(chunk)
    })
    socket.on('end', () => socket.end())
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
  process.on('message', () => process.send?.(seen))
  process.on('disconnect', () => process.exit())
}

const [, program, setup] = process.argv
if (program === fileURLToPath(import.meta.url) && setup !== undefined) void serve(JSON.parse(setup))
