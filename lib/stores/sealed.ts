// The store that seals what another store keeps: the ring of keys, and what becomes of values that no key opens. The bytes
// of a sealed session are in seal.ts.

import { EventEmitter } from 'node:events'
import { isUint8Array } from 'node:util/types'
import { isPromise } from './guard.js'
import {
  checkId,
  checkSession,
  checkStore,
  checkTtl,
  intervalOption,
  milliseconds,
  storeError,
  wrongType,
} from './input.js'
import { KeySource, MOST_KEYS } from './key-source.js'
import { ReportLimiter } from './limiter.js'
import { readHeader, SealingKey } from './seal.js'
import type { Awaitable, SessionStore } from './store.js'

/** Keys of 32 random bytes each. The first one seals, all of them open. */
export type SealingKeys = readonly Uint8Array[]

/** What a `SealedSessionStore` seals with, and where it keeps what is sealed. */
export interface SealedSessionStoreOptions {
  /** The store that keeps what is sealed. It is closed together with this one. */
  store: SessionStore
  /** The keys, or a function that is asked for them: once before anything else, and again every `refreshInterval`. */
  keys: SealingKeys | (() => Awaitable<SealingKeys>)
  /** Seconds between two calls of the function in `keys`, 60 by default. 0 calls it only when `refresh` is called, or a key is not known. */
  refreshInterval?: number
  /** Binds sessions to an application; what is sealed under one context cannot be opened under another. The server's `sessionIdContext` is the natural choice. None by default. */
  sessionIdContext?: string | Uint8Array
}

/** Why a value could not be used: a `sealError`. It costs a full handshake, no more. */
export interface SealError extends Error {
  /**
   * `ERR_SEAL_UNKNOWN_KEY`: sealed under a key that is not in the ring. `ERR_SEAL_BROKEN`: altered, cut short, or copied from
   * another id or another context. `ERR_SEAL_KEYS`: the function in `keys` has failed, and the ring stays as it is.
   */
  code: 'ERR_SEAL_UNKNOWN_KEY' | 'ERR_SEAL_BROKEN' | 'ERR_SEAL_KEYS'
  /** The id of the key that the value names, in hexadecimal; empty when there is none. */
  keyId: string
  /** How many errors of this kind and key have not been reported since the last one that was. */
  suppressed: number
}

/** What a {@link SealedSessionStore} has done so far. */
export interface SealStats {
  sealed: number
  opened: number
  /** Values under keys that are not in the ring. */
  unknownKey: number
  /** Values that were altered, or copied from elsewhere. */
  broken: number
}

/** Milliseconds within which an unknown key does not make the function be asked again. */
const PATIENCE = 1000

/**
 * Seals sessions before another store gets them: whoever reads or writes that store learns no master secret, and can
 * neither forge a session nor give one out under another id. What remains to such a thief: to delete, to bring a session
 * back that was deleted or taken and has not expired, and to see ids, times and lengths.
 *
 * The cipher is AES-256-GCM with a random nonce for each session. Replace a key before it has sealed 2^32 sessions.
 *
 * **Rotation.** `rotate(newKey)` seals with a new key from then on; the old ones go on opening. In a fleet, let every
 * process know a new key, as the last of the ring, before the first one seals with it: with a function in `keys`, which
 * reads them from a file or a secret manager, that is two steps, a `refreshInterval` apart. A process that meets a key it
 * does not know asks the function at once, and if that does not help puts the session back for those who know it. Take a
 * key out of the ring when the last session under it has expired.
 *
 * A value that was altered, copied under another id, or sealed under an unknown key is a miss. It is counted in `stats()`
 * and is a `sealError` event, once for each kind, key and minute; without a listener for it a warning of the process.
 *
 * It answers as the store inside does: at once where that one does and the keys are there.
 * @see NIST SP 800-38D section 8.3
 */
export class SealedSessionStore extends EventEmitter<{ sealError: [error: SealError] }> implements SessionStore {
  readonly take?: (id: Buffer) => Awaitable<Buffer | undefined>
  /** As the store inside. */
  readonly atomicTake: boolean | undefined
  readonly #store: SessionStore
  readonly #context: Uint8Array
  readonly #source: KeySource<SealingKeys> | null
  readonly #reports = new ReportLimiter(60_000)
  readonly #stats: SealStats = { sealed: 0, opened: 0, unknownKey: 0, broken: 0 }
  /** By id, the one that seals first; empty before the function has answered for the first time. */
  #ring = new Map<string, SealingKey>()
  #closed = false
  /** What was called for and is not over. */
  readonly #underWay = new Set<PromiseLike<unknown>>()
  /** What the first write waits for that came before the keys. */
  #keysToCome: Promise<void> | null = null

