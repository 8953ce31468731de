// The engine's functions, typed: listeners and connections on worker threads, named by number. Internal to this package.

import type { SSL, SSL_CTX } from './libssl.js'
import { native } from './native.js'

/** What the handler is told of; the numbers are the addon's. */
export const Told = {
  established: 0,
  data: 1,
  ended: 2,
  failed: 3,
  written: 4,
  finished: 5,
  closed: 6,
  listener: 7,
} as const

/**
 * Told of everything that happens, in order, on the JavaScript thread. `value` is the plain text for `data`, whether time ran out for
 * `failed` (else the reason is on the error queue), an error number for `listener` (0: it has closed).
 */
export type EngineHandler = (what: number, connection: number, listener: number, value: unknown) => void

/** How connections are treated. Times are in milliseconds, 0 is for ever. */
export interface EngineSettings {
  handshakeTimeout?: number
  lookupTimeout?: number
  /** `SSL_VERIFY_*` bits; a bad certificate is recorded and does not fail the handshake. */
  verifyMode?: number
  /** `SSL_OP_*` bits to add. */
  options?: number
  noDelay?: number
}

interface EngineAddress {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
}

/** Functions that return a `number` of a system call return a negative error number, as `util.getSystemErrorName` takes it. */
interface EngineFunctions {
  start(threads: number, handler: EngineHandler): void
  stop(): void
  keepAlive(on: number): void
  bindTcp(address: string, port: number, v6Only: number, reusePort: number): number
  bindPath(path: string): number
  takeDescriptor(fd: number): number
  listenOn(fd: number, backlog: number): number
  closeDescriptor(fd: number): void
  descriptorAddress(fd: number): EngineAddress | null
  listen(fd: number, ctx: SSL_CTX, settings: EngineSettings): number
  setContext(listener: number, ctx: SSL_CTX): void
  closeListener(listener: number): void
  write(connection: number, chunks: readonly Uint8Array[]): void
  consumed(connection: number, bytes: number): void
  finish(connection: number): void
  destroy(connection: number): void
  ssl(connection: number): SSL | null
  localAddress(connection: number): EngineAddress | null
  remoteAddress(connection: number): EngineAddress | null
  setNoDelay(connection: number, on: number): number
  setKeepAlive(connection: number, on: number, delay: number): number
}

export const engine = native.engine as EngineFunctions
