// A server's sessions in a SessionStore: handles become DER and back, and nothing that a store does can fail a handshake.
// Servers and connections are elsewhere; stores know nothing of this.

import { channels, observed } from './diagnostics.js'
import { codedError } from './errors.js'
import * as libssl from './libssl.js'
import { readDER } from './session.js'
import type { SessionAnswer } from './session-callbacks.js'
import type { TLSSocket } from './socket.js'
import type { SessionStore } from './stores/store.js'

/** A store, or a 'resumeSession' listener, that failed, was too slow, or gave back something damaged. */
export interface SessionStoreError extends Error {
  code: 'ERR_SESSION_STORE'
  /** What was asked of it. */
  operation: 'get' | 'take' | 'set' | 'delete' | 'resumeSession'
  /** The id of the session. */
  id: Buffer
  /** What was thrown; `ERR_LOOKUP_TIMEOUT` when nothing came in time. */
  cause: unknown
}

export function storeError(operation: SessionStoreError['operation'], id: Buffer, cause: unknown): SessionStoreError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const properties = { code: 'ERR_SESSION_STORE', operation, id, cause } as const
  return Object.assign(new Error(`The session store has failed in ${operation}: ${reason}`), properties)
}

/** The handle for the session that was stored under `id`, owned by the caller. Throws when the bytes are not it. */
export function restore(bytes: Uint8Array, id: Buffer): libssl.SSL_SESSION {
  if (!(bytes instanceof Uint8Array)) throw codedError('ERR_SESSION_DAMAGED', 'The stored session is no Buffer')
  const handle = readDER(bytes)
  // OpenSSL would tell the client another id than it proposed.
  if (libssl.SSL_SESSION_get_id(handle).equals(id)) return handle
  libssl.SSL_SESSION_free(handle)
  throw codedError('ERR_SESSION_DAMAGED', 'The stored session has another id')
}

/** The sessions of one server. */
export class ExternalSessions {
  /** Look-ups that the store has not answered yet. */
  waiting = 0
  readonly #store: SessionStore
  readonly #limit: number
  readonly #failed: (error: SessionStoreError) => void

  /** `limit` is the time for a look-up in milliseconds; `failed` is told of everything that goes wrong and must not throw. */
  constructor(store: SessionStore, limit: number, failed: (error: SessionStoreError) => void) {
    this.#store = store
    this.#limit = limit
    this.#failed = failed
  }

  /** Stores a new session until it expires. */
  save(session: libssl.SSL_SESSION): void {
    const bytes = libssl.i2d_SSL_SESSION(session)
    const ttl = libssl.SSL_SESSION_get_time(session) + libssl.SSL_SESSION_get_timeout(session) - Date.now() / 1000
    if (bytes !== null) this.keep(libssl.SSL_SESSION_get_id(session), bytes, ttl)
  }

  /** Stores a new session in DER form for so many seconds. Where that takes time, a promise says when it is over, well or badly. */
  keep(id: Buffer, der: Buffer, ttl: number): PromiseLike<unknown> | null {
    return ttl > 0 ? this.#tell('set', id, () => this.#store.set(id, der, ttl)) : null
  }

  /** Deletes a session that OpenSSL has withdrawn. */
  forget(session: libssl.SSL_SESSION): void {
    this.#delete(libssl.SSL_SESSION_get_id(session))
  }

