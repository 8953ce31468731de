// A server's sessions in a SessionStore: handles become DER and back, and nothing that a store does can fail a handshake.
// Servers and connections are elsewhere; stores know nothing of this.

import { isUint8Array } from 'node:util/types'
import { channels, observed } from './diagnostics.js'
import { earlyData } from './early-data.js'
import type { SessionAsker } from './engine/dispatch.js'
import { codedError } from './errors.js'
import * as libssl from './libssl.js'
import { readDER } from './session.js'
import type { SessionAnswer } from './session-callbacks.js'
import type { TLSSocket } from './socket.js'
import { isPromise, notAsked, StoreGuard, type StoreStats, type StoreWrites } from './stores/guard.js'
import type { SessionStore } from './stores/store.js'

/** A store, or a 'resumeSession' listener, that failed, was too slow, or gave back something damaged. */
export interface SessionStoreError extends Error {
  code: 'ERR_SESSION_STORE'
  /** What was asked of it. */
  operation: 'get' | 'take' | 'set' | 'delete' | 'resumeSession'
  /** The id of the session. */
  id: Buffer
  /** What was thrown; `ERR_LOOKUP_TIMEOUT` of a look-up, `ERR_STORE_TIMEOUT` of a write or of a command that could not be sent, when nothing came in time. */
  cause: unknown
  /** How many failures of the same kind have not been reported since the last one that was: one in ten seconds is. */
  suppressed: number
}

export function storeError(
  operation: SessionStoreError['operation'],
  id: Buffer,
  cause: unknown,
  suppressed = 0,
): SessionStoreError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const properties = { code: 'ERR_SESSION_STORE', operation, id, cause, suppressed } as const
  return Object.assign(new Error(`The session store has failed in ${operation}: ${reason}`), properties)
}

/** The handle for the session that was stored under `id`, owned by the caller. Throws when the bytes are not it. */
export function restore(bytes: Uint8Array, id: Buffer): libssl.SSL_SESSION {
  if (!isUint8Array(bytes)) throw codedError('ERR_SESSION_DAMAGED', 'The stored session is no Buffer')
  const handle = readDER(bytes)
  // OpenSSL would tell the client another id than it proposed.
  if (libssl.SSL_SESSION_get_id(handle).equals(id)) return handle
  libssl.SSL_SESSION_free(handle)
  throw codedError('ERR_SESSION_DAMAGED', 'The stored session has another id')
}

/** A look-up that the store has not answered yet. */
interface Lookup {
  /** Whether the handshake has gone on without it. */
  late: boolean
}

/** The sessions of one server. */
export class ExternalSessions {
  readonly #store: SessionStore
  readonly #guard: StoreGuard
  readonly #writes: StoreWrites
  /** What the store is being asked for, by id in hexadecimal. */
  readonly #lookups = new Map<string, Lookup[]>()
  #waiting = 0

  /** `limit` is the time for a look-up in milliseconds; `failed` is told of what goes wrong, once in a while, and must not throw. */
  constructor(store: SessionStore, limit: number, failed: (error: SessionStoreError) => void) {
    this.#store = store
    const writes: StoreWrites = {
      set: (id, der, ttl) =>
        observed(
          channels.new,
          'set',
          () => id,
          () => store.set(id, der, ttl),
        ),
      delete: (id) =>
        observed(
          channels.remove,
          'delete',
          () => id,
          () => store.delete(id),
        ),
    }
    this.#writes = writes
    this.#guard = new StoreGuard(limit, writes, (...failure) => failed(storeError(...failure)))
  }

  /** Look-ups that the store has not answered yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** Whether the store gives a session away and forgets it in one step. */
  get takes(): boolean {
    return this.#store.take !== undefined
  }

  /** How the store does. */
  stats(): StoreStats {
    return this.#guard.stats()
  }

  /** Stores a new session until it expires. A promise says when that is over. */
  save(session: libssl.SSL_SESSION): PromiseLike<unknown> | null {
    const bytes = libssl.i2d_SSL_SESSION(session)
    return bytes && this.keep(libssl.SSL_SESSION_get_id(session), bytes, expiry(session))
  }

