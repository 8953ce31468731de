// Keys that come from a function, which is asked again and again, so that a fleet can change them while it works. What the
// keys are for is not known here.

import { isPromise } from './guard.js'
import { storeError } from './input.js'
import type { Awaitable } from './store.js'

/** More keys than make sense in one ring. */
export const MOST_KEYS = 16

/** Milliseconds after which a function has failed that has not answered: it can be asked again. */
const LIMIT = 10_000

/** What {@link KeySource} does with what comes of asking. */
export interface KeyTaker<K> {
  /** Uses new keys from now on. Throws when they cannot be used, and goes on with the old ones. */
  take(keys: K): void
  /** Told why there are no new keys; returns what whoever asked is to be told. */
  failed(cause: unknown): Error
}

/** Asks a function for keys: when told to, and every `interval` milliseconds until it is stopped or forgotten. */
export class KeySource<K> {
  readonly #function: () => Awaitable<K>
  readonly #taker: KeyTaker<K>
  readonly #timer: NodeJS.Timeout | undefined
  #asking: Promise<void> | null = null
  /** When the function was asked last, as `performance.now()` tells it. */
  asked = Number.NEGATIVE_INFINITY

  /** An `interval` of 0 is for never. */
  constructor(keys: () => Awaitable<K>, taker: KeyTaker<K>, interval: number) {
    this.#function = keys
    this.#taker = taker
    if (interval === 0) return
    // The timer keeps neither the source nor its owner.
    const self = new WeakRef(this)
    const timer = setInterval(() => {
      const source = self.deref()
      if (source === undefined) clearInterval(timer)
      else source.ask().catch(() => {})
    }, interval).unref()
    this.#timer = timer
  }

  /**
   * Asks the function; those who come while it is being asked share its answer, which is taken at once where it is there at once. Rejects with what
   * the taker makes of a failure.
   */
  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
    })
    return this.#asking
  }

  /** Asks for what is known now, not for what was when somebody else asked. */
  async refresh(): Promise<void> {
    await this.#asking?.catch(() => {})
    await this.ask()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #ask(): Promise<void> {
    this.asked = performance.now()
    try {
      const keys = this.#function()
      this.#taker.take(isPromise(keys) ? await inTime(keys) : keys)
    } catch (error) {
      throw this.#taker.failed(error)
    }
  }
}

function inTime<T>(answer: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(storeError('ERR_STORE_TIMEOUT', `No answer within ${LIMIT} ms`))
    const timer = setTimeout(late, LIMIT).unref()
    answer.then(resolve, reject).then(() => clearTimeout(timer))
  })
}
