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
  engine_start(threads: number, handler: EngineHandler): void
  engine_stop(): void
  engine_keep_alive(on: number): void
  engine_bind_tcp(address: string, port: number, v6Only: number, reusePort: number): number
  engine_bind_path(path: string): number
  engine_take_descriptor(fd: number): number
  engine_listen_on(fd: number, backlog: number): number
  engine_close_descriptor(fd: number): void
  engine_descriptor_address(fd: number): EngineAddress | null
  engine_listen(fd: number, ctx: SSL_CTX, settings: EngineSettings): number
  engine_set_context(listener: number, ctx: SSL_CTX): void
  engine_close_listener(listener: number): void
  engine_write(connection: number, chunks: readonly Uint8Array[]): void
  engine_consumed(connection: number, bytes: number): void
  engine_finish(connection: number): void
  engine_destroy(connection: number): void
  engine_ssl(connection: number): SSL | null
  engine_local_address(connection: number): EngineAddress | null
  engine_remote_address(connection: number): EngineAddress | null
  engine_set_no_delay(connection: number, on: number): number
  engine_set_keep_alive(connection: number, on: number, delay: number): number
}

export const engine = native as unknown as EngineFunctions
