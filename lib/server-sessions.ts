// Where a server's sessions go and come from: its store, or listeners of node:tls's 'newSession' and 'resumeSession' events. How a
// store is asked is in external.ts.

import { byCallback } from './callback.js'
import type { SecureContext } from './context.js'
import { channels, observed } from './diagnostics.js'
import { codedError } from './errors.js'
import { ExternalSessions, isTls13, restore, type SessionStoreError, storeError } from './external.js'
import * as libssl from './libssl.js'
import type { Server } from './server.js'
import type { ConnectionOwner, SessionAnswer } from './session-callbacks.js'
import type { TLSSocket } from './socket.js'
import type { SessionStore } from './stores/store.js'

/** What a connection's owner does about sessions. */
type SessionOwner = Required<Pick<ConnectionOwner, 'newSession' | 'findSession' | 'lookupRefused' | 'lookupLate'>>

/** The sessions of one server. */
export class ServerSessions implements SessionOwner {
  /** Those in the store; null when there is none. */
  readonly external: ExternalSessions | null
  readonly #server: Server
  readonly #asksHere: boolean
  /** The ids that connections wait for. */
  readonly #awaited = new WeakMap<TLSSocket, Buffer>()
  /** Listeners that have not answered. */
  #waiting = 0

  /** `limit` is the time for a look-up in milliseconds; `asksHere` says that all connections are JavaScript's own. */
  constructor(server: Server, store: SessionStore | null, limit: number, asksHere: boolean) {
    this.#server = server
    this.#asksHere = asksHere
    this.external = store && new ExternalSessions(store, limit, (error) => this.#report(error))
  }

  /** Look-ups that nobody has answered yet. */
  get waiting(): number {
    return this.#waiting + (this.external?.waiting ?? 0)
  }

  /** Makes a context leave its sessions to the store, if there is one. */
  prepare(context: SecureContext): void {
    const sessions = this.external
    if (sessions === null) return
    // A session that the context kept as well would be resumed here after another process had used it, and would be
    // deleted from the store, as removed, when this process frees its context.
    const mode = libssl.SSL_SESS_CACHE_SERVER | libssl.SSL_SESS_CACHE_NO_INTERNAL
    if (context.sessionCacheMode !== mode) context.sessionCacheMode = mode
    const { SSL_OP_NO_TICKET } = libssl
    const issuesTickets = (libssl.SSL_CTX_get_options(context.handle) & SSL_OP_NO_TICKET) === 0
    if (issuesTickets) libssl.SSL_CTX_set_options(context.handle, SSL_OP_NO_TICKET)
    // The engine knows of stores by itself.
    if (this.#asksHere) this.askHere(context)
    context._onRemoval((session) => sessions.forget(session))
  }

  /** Lets libssl's callbacks reach the store, if there is one, from JavaScript's own connections. */
  askHere(context: SecureContext): void {
    if (this.external === null) return
    context._want('newSession')
    context._want('getSession')
  }

  /** Makes the session events of node:tls happen on a connection, if somebody listens now. */
  offerEvents(socket: TLSSocket): void {
    const context = this.#server.secureContext
    const resumes = this.#server.listenerCount('resumeSession') > 0
    if (resumes || this.#server.listenerCount('newSession') > 0) context._want('newSession')
    if (!resumes) return
    context._want('getSession')
    // Sessions in stateless tickets never ask anybody.
    if (socket.handle !== null) libssl.SSL_set_options(socket.handle, libssl.SSL_OP_NO_TICKET)
  }

  newSession(socket: TLSSocket, session: libssl.SSL_SESSION): void {
    const kept = this.external?.save(session)
    if (kept) socket._holdUntil(kept)
    if (this.#server.listenerCount('newSession') === 0) return
    const bytes = libssl.i2d_SSL_SESSION(session)
    if (bytes === null) return
    const id = libssl.SSL_SESSION_get_id(session)
    const release = socket._awaitNewSession()
    try {
      this.#server.emit('newSession', id, bytes, release)
    } catch (error) {
      socket.destroy(error as Error)
    }
  }

  findSession(socket: TLSSocket, id: Buffer, copy: { value: number }): SessionAnswer {
    if (this.external !== null) {
      const answer = this.external.findFor(socket, id, copy)
      if (answer instanceof Promise) this.#awaited.set(socket, id)
      return answer
    }
    if (this.#server.listenerCount('resumeSession') === 0) return null
    const ask = (callback: (error: Error | null, session?: Uint8Array | null) => void): unknown =>
      this.#server.emit('resumeSession', id, callback)
    const restored = (error: unknown, bytes?: Uint8Array | null): libssl.SSL_SESSION | null => {
      if (error) socket.destroy(error as Error)
      if (error || !bytes || socket.handle === null) return null
      try {
        const handle = restore(bytes, id)
        copy.value = 0
        return handle
      } catch (damage) {
        this.#report(storeError('resumeSession', id, damage))
        return null
      }
    }
    const answer = observed(
      channels.get,
      'resumeSession',
      () => id,
      () => byCallback(socket, ask, restored),
    )
    if (!(answer instanceof Promise)) return answer
    this.#waiting += 1
    return answer.finally(() => {
      this.#waiting -= 1
    })
  }

  lookupRefused(socket: TLSSocket, error: unknown): boolean {
    const id = this.#awaited.get(socket)
    if (id === undefined) return false
    this.external?.refused(id, error)
    return true
  }

  lookupLate(socket: TLSSocket, id: Buffer): boolean {
    if (this.external !== null && this.#awaited.has(socket)) {
      this.external.late(id, isTls13(socket))
      return true
    }
    const server = this.#server
    if (server.secureContext.getSessionCallback !== null || server.listenerCount('resumeSession') === 0) return false
    this.#report(storeError('resumeSession', id, codedError('ERR_LOOKUP_TIMEOUT', 'No answer in time')))
    return true
  }

  /** Not from inside a handshake: what a listener throws is its own affair. */
  #report(error: SessionStoreError): void {
    process.nextTick(() => this.#server.emit('sessionStoreError', error))
  }
}
