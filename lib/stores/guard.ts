// What happens when a store fails, whichever it is: it is not asked for a while when it keeps failing, it is reported once
// in a while, and what could not be deleted, or put back, is later. Nothing here knows TLS, or fails because a store does.

import { createRequire } from 'node:module'
import type { CircuitBreakerPolicy } from 'cockatiel'
import { Debts } from './debts.js'
import { storeError } from './input.js'
import { ReportLimiter } from './limiter.js'
import type { SessionStore } from './store.js'

const require = createRequire(import.meta.url)

/**
 * Read with the first guard: programs without a store do without. `import` would look into each of its 58 CommonJS files for
 * what it exports, which takes ten times as long.
 */
const cockatiel = (): typeof import('cockatiel') => require('cockatiel')

/** What is asked of a store. Each is judged by itself: a store that is full refuses to write and can still be read. */
export type StoreOperation = 'get' | 'take' | 'set' | 'delete'

/** How a store has done under its guard. */
export interface StoreStats {
  /** What the store has failed in so often that it is not asked to do it now. */
  suspended: StoreOperation[]
  /** Failures, those that were not reported included. */
  failures: number
  /** What the store was not asked to do because it had failed before. */
  skipped: number
  /**
   * Now: sessions that are to be deleted, or put back after they were taken in vain, as soon as the store can do it. For this process they are gone,
   * or there, already.
   */
  owed: number
}

/** Stands for an answer when the store was not asked. */
export const notAsked = Symbol('not asked')

/** Failures in a row after which a store is left alone. */
const FAILURES = 5
/** Milliseconds until it is tried again: at first, and at most, after trying has failed again and again. */
const PAUSE = { initialDelay: 500, maxDelay: 15_000 }
/** Milliseconds within which one kind of failure is reported once. */
const REPORT_INTERVAL = 10_000
/** The least number of milliseconds after which a write counts as failed. Nobody waits for it as for a look-up. */
const WRITE_TIMEOUT = 2000

interface Circuit {
  readonly policy: CircuitBreakerPolicy
  /** The last that was heard of the store was good. */
  isSound: boolean
}

/** A session that was taken in vain. */
interface Returned {
  readonly session: Buffer
  /** When it expires, as `Date.now()` tells it. */
  readonly until: number
}

/** What a guard does by itself, later. */
export type StoreWrites = Pick<SessionStore, 'set' | 'delete'>

/** Stands between a server and its store. */
export class StoreGuard {
  readonly #cockatiel = cockatiel()
  readonly #lookupTimeout: number
  readonly #report: (operation: StoreOperation, id: Buffer, cause: unknown, suppressed: number) => void
  readonly #circuits = new Map<StoreOperation, Circuit>()
  readonly #reports = new ReportLimiter(REPORT_INTERVAL)
  readonly #deletions: Debts<null>
  readonly #returns: Debts<Returned>
  #failures = 0
  #skipped = 0

