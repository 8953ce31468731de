// What stores share that reach their sessions through a client of the application's: keys that are text, errors with a
// code, writes in their order, and an end that waits for what is under way. Nothing here knows Redis or Keyv.

import { checkId, storeError, wrongType } from './input.js'

/** The largest session that is sent to another machine in bytes: far more than one with a client's certificates has. */
export const LARGEST_REMOTE_SESSION = 1024 ** 2

/** What keys begin with unless the application says otherwise. */
const KEY_PREFIX = 'tls-session:'

/** The error to show for one of a client's: its own when it has a `code` that is a name, else one that wraps it. */
export function clientFailure(what: string, error: unknown): Error {
  if (error instanceof Error && typeof (error as { code?: unknown }).code === 'string') return error
  // Some errors of node-redis say nothing but what they are.
  const message = error instanceof Error ? error.message || error.constructor.name : String(error)
  return storeError('ERR_STORE_FAILED', `${what} failed: ${message}`, error)
}

/** Names keys, and knows whether a store is closed, what it has been called for that is not over, and in which order. */
export class Calls {
  /** What keys begin with. */
  readonly prefix: string
  readonly #failure: (error: unknown) => Error
  /** The last write of each key that has any under way. */
  readonly #last = new Map<string, Promise<unknown>>()
  #closed: Promise<void> | undefined
  #underWay = 0
  #over: (() => void) | undefined

  /** `prefix` is a store's option. `failure` makes the error to show out of what a call has failed with. */
  constructor(prefix: unknown, failure: (error: unknown) => Error) {
    if (prefix !== undefined && typeof prefix !== 'string') throw wrongType('options.prefix', 'a string', prefix)
    this.prefix = prefix ?? KEY_PREFIX
    this.#failure = failure
  }

  /** The key of an id: hexadecimal as `openssl sess_id -text` has it, only in lower case, so that people find it. */
  key(id: unknown): string {
    if (this.#closed) throw storeError('ERR_STORE_CLOSED', 'The session store is closed')
    checkId(id)
    return this.prefix + Buffer.from(id.buffer, id.byteOffset, id.length).toString('hex')
  }

  async run<T>(call: () => Promise<T>): Promise<T> {
    this.#underWay += 1
    try {
      return await call()
    } catch (error) {
      throw this.#failure(error)
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) this.#over?.()
    }
  }

  /** Carries a write out after those before it of the same key: clients may let one overtake another. */
  write<T>(key: string, call: () => Promise<T>): Promise<T> {
    return this.run(async () => {
      const before = this.#last.get(key)
      // Not `call()` alone: what is a promise by its type may throw, or answer at once.
      const mine = before === undefined ? new Promise<T>((resolve) => resolve(call())) : before.then(call, call)
      this.#last.set(key, mine)
      try {
        return await mine
      } finally {
        if (this.#last.get(key) === mine) this.#last.delete(key)
      }
    })
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      if (this.#underWay === 0) resolve()
      else this.#over = resolve
    })
    return this.#closed
  }
}
