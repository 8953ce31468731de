// The store that lives in the memory of one process: for a single server, and for tests. No file, no socket.

import { LRUCache } from 'lru-cache'
import {
  checkId,
  checkSession,
  checkTtl,
  integerOption,
  intervalOption,
  milliseconds,
  storeError,
  wrongType,
} from './input.js'
import type { SessionStore } from './store.js'

/** The bounds of a `MemorySessionStore`. */
export interface MemorySessionStoreOptions {
  /** The most sessions to keep. 20480 by default, which is what OpenSSL keeps in its own cache. */
  maxEntries?: number
  /** The most bytes to keep, ids and sessions counted. 64 MiB by default. */
  maxBytes?: number
  /** Seconds between two sweeps of expired sessions, 60 by default. 0 sweeps only when `sweep` is called. */
  sweepInterval?: number
}

/**
 * Keeps sessions in this process: fast, and gone with it. Beyond its bounds the least recently used session goes first.
 *
 * Time is the monotonic clock: setting the machine's clock expires nothing. Every method answers at once, none returns
 * a promise. The timer that sweeps runs only while there is something to sweep, and never keeps the process alive.
 */
export class MemorySessionStore implements SessionStore {
  readonly #sessions: LRUCache<string, Buffer>
  readonly #maxBytes: number
  readonly #sweepInterval: number
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: MemorySessionStoreOptions = {}) {
    if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object', options)
    this.#maxBytes = integerOption('maxBytes', options.maxBytes, 64 * 1024 ** 2, 1024, Number.MAX_SAFE_INTEGER)
    this.#sweepInterval = intervalOption('sweepInterval', options.sweepInterval, 60)
    this.#sessions = new LRUCache({
      max: integerOption('maxEntries', options.maxEntries, 20480, 1, 2 ** 24),
      maxSize: this.#maxBytes,
      sizeCalculation: (session, key) => session.length + key.length,
    })
  }

  /** How many sessions there are; those that have expired count until they are swept. */
  get size(): number {
    return this.#sessions.size
  }

  get(id: Buffer): Buffer | undefined {
    const session = this.#sessions.get(this.#key(id))
    return session && Buffer.from(session)
  }

  take(id: Buffer): Buffer | undefined {
    const key = this.#key(id)
    const session = this.#sessions.get(key)
    this.#sessions.delete(key)
    return session
  }

  set(id: Buffer, session: Buffer, ttl: number): void {
    const key = this.#key(id)
    checkSession(session, this.#maxBytes - key.length)
    checkTtl(ttl)
    if (ttl <= 0) {
      this.#sessions.delete(key)
      return
    }
    this.#sessions.set(key, Buffer.from(session), { ttl: milliseconds(ttl) })
    this.#scheduleSweep()
  }

  delete(id: Buffer): void {
    this.#sessions.delete(this.#key(id))
  }

  /** Drops what has expired, so that no secret stays in memory longer than it is good for. Returns how many. */
  sweep(): number {
    this.#checkOpen()
    const before = this.#sessions.size
    this.#sessions.purgeStale()
    return before - this.#sessions.size
  }

  /** Forgets everything. Any later call but `close` throws `ERR_STORE_CLOSED`. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#sessions.clear()
  }

  #checkOpen(): void {
    if (this.#closed) throw storeError('ERR_STORE_CLOSED', 'The session store is closed')
  }

  /** A string in place of the id: a Map compares Buffers by identity. */
  #key(id: unknown): string {
    this.#checkOpen()
    checkId(id)
    return Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1')
  }

  #scheduleSweep(): void {
    if (this.#timer || this.#sweepInterval === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.sweep()
      // An empty store has no timer: one that is dropped without `close` can be collected once all of it has expired.
      if (this.#sessions.size > 0) this.#scheduleSweep()
    }, this.#sweepInterval).unref()
  }
}