  /** Stores a new session in DER form until a second since 1970. Where that takes time, a promise says when it is over, well or badly. */
  keep(id: Buffer, der: Buffer, until: number): PromiseLike<unknown> | null {
    const ttl = until - Date.now() / 1000
    if (ttl <= 0) return null
    const kept = this.#keep(id, der, ttl)
    return isPromise(kept) ? kept : null
  }

  #keep(id: Buffer, der: Buffer, ttl: number): PromiseLike<boolean> | boolean {
    this.#guard.comesBack(id)
    return this.#guard.tell('set', id, () => this.#writes.set(id, der, ttl))
  }

  /** Deletes a session that OpenSSL has withdrawn. */
  forget(session: libssl.SSL_SESSION): void {
    this.#guard.remove(libssl.SSL_SESSION_get_id(session))
  }

  /**
   * Looks a session up for somebody who sets the time for it. `answer` tells what becomes of the bytes; null is a miss. A session to be used once is gone
   * from the store then, and goes back to it if nobody wants it any more.
   */
  find(id: Buffer, once: boolean, answer: SessionAsker): void {
    const lookup = { late: false }
    const give = (bytes: Buffer | null | undefined): void => {
      const usable = this.#usable(id, once, lookup, bytes)
      if (usable === null) {
        answer(null, false)
        return
      }
      const reception = isUint8Array(usable) ? answer(usable, once && this.takes) : 'refused'
      if (reception === 'unwanted' && once) this.giveBack(id, usable)
      if (reception !== 'refused') return
      // Gone, so that it is reported once.
      if (!once) this.#guard.remove(id)
      libssl.SSL_SESSION_free(restore(usable, id))
      throw codedError('ERR_SESSION_DAMAGED', 'The stored session cannot be resumed')
    }
    const miss = (error: unknown): void => {
      // One that came too late has been reported for that.
      if (!lookup.late) this.#guard.failed(this.#operation(once), id, error)
      answer(null, false)
    }
    try {
      const found = this.#ask(id, once, lookup)
      if (isPromise(found)) found.then(give).then(undefined, miss)
      else give(found)
    } catch (error) {
      miss(error)
    }
  }

  /** Reports a look-up that was not answered in time. */
  late(id: Buffer, once: boolean): void {
    const lookup = this.#lookups.get(id.toString('hex'))?.find(({ late }) => !late)
    const operation = this.#operation(once)
    if (lookup !== undefined) lookup.late = true
    // It was not asked, and JavaScript was too busy to say so in time.
    else if (this.#guard.isSuspended(operation)) return
    this.#guard.failed(operation, id, codedError('ERR_LOOKUP_TIMEOUT', 'No answer in time'))
  }

  /** Reports that the answer to a look-up cannot be used, for a reason that is not in the answer. */
  refused(id: Buffer, error: unknown): void {
    this.#guard.failed('get', id, error)
  }

  /** Looks a session up for libssl's callback; one of TLS 1.3 is gone from the store then, since it is to be used once. */
  findFor(socket: TLSSocket, id: Buffer, copy: { value: number }): SessionAnswer {
    const once = isTls13(socket)
    const lookup = { late: false }
    const answer = (bytes: Buffer | null | undefined): libssl.SSL_SESSION | null => {
      // Nobody would take the handle over.
      if (socket.handle === null) lookup.late = true
      const usable = this.#usable(id, once, lookup, bytes)
      if (usable === null) return null
      try {
        const handle = restore(usable, id)
        if (once && this.takes) earlyData.taken(handle)
        copy.value = 0
        return handle
      } catch (error) {
        // Gone, so that it is reported once.
        if (!once) this.#guard.remove(id)
        throw error
      }
    }
    const miss = (error: unknown): null => {
      // One that came too late has been reported for that.
      if (!lookup.late) this.#guard.failed(this.#operation(once), id, error)
      return null
    }
    try {
      if (socket._limitsLookups) {
        const found = this.#ask(id, once, lookup)
        return isPromise(found) ? Promise.resolve(found).then(answer).catch(miss) : answer(found)
      }
      let giveUp: ((none: null) => void) | undefined
      const found = this.#ask(id, once, lookup, (error) => {
        giveUp?.(miss(error))
        lookup.late = true
      })
      if (!isPromise(found)) return answer(found)
      return new Promise((resolve) => {
        giveUp = resolve
        found.then(answer).then(resolve, (error: unknown) => resolve(miss(error)))
      })
    } catch (error) {
      return miss(error)
    }
  }

  #operation(once: boolean): 'take' | 'get' {
    return once && this.takes ? 'take' : 'get'
  }

  /** What the store has; nothing where it is not to be asked. `late` is told when that takes too long. */
  #ask(id: Buffer, once: boolean, lookup: Lookup, late?: (error: Error) => void): ReturnType<SessionStore['get']> {
    if (this.#guard.isGone(id)) return null
    const returned = once ? this.#guard.reclaim(id) : null
    if (returned !== null) return returned
    const store = this.#store
    const ask = (): ReturnType<SessionStore['get']> =>
      once && store.take !== undefined ? store.take(id) : store.get(id)
    const operation = this.#operation(once)
    const found = this.#guard.ask(operation, () => observed(channels.get, operation, () => id, ask), late)
    if (found === notAsked) return null
    if (!isPromise(found)) return found
    const answered = this.#await(id, lookup)
    found.then(answered, answered)
    return found as Promise<Buffer | null | undefined>
  }

  /** Notes that a look-up has begun. Returns what is to be called when it has ended. */
  #await(id: Buffer, lookup: Lookup): () => void {
    const key = id.toString('hex')
    const same = this.#lookups.get(key)
    if (same === undefined) this.#lookups.set(key, [lookup])
    else same.push(lookup)
    this.#waiting += 1
    return () => {
      this.#waiting -= 1
      const rest = this.#lookups.get(key)?.filter((other) => other !== lookup) ?? []
      if (rest.length > 0) this.#lookups.set(key, rest)
      else this.#lookups.delete(key)
    }
  }

  /** What of an answer can be used for a handshake. What was taken for one that has gone on without it goes back to the store. */
  #usable(id: Buffer, once: boolean, lookup: Lookup, bytes: Buffer | null | undefined): Buffer | null {
    if (bytes === null || bytes === undefined) return null
    if (!lookup.late) {
      if (once && !this.takes) this.#guard.remove(id)
      return bytes
    }
    if (once && this.takes) this.giveBack(id, bytes)
    return null
  }

  /**
   * Stores a session that was taken in vain, now or when the store can. Throws when the bytes are damaged.
   *
   * From now on it is not good for early data. What came with the handshake it was taken for has been rejected, and its client sends it
   * again: whoever has recorded it must not have it accepted later. And a write that seems to fail may have stored the session after all.
   */
  giveBack(id: Buffer, bytes: Buffer): void {
    const handle = restore(bytes, id)
    libssl.SSL_SESSION_set_max_early_data(handle, 0)
    const plain = libssl.i2d_SSL_SESSION(handle)
    const until = expiry(handle) * 1000
    libssl.SSL_SESSION_free(handle)
    const ttl = (until - Date.now()) / 1000
    if (plain === null || ttl <= 0) return
    const settle = (isBack: boolean): void => {
      if (!isBack) this.#guard.putBackLater(id, plain, until)
    }
    const kept = this.#keep(id, plain, ttl)
    if (isPromise(kept)) kept.then(settle)
    else settle(kept)
  }
}

/** When a session expires: seconds since 1970. */
function expiry(session: libssl.SSL_SESSION): number {
  return libssl.SSL_SESSION_get_time(session) + libssl.SSL_SESSION_get_timeout(session)
}

/** Whether the connection's sessions are to be used once. */
export function isTls13(socket: TLSSocket): boolean {
  return socket.handle !== null && libssl.SSL_version(socket.handle) === libssl.TLS1_3_VERSION
}
