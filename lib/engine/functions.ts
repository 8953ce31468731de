// The engine's native functions, typed: listeners and connections on worker threads, named by number. Who hears of what
// they do is decided in dispatch.ts.

import type { SSL, SSL_CTX } from '../libssl.js'
import { native } from '../native.js'

/** What the handler is told of; the numbers are the addon's (native/engine/told.h). */
export const Told = {
  accepted: 0,
  established: 1,
  data: 2,
  ended: 3,
  failed: 4,
  readFailed: 5,
  writeFailed: 6,
  written: 7,
  finished: 8,
  lookupLate: 9,
  refused: 10,
  closed: 11,
  listener: 12,
  dropped: 13,
  profileGone: 14,
  lookupOnce: 15,
  lookup: 16,
  storeLateOnce: 17,
  storeLate: 18,
  keep: 19,
  completed: 20,
  giveBack: 21,
} as const

/** What becomes of an answer to a look-up; the numbers are the addon's (native/engine/connection.h). */
export const receptions = ['refused', 'taken', 'unwanted'] as const

/** Whether an answer is taken, cannot be used, or comes to a handshake that has ended or gone on. */
export type Reception = (typeof receptions)[number]

/** How a connection is ended; the numbers are the addon's (native/engine/connection.h). */
export const endings = { now: 0, written: 1, goodbye: 2 } as const

/**
 * Told of everything that happens, in order, on the JavaScript thread. `connection` is 0 where it is about a listener; `source` is the profile of the
 * connection, or the listener.
 */
export type EngineHandler = (what: number, connection: number, source: number, value: unknown) => void

/** How connections are treated. Times are in milliseconds, 0 is for ever. */
export interface EngineSettings {
  handshakeTimeout?: number
  lookupTimeout?: number
  /** `SSL_VERIFY_*` bits; a bad certificate is recorded and does not fail the handshake. */
  verifyMode?: number
  /** `SSL_OP_*` bits to add. */
  options?: number
  noDelay?: number
  keepAlive?: number
  /** Seconds. */
  keepAliveDelay?: number
  /** What an accepted connection selects from, instead of what its context says. */
  alpnProtocols?: Uint8Array
  /** At most so many threads serve them. */
  threads?: number
  /** Whether to tell of a connection before its handshake. */
  announce?: number
  /** Whether sessions are told of and asked for in DER form, where the context has no callbacks. */
  stores?: number
  /** Whether what follows a new session waits until it was told of and `hold` has let it go. */
  holdSessions?: number
  /** Bytes that a server takes before the end of the handshake, with a session that was taken out of a store. */
  maxEarlyData?: number
}

export interface EngineAddress {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
}

/** Functions that return a `number` of a system call return a negative error number, as `util.getSystemErrorName` takes it. */
interface EngineFunctions {
  setUp(handler: EngineHandler): void
  start(threads: number): void
  stop(): void
  /** Returns when the threads have done what they were asked to do so far, or not within a second. */
  settle(): void
  keepAlive(on: number): void
  loads(): number[]
  bindTcp(address: string, port: number, v6Only: number, reusePort: number): number
  bindPath(path: string): number
  takeDescriptor(fd: number): number
  listenOn(fd: number, backlog: number): number
  closeDescriptor(fd: number): void
  descriptorAddress(fd: number): EngineAddress | null
  listen(fd: number, ctx: SSL_CTX, settings: EngineSettings): number
  configure(listener: number, ctx: SSL_CTX, settings: EngineSettings): number
  closeListener(listener: number): void
  limitConnections(listener: number, limit: number): void
  counts(listener: number): { open: number; accepted: number; dropped: number } | null
  closeConnections(listener: number): void
  forgetListener(listener: number): void
  /** A client begins with `early` data. */
  adopt(ssl: SSL, fd: number, received: Uint8Array, early: Uint8Array, settings: EngineSettings): number
  /** An index of `receptions`. `taken` says that nobody else has the session. */
  answer(connection: number, id: Uint8Array, der: Uint8Array | null, taken: number): number
  /** 1 when nobody needs to wait for `Told.written`; only then the bytes may change. `ahead` allows that, after the handshake. */
  write(connection: number, chunks: readonly Uint8Array[], ahead: number): number
  consumed(connection: number, bytes: number): void
  hold(connection: number, on: number): void
  /** 1 when everything is sent but the goodbye. */
  finish(connection: number): number
  destroy(connection: number, ending: number): void
  reset(connection: number): void
  ssl(connection: number): SSL | null
  owner(ssl: SSL): [connection: number, profile: number] | null
  localAddress(connection: number): EngineAddress | null
  remoteAddress(connection: number): EngineAddress | null
  setNoDelay(connection: number, on: number): number
  setKeepAlive(connection: number, on: number, delay: number): number
}

export const engine = native.engine as EngineFunctions
