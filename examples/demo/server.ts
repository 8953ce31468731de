// One server process of a demo: a TLS server whose sessions live in a store that other processes share.
//
//   node server.js NAME STORE FOLDER ADDRESS
//
// STORE is the path of an LMDB file, `unreachable`, or the URL of a Redis; several, with commas between them, are nodes of a
// Cluster. FOLDER holds key.pem and cert.pem, and seal.key for Redis. The port at ADDRESS is sent to the parent, and, when it asks, what
// the store is not used for at the moment.

import { readFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'openssl-session'
import { LmdbSessionStore, RedisSessionStore, SealedSessionStore, type SessionStore } from 'openssl-session/stores'

/** A store behind a port that nobody listens on: every operation fails as the network fails. */
class UnreachableStore implements SessionStore {
  readonly #port = 1

  #ask(): Promise<never> {
    return new Promise((_resolve, reject) => connect(this.#port, '127.0.0.1').once('error', reject))
  }

  get(): Promise<Buffer> {
    return this.#ask()
  }

  set(): Promise<void> {
    return this.#ask()
  }

  delete(): Promise<void> {
    return this.#ask()
  }
}

async function redisStore(urls: string[]): Promise<SessionStore> {
  const { createClient, createCluster } = await import('redis')
  const rootNodes = urls.map((url) => ({ url }))
  const client = urls.length === 1 ? createClient({ url: urls[0] as string }) : createCluster({ rootNodes })
  client.on('error', () => {}) // it connects again by itself, and the server tells what the store fails in
  await client.connect()
  const store = new RedisSessionStore({ client, commandTimeout: 500 })
  return new SealedSessionStore({ store, keys: [readFileSync(join(folder, 'seal.key'))] })
}

const [name = '', store = '', folder = '', address] = process.argv.slice(2)

async function openStore(): Promise<SessionStore> {
  if (store === 'unreachable') return new UnreachableStore()
  return store.startsWith('redis:') ? redisStore(store.split(',')) : new LmdbSessionStore(store)
}

const server = createServer(
  {
    key: readFileSync(join(folder, 'key.pem')),
    cert: readFileSync(join(folder, 'cert.pem')),
    sessionStore: await openStore(),
  },
  (socket) => {
    socket.on('error', () => {})
    socket.end(`${name} ${socket.getProtocol()} ${socket.isSessionReused() ? 'reused' : 'full'}\n`)
  },
)
server.on('sessionStoreError', (error: Error & { operation?: string }) => {
  process.send?.({ storeError: `${error.operation}: ${error.message}` })
})
server.listen(0, address, () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => process.send?.({ suspended: server.stats().store?.suspended }))
process.on('disconnect', () => process.exit())