  /** Throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_KEYLEN` or `ERR_OUT_OF_RANGE` when an option cannot be used. */
  constructor(options: SealedSessionStoreOptions) {
    super()
    if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object', options)
    const { store, keys, refreshInterval, sessionIdContext = '' } = options
    checkStore('options.store', store)
    if (typeof sessionIdContext !== 'string' && !isUint8Array(sessionIdContext)) {
      throw wrongType('options.sessionIdContext', 'a string or a Buffer', sessionIdContext)
    }
    const interval = intervalOption('refreshInterval', refreshInterval, 60)
    this.#store = store
    this.atomicTake = store.atomicTake
    this.#context = Buffer.from(sessionIdContext as string)
    if (this.#context.length > 255)
      throw wrongType('options.sessionIdContext', 'at most 255 bytes', this.#context.length)
    if (typeof keys === 'function') {
      const take = (keys: SealingKeys): void => {
        this.#ring = ringOf(keys)
      }
      this.#source = new KeySource(keys, { take, failed: (cause) => this.#keysFailed(cause) }, interval)
    } else {
      this.#source = null
      this.#ring = ringOf(keys)
    }
    if (store.take !== undefined) {
      const take = store.take.bind(store)
      this.take = (id) => this.#follow(this.#look(id, true, take))
    }
  }

  /** The ids of the keys in the ring, in hexadecimal, the one that seals first. */
  get keyIds(): string[] {
    return [...this.#ring.keys()]
  }

  /** What has happened so far. */
  stats(): SealStats {
    return { ...this.#stats }
  }

  get(id: Buffer): Awaitable<Buffer | undefined> {
    return this.#follow(this.#look(id, false, (id) => this.#store.get(id)))
  }

  set(id: Buffer, session: Buffer, ttl: number): Awaitable<void> {
    this.#checkOpen()
    checkId(id)
    checkSession(session, 2 ** 30)
    checkTtl(ttl)
    if (ttl <= 0) return this.delete(id)
    if (this.#writesAtOnce) return this.#follow(this.#seal(id, session, ttl))
    const [own, copy] = [Buffer.from(id), Buffer.from(session)]
    return this.#follow(this.#keysForWriting().then(() => this.#seal(own, copy, ttl)))
  }

  delete(id: Buffer): Awaitable<void> {
    this.#checkOpen()
    checkId(id)
    if (this.#writesAtOnce) return this.#follow(this.#store.delete(id))
    // After what was set before it, which waits for the keys.
    const own = Buffer.from(id)
    const remove = (): Awaitable<void> => this.#store.delete(own)
    return this.#follow(this.#keysForWriting().then(remove, remove))
  }

  /**
   * Seals with this key from now on; the keys that there are go on opening. More than 16 push the oldest one out. Throws `ERR_INVALID_STATE`
   * where keys come from a function: change what it answers, and call `refresh`.
   */
  rotate(key: Uint8Array): void {
    this.#checkOpen()
    if (this.#source !== null) throw storeError('ERR_INVALID_STATE', 'The keys come from a function')
    const first = new SealingKey(key)
    const others = [...this.#ring].filter(([id]) => id !== first.id)
    this.#ring = new Map([[first.id, first] as const, ...others].slice(0, MOST_KEYS))
  }

  /** Asks the function in `keys` now. Rejects with what it has failed with, or with `ERR_INVALID_STATE` when there is none. */
  async refresh(): Promise<void> {
    this.#checkOpen()
    if (this.#source === null) throw storeError('ERR_INVALID_STATE', 'The keys do not come from a function')
    await this.#source.refresh()
  }

  /** Closes the store inside, once what was called before is done. Any later call but `close` throws `ERR_STORE_CLOSED`. */
  close(): Awaitable<void> {
    this.#closed = true
    this.#source?.stop()
    if (this.#underWay.size === 0) return this.#store.close?.()
    return Promise.allSettled(this.#underWay).then(() => this.#store.close?.())
  }

  /** Lets `close` wait for a call. */
  #follow<T>(result: Awaitable<T>): Awaitable<T> {
    if (!isPromise(result)) return result
    const over = (): void => void this.#underWay.delete(result)
    this.#underWay.add(result)
    result.then(over, over)
    return result
  }

  #checkOpen(): void {
    if (this.#closed) throw storeError('ERR_STORE_CLOSED', 'The session store is closed')
  }

  #seal(id: Buffer, session: Buffer, ttl: number): Awaitable<void> {
    const [key] = this.#ring.values() as Iterable<SealingKey>
    const expires = Math.min(Date.now() + milliseconds(ttl), Number.MAX_SAFE_INTEGER)
    const sealed = (key as SealingKey).seal(session, id, this.#context, expires)
    this.#stats.sealed += 1
    return this.#store.set(id, sealed, ttl)
  }

  #look(id: Buffer, taken: boolean, look: SessionStore['get']): Awaitable<Buffer | undefined> {
    this.#checkOpen()
    checkId(id)
    const own = Buffer.from(id)
    const found = (): Awaitable<Buffer | undefined> => after(look(own), (value) => this.#found(own, taken, value))
    // The keys first: a session that is taken and cannot be opened helps nobody.
    return this.#ring.size > 0 ? found() : this.#ask().then(found)
  }

  #found(id: Buffer, taken: boolean, sealed: Buffer | null | undefined): Awaitable<Buffer | undefined> {
    if (sealed === null || sealed === undefined) return undefined
    const header = isUint8Array(sealed) ? readHeader(sealed) : null
    if (header === null) return this.#refuse('ERR_SEAL_BROKEN', '', 'is no sealed session')
    const { keyId, expires } = header
    const open = (): Awaitable<Buffer | undefined> => {
      const key = this.#ring.get(keyId)
      if (key === undefined) {
        const refuse = () =>
          this.#refuse('ERR_SEAL_UNKNOWN_KEY', keyId, 'is sealed under a key that is not in the ring')
        const left = (expires - Date.now()) / 1000
        return taken && left > 0 ? after(this.#store.set(id, sealed, left), refuse) : refuse()
      }
      const session = key.open(sealed, id, this.#context)
      if (session === null) return this.#refuse('ERR_SEAL_BROKEN', keyId, 'was altered, or has another id or context')
      this.#stats.opened += 1
      return expires > Date.now() ? session : undefined
    }
    const source = this.#ring.has(keyId) ? null : this.#source
    const mayBeNew = source !== null && performance.now() - source.asked > PATIENCE
    return mayBeNew ? source.ask().then(open, open) : open()
  }

  #refuse(code: SealError['code'], keyId: string, what: string): undefined {
    if (code === 'ERR_SEAL_UNKNOWN_KEY') this.#stats.unknownKey += 1
    else this.#stats.broken += 1
    this.#report(code, keyId, `A stored session ${what}${keyId && ` (key ${keyId})`}`)
  }

  #report(code: SealError['code'], keyId: string, message: string, cause?: unknown): void {
    const suppressed = this.#reports.admit(`${code} ${keyId}`)
    if (suppressed === null) return
    const error = Object.assign(storeError(code, message, cause), { keyId, suppressed }) as SealError
    // Not from inside a look-up: what a listener throws is its own affair.
    process.nextTick(() => {
      if (this.listenerCount('sealError') > 0) this.emit('sealError', error)
      else process.emitWarning(error)
    })
  }

  /** Asks the function for the keys: while the ring is empty there is one. */
  #ask(): Promise<void> {
    return (this.#source as KeySource<SealingKeys>).ask()
  }

  /** Writes take effect in the order of the calls: while one waits for the keys, all do. */
  get #writesAtOnce(): boolean {
    return this.#ring.size > 0 && this.#keysToCome === null
  }

  #keysForWriting(): Promise<void> {
    if (this.#keysToCome === null) {
      const over = (): void => {
        this.#keysToCome = null
      }
      this.#keysToCome = this.#ask()
      this.#keysToCome.then(over, over)
    }
    return this.#keysToCome
  }

  #keysFailed(cause: unknown): Error {
    const message = `The keys that seal sessions cannot be had: ${cause instanceof Error ? cause.message : String(cause)}`
    this.#report('ERR_SEAL_KEYS', '', message, cause)
    return storeError('ERR_SEAL_KEYS', message, cause)
  }
}

function ringOf(keys: unknown): Map<string, SealingKey> {
  if (!Array.isArray(keys) || keys.length < 1 || keys.length > MOST_KEYS) {
    throw wrongType(
      'keys',
      `an array of 1 to ${MOST_KEYS} Buffers`,
      Array.isArray(keys) ? `${keys.length} keys` : typeof keys,
    )
  }
  return new Map(keys.map((secret) => new SealingKey(secret)).map((key) => [key.id, key]))
}

/** What follows upon a value, at once if it is there. */
function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return isPromise(value) ? Promise.resolve(value).then(next) : next(value)
}
