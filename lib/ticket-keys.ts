// The keys of a context's stateless tickets: what users give, checked; and a function that is asked for them again. Sealing and
// opening tickets is native, and reads the ring without JavaScript.

import { isUint8Array } from 'node:util/types'
import { codedError, invalidType, invalidValue, opensslError } from './errors.js'
import * as libssl from './libssl.js'
import { native } from './native.js'
import { KeySource, MOST_KEYS } from './stores/key-source.js'
import { ReportLimiter } from './stores/limiter.js'
import type { Awaitable } from './stores/store.js'

/** Keys for tickets, of 48 or 80 bytes. The first one seals, all of them open. */
export type TicketKeys = Uint8Array | readonly Uint8Array[]

/** The function that gives a context its `ticketKeys` has failed. The keys stay as they are. */
export interface TicketKeysError extends Error {
  code: 'ERR_TICKET_KEYS'
  /** What was thrown, or what is wrong with the answer. */
  cause: unknown
  /** How many failures have not been reported since the last one that was: one in a minute is. */
  suppressed: number
}

/** The native half; allowed also while threads of the engine work with the context. */
interface TicketFunctions {
  setRing(ctx: libssl.SSL_CTX, keys: readonly Uint8Array[]): void
  /** Copies of the keys; none where the context has only its own. */
  getRing(ctx: libssl.SSL_CTX): Buffer[]
}

const { setRing, getRing } = native.tickets as TicketFunctions

const NAME_LENGTH = 16
const nameOf = (key: Uint8Array): string => Buffer.from(key.subarray(0, NAME_LENGTH)).toString('hex')

/** The ring that was given. Throws when it is none; keys are not shown. */
function ringOf(given: unknown): readonly Uint8Array[] {
  const keys: unknown[] = Array.isArray(given) ? given : [given]
  if (keys.length === 0 || keys.length > MOST_KEYS)
    throw invalidValue('ticketKeys', `must have 1 to ${MOST_KEYS} keys, not ${keys.length}`)
  for (const key of keys) {
    if (!isUint8Array(key)) throw invalidType('ticketKeys', 'a Buffer, an array of Buffers or a function', key)
    if (key.length !== 48 && key.length !== 80) throw invalidValue('ticketKeys', 'must be exactly 48 or 80 bytes')
  }
  const ring = keys as Uint8Array[]
  const names = new Set(ring.map(nameOf))
  if (names.size < ring.length) throw invalidValue('ticketKeys', 'must have keys with different names (first 16 bytes)')
  return ring
}

/** What opens and seals the tickets of one context. */
export class TicketKeyRing {
  readonly #ctx: libssl.SSL_CTX
  readonly #interval: number
  readonly #report: (error: TicketKeysError) => void
  readonly #reports = new ReportLimiter(60_000)
  #source: KeySource<TicketKeys> | null = null

  /** The `interval` for functions is in milliseconds. `report` must not throw. */
  constructor(ctx: libssl.SSL_CTX, interval: number, report: (error: TicketKeysError) => void) {
    this.#ctx = ctx
    this.#interval = interval
    this.#report = report
  }

  /** Replaces what there was. Throws when keys cannot be used; what a function answers is reported instead. */
  set(keys: TicketKeys | (() => Awaitable<TicketKeys>)): void {
    if (typeof keys !== 'function') {
      setRing(this.#ctx, ringOf(keys))
      this.stop()
      return
    }
    this.stop()
    const source = new KeySource(
      keys,
      {
        // One that was replaced while it was being asked has nothing to say any more.
        take: (keys) => {
          const ring = ringOf(keys)
          if (this.#source === source) setRing(this.#ctx, ring)
        },
        failed: (cause) => this.#failed(cause),
      },
      this.#interval,
    )
    this.#source = source
    source.ask().catch(() => {})
  }

  /** The key that seals. */
  get first(): Buffer {
    const key = getRing(this.#ctx)[0] ?? libssl.SSL_CTX_get_tlsext_ticket_keys(this.#ctx)
    if (key === null) throw opensslError('Cannot read the ticket keys')
    return key
  }

  /** The names of the keys in hexadecimal; empty where the context has only its own. */
  get names(): string[] {
    return getRing(this.#ctx).map(nameOf)
  }

  /** Goes on with another ring until a function has answered. */
  inherit(other: TicketKeyRing): void {
    const keys = getRing(other.#ctx)
    if (keys.length > 0 && getRing(this.#ctx).length === 0) setRing(this.#ctx, keys)
  }

  /** Asks the function now. */
  async refresh(): Promise<void> {
    if (this.#source === null) throw codedError('ERR_INVALID_STATE', 'The ticket keys do not come from a function')
    await this.#source.refresh()
  }

  /** Asks no more. */
  stop(): void {
    this.#source?.stop()
    this.#source = null
  }

  #failed(cause: unknown): TicketKeysError {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const suppressed = this.#reports.admit('')
    const properties = { code: 'ERR_TICKET_KEYS', cause, suppressed: suppressed ?? 0 } as const
    const error: TicketKeysError = Object.assign(new Error(`The ticket keys cannot be had: ${reason}`), properties)
    if (suppressed !== null) this.#report(error)
    return error
  }
}
