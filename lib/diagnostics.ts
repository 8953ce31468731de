// What happens to sessions, published on node:diagnostics_channel: for monitoring that needs no hand in the application. Nothing is
// measured while nobody listens.

import { type Channel, channel } from 'node:diagnostics_channel'

/** What is published of a session. */
export interface SessionMessage {
  /** Which store's method, event or callback was called. */
  operation: string
  /** The id of the session. */
  id: Buffer
  /** Milliseconds from the call to its result, a promise's value included. */
  duration: number
  /** Whether there was a result: of a look-up, whether there was such a session. */
  found: boolean
  /** What was thrown, or what a promise was rejected with. */
  error?: unknown
}

/**
 * The channels, each with a {@link SessionMessage}: a new session was handed to a store or a callback; a session was looked up; a session was
 * removed.
 */
export const channels = {
  new: channel('openssl-session.session.new'),
  get: channel('openssl-session.session.get'),
  remove: channel('openssl-session.session.remove'),
} as const

/** Calls `work` and, if somebody listens, publishes how long it took. */
export function observed<T>(on: Channel, operation: string, id: () => Buffer, work: () => T): T {
  if (!on.hasSubscribers) return work()
  const began = performance.now()
  const publish = (found: boolean, error?: unknown): void => {
    const message: SessionMessage = { operation, id: id(), duration: performance.now() - began, found }
    if (error !== undefined) message.error = error
    on.publish(message)
  }
  const isThere = (value: unknown): boolean => value !== null && value !== undefined
  let result: T
  try {
    result = work()
  } catch (error) {
    publish(false, error)
    throw error
  }
  if (result instanceof Promise) {
    result.then(
      (value) => publish(isThere(value)),
      (error: unknown) => publish(false, error),
    )
  } else {
    publish(isThere(result))
  }
  return result
}
