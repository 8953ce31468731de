// What every store checks before it does anything, and the errors it answers with. Nothing here knows any one store.

import { inspect } from 'node:util'
import { isUint8Array } from 'node:util/types'
import type { SessionStore } from './store.js'

/** The longest session id of TLS in bytes. @see RFC 5246 section 7.4.1.2 (`SessionID<0..32>`) */
const MAX_ID_LENGTH = 32

/** An error with a `code`, as Node makes them. */
export function storeError(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code })
}

export function wrongType(name: string, expected: string, value: unknown): TypeError {
  const shown = inspect(value, { depth: 0, maxArrayLength: 4, maxStringLength: 32, breakLength: Infinity })
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${shown}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
}

function outOfRange(name: string, expected: string, received: unknown): RangeError {
  const error = new RangeError(`The value of "${name}" is out of range. It must be ${expected}. Received ${received}`)
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' })
}

/** Refuses what is no store when it is handed over, so that it is not found out by handshakes. */
export function checkStore(name: string, store: unknown): asserts store is SessionStore {
  const given = store as Partial<Record<keyof SessionStore, unknown>> | null | undefined
  for (const method of ['get', 'set', 'delete'] as const) {
    if (typeof given?.[method] !== 'function')
      throw wrongType(name, `a SessionStore, with a function '${method}'`, store)
  }
  for (const method of ['take', 'close'] as const) {
    if (given?.[method] === undefined || typeof given[method] === 'function') continue
    throw wrongType(`${name}.${method}`, 'a function, or left out', given[method])
  }
  if (given?.atomicTake !== undefined && typeof given.atomicTake !== 'boolean') {
    throw wrongType(`${name}.atomicTake`, 'a boolean', given.atomicTake)
  }
}

export function checkId(id: unknown): asserts id is Uint8Array {
  // Neither ids nor sessions are shown in messages: messages end up in logs.
  if (!isUint8Array(id)) throw wrongType('id', 'a Buffer', typeof id)
  if (id.length < 1 || id.length > MAX_ID_LENGTH) {
    throw outOfRange('id', `1 to ${MAX_ID_LENGTH} bytes long`, `${id.length} bytes`)
  }
}

export function checkSession(session: unknown, largest: number): asserts session is Uint8Array {
  if (!isUint8Array(session)) throw wrongType('session', 'a Buffer', typeof session)
  if (session.length > largest) {
    throw outOfRange('session', `at most ${largest} bytes long in this store`, `${session.length} bytes`)
  }
}

export function checkTtl(ttl: unknown): asserts ttl is number {
  if (typeof ttl !== 'number') throw wrongType('ttl', 'a number', ttl)
  if (!Number.isFinite(ttl)) throw outOfRange('ttl', 'a finite number of seconds', ttl)
}

/** A whole number among a store's options, or its default when it was not given. */
export function integerOption(name: string, value: unknown, fallback: number, least: number, most: number): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number') throw wrongType(`options.${name}`, 'a number', value)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(`options.${name}`, `an integer from ${least} to ${most}`, value)
  }
  return value
}

/** An interval in seconds among a store's options, in milliseconds. 0 is for never. */
export function intervalOption(name: string, value: unknown, fallback: number): number {
  const seconds = value === undefined ? fallback : value
  if (typeof seconds !== 'number') throw wrongType(`options.${name}`, 'a number', seconds)
  // A timer of Node's cannot be longer than 2^31-1 ms, and would fire at once.
  const longest = Math.floor((2 ** 31 - 1) / 1000)
  if (!(seconds >= 0 && seconds <= longest)) {
    throw outOfRange(`options.${name}`, `0 (never) or up to ${longest} seconds`, seconds)
  }
  return Math.ceil(seconds * 1000)
}

/** `ttl` as a whole number of milliseconds, rounded up and kept within what a Number counts exactly. */
export function milliseconds(ttl: number): number {
  return Math.min(Math.ceil(ttl * 1000), Number.MAX_SAFE_INTEGER)
}