  /**
   * `lookupTimeout` is in milliseconds, `writes` are the store's, `report` is told of failures, not of each one, and must not throw.
   */
  constructor(
    lookupTimeout: number,
    writes: StoreWrites,
    report: (operation: StoreOperation, id: Buffer, cause: unknown, suppressed: number) => void,
  ) {
    this.#lookupTimeout = lookupTimeout
    this.#deletions = new Debts((id) => this.tell('delete', id, () => writes.delete(id)))
    this.#returns = new Debts((id, { session, until }) => {
      const ttl = (until - Date.now()) / 1000
      return ttl <= 0 || this.tell('set', id, () => writes.set(id, session, ttl))
    })
    this.#report = report
  }

  /**
   * Asks the store by `call`, unless it is to be left alone. What `call` returns and throws comes out as it is; `late` is told
   * when a promise has taken too long, which counts as a failure.
   */
  ask<T>(
    operation: StoreOperation,
    call: () => T | PromiseLike<T>,
    late?: (error: Error) => void,
  ): T | PromiseLike<T> | typeof notAsked {
    const circuit = this.#circuit(operation)
    let outcome: { answer: T | PromiseLike<T> } | { error: unknown } | undefined
    const attempt = (): Promise<void> | undefined => {
      try {
        const answer = call()
        outcome = { answer }
        return isPromise(answer) ? this.#inTime(operation, answer, late) : undefined
      } catch (error) {
        outcome = { error }
        throw error
      }
    }
    if (circuit.isSound) {
      // There are no failures that a success would make up for: cockatiel need not hear of one that comes at once.
      let following: Promise<void> | undefined
      try {
        following = attempt()
        if (following === undefined && this.#owed > 0) queueMicrotask(this.#payDebts)
      } catch (error) {
        following = Promise.reject(error)
      }
      if (following !== undefined) this.#judge(circuit, () => following)
      following?.catch(() => {})
    } else if (circuit.policy.state !== this.#cockatiel.CircuitState.HalfOpen) {
      // While one call finds out whether the store is back, cockatiel would let others wait for it; so would their clients.
      this.#judge(circuit, attempt)
    }
    // Set by now: cockatiel calls at once, or not at all.
    const known = outcome as { answer: T | PromiseLike<T> } | { error: unknown } | undefined
    if (known === undefined) {
      this.#skipped += 1
      return notAsked
    }
    if ('error' in known) throw known.error
    return known.answer
  }

  /** Has cockatiel count what becomes of an attempt. */
  #judge(circuit: Circuit, attempt: () => Promise<void> | undefined): void {
    circuit.policy.execute(attempt).then(
      () => {
        circuit.isSound = circuit.policy.state === this.#cockatiel.CircuitState.Closed
        this.#payDebts()
      },
      () => {
        circuit.isSound = false
      },
    )
  }

  /** The same for what needs no answer: failures are reported. The promise says when it is over, well or badly, or has taken too long. */
  tell(operation: 'set' | 'delete', id: Buffer, call: () => void | PromiseLike<void>): PromiseLike<boolean> | boolean {
    let failed = false
    let giveUp: (() => void) | undefined
    const failure = (error: unknown): false => {
      if (!failed) this.failed(operation, id, error)
      failed = true
      giveUp?.()
      return false
    }
    try {
      const result = this.ask(operation, call, failure)
      if (result === notAsked) return false
      if (!isPromise(result)) return true
      return new Promise((resolve) => {
        giveUp = () => resolve(false)
        result.then(() => resolve(true), failure)
      })
    } catch (error) {
      return failure(error)
    }
  }

  /** Counts a failure, and reports it unless one of its kind was reported a moment ago. */
  failed(operation: StoreOperation, id: Buffer, cause: unknown): void {
    this.#failures += 1
    const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown }
    const suppressed = this.#reports.admit(`${operation} ${typeof code === 'string' ? code : message}`)
    if (suppressed !== null) this.#report(operation, id, cause, suppressed)
  }

  /** Deletes a session, now or when the store can. From now on it `isGone`. */
  remove(id: Buffer): void {
    this.#returns.cancel(id)
    this.#deletions.add(id, null)
    this.#deletions.pay(id)
  }

  /** Whether this session is to be deleted, whatever the store says. */
  isGone(id: Buffer): boolean {
    return this.#deletions.has(id)
  }

  /** A session is about to be stored under this id: it is not the one that was to be deleted, or put back. */
  comesBack(id: Buffer): void {
    this.#deletions.cancel(id)
    this.#returns.cancel(id)
  }

  /** Stores a session that was taken in vain, and could not be put back, when the store can. */
  putBackLater(id: Buffer, session: Buffer, until: number): void {
    this.#returns.add(id, { session, until })
  }

  /** A session that the store was to get back, for whoever uses it now. A write that seemed to fail may have stored it: it is deleted. */
  reclaim(id: Buffer): Buffer | null {
    const returned = this.#returns.cancel(id)
    if (returned === undefined) return null
    this.remove(id)
    return Date.now() < returned.until ? returned.session : null
  }

  get #owed(): number {
    return this.#deletions.size + this.#returns.size
  }

  /** Whether the store is left alone for now, but for one attempt now and then. */
  isSuspended(operation: StoreOperation): boolean {
    const circuit = this.#circuits.get(operation)
    return circuit !== undefined && circuit.policy.state !== this.#cockatiel.CircuitState.Closed
  }

  stats(): StoreStats {
    return {
      suspended: [...this.#circuits.keys()].filter((operation) => this.isSuspended(operation)),
      failures: this.#failures,
      skipped: this.#skipped,
      owed: this.#owed,
    }
  }

  #circuit(operation: StoreOperation): Circuit {
    const known = this.#circuits.get(operation)
    if (known !== undefined) return known
    const { ConsecutiveBreaker, circuitBreaker, ExponentialBackoff, handleWhen } = this.#cockatiel
    const breaker = new ConsecutiveBreaker(FAILURES)
    const policy = circuitBreaker(handleWhen(isStoresFault), { breaker, halfOpenAfter: new ExponentialBackoff(PAUSE) })
    const circuit = { policy, isSound: true }
    this.#circuits.set(operation, circuit)
    return circuit
  }

  /** Follows an answer until it is there, or should be. */
  #inTime(operation: StoreOperation, answer: PromiseLike<unknown>, late?: (error: Error) => void): Promise<void> {
    const looks = operation === 'get' || operation === 'take'
    const limit = looks ? this.#lookupTimeout : Math.max(this.#lookupTimeout, WRITE_TIMEOUT)
    return new Promise((resolve, reject) => {
      let over = false
      const overdue = (): void => {
        if (over) return
        const error = storeError(looks ? 'ERR_LOOKUP_TIMEOUT' : 'ERR_STORE_TIMEOUT', `No answer within ${limit} ms`)
        reject(error)
        late?.(error)
      }
      // An answer that has arrived while JavaScript was busy is not the store's fault: it is read before this is called.
      const timer = setTimeout(() => setImmediate(overdue), limit).unref()
      const settle = (how: () => void): void => {
        over = true
        clearTimeout(timer)
        how()
      }
      answer.then(
        () => settle(resolve),
        (error: unknown) => settle(() => reject(error)),
      )
    })
  }

  readonly #payDebts = (): void => {
    if (this.#deletions.size > 0) this.#deletions.paySome()
    if (this.#returns.size > 0) this.#returns.paySome()
  }
}

/** Whether an error says something of the store, and not only of what it was asked to keep, such as a session that is too large. */
function isStoresFault(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return code !== 'ERR_OUT_OF_RANGE' && code !== 'ERR_INVALID_ARG_TYPE'
}

export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
