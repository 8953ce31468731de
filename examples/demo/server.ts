// One server process of the demo: a TLS server whose sessions live in a store that other processes share.
//
//   node server.js NAME STORE FOLDER
//
// STORE is the path of an LMDB file, or `unreachable`. FOLDER holds key.pem and cert.pem. The port is sent to the parent.

import { readFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'openssl-session'
import { LmdbSessionStore, type SessionStore } from 'openssl-session/stores'

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

const [name = '', store = '', folder = ''] = process.argv.slice(2)

const server = createServer(
  {
    key: readFileSync(join(folder, 'key.pem')),
    cert: readFileSync(join(folder, 'cert.pem')),
    sessionStore: store === 'unreachable' ? new UnreachableStore() : new LmdbSessionStore(store),
  },
  (socket) => {
    socket.on('error', () => {})
    socket.end(`${name} ${socket.getProtocol()} ${socket.isSessionReused() ? 'reused' : 'full'}\n`)
  },
)
server.on('sessionStoreError', (error: Error & { operation?: string }) => {
  process.send?.({ storeError: `${error.operation}: ${error.message}` })
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
