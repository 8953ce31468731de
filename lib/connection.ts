// What a TLSSocket needs of the home that its SSL lives in: a small interface, so that the socket is one class whether
// handshake and records are worked off on the JavaScript thread (inline.ts) or elsewhere.

import type * as libssl from './libssl.js'

/** What a home knows of a handshake that is complete; what it does not tell, the SSL does. */
export interface Handshake {
  /** `TLS1_3_VERSION` and the like. */
  readonly version: number
  readonly resumed: boolean
  /** The application protocol, empty when none was agreed on. */
  readonly alpnProtocol: string
  /** The name that the client asked for, empty when it asked for none. */
  readonly servername: string
}

/** What a home tells its socket. */
export interface ConnectionEvents {
  /** The handshake is complete, or a server has accepted early data and may send before it is `completed`. */
  established(complete: boolean, handshake?: Handshake): void
  /** The handshake is complete, after it was established without being so. */
  completed(): void
  /** Plain text has come. False asks the home to read no more until `read()`. */
  received(bytes: Buffer): boolean
  /** Nothing more will come: the peer has said so, or its stream has ended (before or after the handshake). */
  ended(): void
  /** TLS has failed. The peer is told as far as TLS can tell it; nothing more will be sent. */
  failed(error: Error): void
  /** The transport has failed or closed. */
  lost(error: Error | null): void
  /** Bytes have moved. */
  active(): void
  /** libssl's callbacks are about to mention the connection under this handle. */
  met(ssl: libssl.SSL): void
  /** The answer to a lookup was not there in time: it counts as a miss. */
  lookupLate(id: Buffer): void
  /** A callback of the application has answered with something that libssl refuses. The handshake goes on. */
  refused(error: unknown): void
}

/** Address and settings of the stream below; a stream that is no network socket has none of it. */
export interface Endpoint {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly remoteFamily?: string | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly localFamily?: string | undefined
  readonly connecting?: boolean | undefined
  address?(): object
  setNoDelay?(on?: boolean): unknown
  setKeepAlive?(on?: boolean, delay?: number): unknown
  /** Closing will reset the connection. */
  resetAndDestroy?(): unknown
  ref?(): unknown
  unref?(): unknown
}

/** Whether what was written is sent before a connection ends, and a goodbye after it. */
export type Ending = 'now' | 'written' | 'goodbye'

/** One TLS connection: an SSL, and what moves its bytes. */
export interface Connection {
  /** The handle, for getters; null once the connection is gone. */
  readonly ssl: libssl.SSL | null
  readonly endpoint: Endpoint
  /** Whether the home itself ends lookups that take too long. */
  readonly limitsLookups: boolean
  /** Begins the handshake; a client sends `early` data along. */
  start(early?: Uint8Array): void
  /** The reader has room again. */
  read(): void
  /** Sends `chunks` in order, after the handshake if need be. `done` is called when the bytes are on their way and may change. One write at a time. */
  write(chunks: readonly Uint8Array[], done: (error?: Error | null) => void): void
  /** Says goodbye and ends the sending direction. */
  end(done: (error?: Error | null) => void): void
  /** Ends it all and frees the SSL; not from within an event's libssl call, but right after it. `done` is called when the transport is closed. */
  destroy(ending: Ending, done: () => void): void
  /** Keeps what TLS has to send back until the returned function is called. */
  hold(): () => void
}
