// The store over an instance of Keyv, for applications that have one. The package keyv is never imported here, not for its
// types either: applications that have other stores need not install it.

import { checkSession, checkTtl, milliseconds, storeError, wrongType } from './input.js'
import { Calls, clientFailure, LARGEST_REMOTE_SESSION } from './remote.js'
import type { SessionStore } from './store.js'

/**
 * What is used of an instance of Keyv, version 5.
 * @see https://keyv.org
 */
export interface KeyvLike {
  get(key: string): Promise<unknown>
  set(key: string, value: string, ttl?: number): Promise<boolean>
  delete(key: string): Promise<boolean>
  /** Not called: a `Map`, which answers at once and knows no time to live, does not have it. */
  disconnect(): Promise<void>
}

/** The instance behind a `KeyvSessionStore`, and how its keys are named. */
export interface KeyvSessionStoreOptions {
  /** The instance. It stays the application's: `close` of the store does not disconnect it. */
  keyv: KeyvLike
  /** What the keys begin with, after Keyv's own namespace; `tls-session:` by default. The id follows in hexadecimal. */
  prefix?: string
  /**
   * Vouches that of several callers who delete the same key at the same moment, in any number of processes, the adapter's
   * `delete` answers `true` to one at most. Then `take` is atomic, and a server with `maxEarlyData` accepts early data with
   * sessions from here. False by default: Keyv does not tell, and where it is not so early data could be replayed.
   * Adapters that answer with the count of what the database has deleted (`@keyv/redis`) and a `Map` within
   * one process keep it; one that reads before it deletes does not, and none does under a cache of its own in each process.
   * @see RFC 8446 section 8.1
   */
  atomicDelete?: boolean
}

/**
 * Keeps sessions in whatever Keyv has an adapter for. Where there is a store of its own for it, as for Redis, that one is
 * faster and surer.
 *
 * - **Single use is as good as the adapter's `delete`.** Keyv has no operation that reads and deletes. `take` reads, then
 *   deletes, and gives the session to the caller whose `delete` is told that there was something to delete. With an adapter
 *   that knows (a Map, Redis) that is one caller of all; with one that answers `true` in any case, two that come at the same
 *   moment may both get the session, and a TLS 1.3 session be used twice. Early data is therefore accepted only where the
 *   application vouches for the adapter by `atomicDelete`.
 * - **Make the instance, and its adapter if that has the option, with `throwOnErrors: true`.** Otherwise Keyv answers that a
 *   session is not there when its database is down: handshakes go on just as well, but neither `sessionStoreError` nor the
 *   circuit breaker hears of it.
 * - Sessions are stored as text (base64), so that any serialisation, compression and adapter gives them back as they were.
 *
 * Every method answers by a promise. Errors are the adapter's, or have the `code` `ERR_STORE_FAILED`.
 */
export class KeyvSessionStore implements SessionStore {
  /** What the keys begin with. */
  readonly prefix: string
  /** What the application has said by `atomicDelete`. */
  readonly atomicTake: boolean
  readonly #keyv: KeyvLike
  readonly #calls: Calls

  /** Throws `ERR_INVALID_ARG_TYPE` when the instance is none. */
  constructor(options: KeyvLike | KeyvSessionStoreOptions) {
    if (typeof options !== 'object' || options === null) throw wrongType('options', 'a Keyv or an object', options)
    const given: KeyvSessionStoreOptions = 'keyv' in options ? options : { keyv: options }
    const methods = given.keyv as Partial<KeyvLike> | null | undefined
    for (const name of ['get', 'set', 'delete', 'disconnect'] as const) {
      if (typeof methods?.[name] !== 'function') throw wrongType('keyv', "an instance of the package 'keyv'", methods)
    }
    if (given.atomicDelete !== undefined && typeof given.atomicDelete !== 'boolean') {
      throw wrongType('options.atomicDelete', 'a boolean', given.atomicDelete)
    }
    this.#keyv = given.keyv
    this.atomicTake = given.atomicDelete === true
    this.#calls = new Calls(given.prefix, (error) => clientFailure('Keyv', error))
    this.prefix = this.#calls.prefix
  }

  async get(id: Buffer): Promise<Buffer | undefined> {
    const key = this.#calls.key(id)
    return this.#calls.run(() => this.#read(key))
  }

  async take(id: Buffer): Promise<Buffer | undefined> {
    const key = this.#calls.key(id)
    return this.#calls.write(key, async () => {
      const session = await this.#read(key)
      return session !== undefined && (await this.#keyv.delete(key)) ? session : undefined
    })
  }

  async set(id: Buffer, session: Buffer, ttl: number): Promise<void> {
    const key = this.#calls.key(id)
    checkSession(session, LARGEST_REMOTE_SESSION)
    checkTtl(ttl)
    const text = Buffer.from(session.buffer, session.byteOffset, session.length).toString('base64')
    await this.#calls.write(key, async () => {
      if (ttl <= 0) await this.#keyv.delete(key)
      else if (!(await this.#keyv.set(key, text, milliseconds(ttl)))) {
        throw storeError('ERR_STORE_FAILED', 'Keyv has not stored the session')
      }
    })
  }

  async delete(id: Buffer): Promise<void> {
    const key = this.#calls.key(id)
    await this.#calls.write(key, () => this.#keyv.delete(key))
  }

  /** Waits for what is under way. The instance stays as it is. Any later call but `close` throws `ERR_STORE_CLOSED`. */
  close(): Promise<void> {
    return this.#calls.close()
  }

  async #read(key: string): Promise<Buffer | undefined> {
    const text = await this.#keyv.get(key)
    if (text === null || text === undefined) return undefined
    if (typeof text === 'string') return Buffer.from(text, 'base64')
    throw storeError('ERR_STORE_FAILED', 'Keyv has something else than a session under this key')
  }
}
