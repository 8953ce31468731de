// Where a connection lives: on a thread of the engine when there is a socket to give it, else inline.

import { availableParallelism } from 'node:os'
import type { Duplex } from 'node:stream'
import type { Connection, ConnectionEvents } from './connection.js'
import { EngineConnection, hasDescriptor } from './engine/connection.js'
import type { SessionKeeper } from './engine/dispatch.js'
import { invalidType, outOfRange } from './errors.js'
import { InlineConnection } from './inline.js'
import type * as libssl from './libssl.js'

/** Times are in milliseconds; 0, or nothing, is for ever. */
export interface HomeOptions {
  threads?: number | undefined
  handshakeTimeout?: number | undefined
  lookupTimeout?: number | undefined
  holdsSessions?: boolean | undefined
  /** Bytes; nothing is none. */
  maxEarlyData?: number | undefined
  /** Gets back what was taken out of it for a handshake that has ended. */
  sessions?: SessionKeeper | null | undefined
}

/** The number of threads that an option asks for. Throws when it is none. */
export function threadsOf(threads: unknown): number {
  if (threads === undefined || threads === null) return availableParallelism()
  if (typeof threads !== 'number') throw invalidType('options.threads', 'a number', threads)
  if (!Number.isInteger(threads) || threads < 0 || threads > 1024)
    throw outOfRange('options.threads', 'an integer from 0 to 1024', threads)
  return threads
}

/** Makes a connection of `ssl` over a transport. Takes over the caller's reference to `ssl` unless it throws. */
export function openConnection(
  ssl: libssl.SSL,
  transport: Duplex,
  events: ConnectionEvents,
  options: HomeOptions,
): Connection {
  const threads = threadsOf(options.threads)
  const handshakeTimeout = options.handshakeTimeout || 0
  const maxEarlyData = options.maxEarlyData ?? 0
  if (threads === 0 || !hasDescriptor(transport))
    return new InlineConnection(ssl, transport, events, handshakeTimeout, maxEarlyData)
  const settings = {
    threads,
    handshakeTimeout,
    lookupTimeout: options.lookupTimeout ?? 0,
    holdSessions: options.holdsSessions ? 1 : 0,
    maxEarlyData,
  }
  return EngineConnection.over(ssl, transport, events, settings, options.sessions ?? null)
}