  /**
   * Looks a session up for somebody who sets the time for it. `answer` is called once, and returns false when it cannot use the bytes. A session to be used
   * once is gone from the store then.
   */
  find(id: Buffer, once: boolean, answer: (der: Uint8Array | null) => boolean): void {
    const give = (bytes: Buffer | null | undefined): void => {
      if (bytes === null || bytes === undefined) {
        answer(null)
        return
      }
      if (once && !this.#takes) this.#delete(id)
      if (bytes instanceof Uint8Array && answer(bytes)) return
      // Gone, so that it is reported once.
      if (!once) this.#delete(id)
      libssl.SSL_SESSION_free(restore(bytes, id))
      throw codedError('ERR_SESSION_DAMAGED', 'The stored session cannot be resumed')
    }
    const miss = (error: unknown): void => {
      this.#failed(storeError(this.#operation(once), id, error))
      answer(null)
    }
    try {
      const found = this.#ask(id, once)
      if (isPromise(found)) found.then(give).then(undefined, miss)
      else give(found)
    } catch (error) {
      miss(error)
    }
  }

  /** Reports a look-up that was not answered in time. */
  late(id: Buffer, once: boolean): void {
    this.#failed(storeError(this.#operation(once), id, this.#lateError()))
  }

  /** Looks a session up for libssl's callback; one of TLS 1.3 is gone from the store then, since it is to be used once. */
  findFor(socket: TLSSocket, id: Buffer, copy: { value: number }): SessionAnswer {
    const once = isTls13(socket)
    const answer = (bytes: Buffer | null | undefined): libssl.SSL_SESSION | null => {
      if (bytes === null || bytes === undefined) return null
      if (once && !this.#takes) this.#delete(id)
      // Nobody would take the handle over.
      if (socket.handle === null) return null
      try {
        const handle = restore(bytes, id)
        copy.value = 0
        return handle
      } catch (error) {
        // Gone, so that it is reported once.
        if (!once) this.#delete(id)
        throw error
      }
    }
    const miss = (error: unknown): null => {
      this.#failed(storeError(this.#operation(once), id, error))
      return null
    }
    try {
      const found = this.#ask(id, once)
      if (!isPromise(found)) return answer(found)
      const inTime = socket._limitsLookups ? Promise.resolve(found) : this.#inTime(found)
      return inTime.then(answer).catch(miss)
    } catch (error) {
      return miss(error)
    }
  }

  /** Whether the store gives a session away and forgets it in one step. */
  get #takes(): boolean {
    return this.#store.take !== undefined
  }

  #operation(once: boolean): 'take' | 'get' {
    return once && this.#takes ? 'take' : 'get'
  }

  #ask(id: Buffer, once: boolean): ReturnType<SessionStore['get']> {
    const store = this.#store
    const ask = (): ReturnType<SessionStore['get']> =>
      once && store.take !== undefined ? store.take(id) : store.get(id)
    const found = observed(channels.get, this.#operation(once), () => id, ask)
    if (!isPromise(found)) return found
    this.waiting += 1
    const answered = (): void => {
      this.waiting -= 1
    }
    found.then(answered, answered)
    return found
  }

  #lateError(): Error {
    return codedError('ERR_LOOKUP_TIMEOUT', `No answer within ${this.#limit} ms`)
  }

  #delete(id: Buffer): void {
    this.#tell('delete', id, () => this.#store.delete(id))
  }

  /** Calls a method whose result nobody needs. */
  #tell(operation: 'set' | 'delete', id: Buffer, call: () => void | Promise<void>): PromiseLike<unknown> | null {
    const failed = (error: unknown): void => this.#failed(storeError(operation, id, error))
    try {
      const result = observed(operation === 'set' ? channels.new : channels.remove, operation, () => id, call)
      if (isPromise(result)) return result.then(undefined, failed)
    } catch (error) {
      failed(error)
    }
    return null
  }

  #inTime<T>(answer: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(this.#lateError())
      const timer = setTimeout(late, this.#limit)
      const settle = <A>(how: (value: A) => void): ((value: A) => void) => {
        return (value) => {
          clearTimeout(timer)
          how(value)
        }
      }
      answer.then(settle(resolve), settle(reject))
    })
  }
}

/** Whether the connection's sessions are to be used once. */
export function isTls13(socket: TLSSocket): boolean {
  return socket.handle !== null && libssl.SSL_version(socket.handle) === libssl.TLS1_3_VERSION
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
