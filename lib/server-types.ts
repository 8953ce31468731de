// What a Server is given and what it tells: options, events and counts. What it does is in server.ts.

import type net from 'node:net'
import type { Duplex } from 'node:stream'
import type { ALPNProtocols } from './alpn.js'
import type { SecureContext, SecureContextOptions, SessionStats } from './context.js'
import type { SessionStoreError } from './external.js'
import type { Server } from './server.js'
import type { SNICallback } from './sni.js'
import type { TLSSocket } from './socket.js'
import type { StoreStats } from './stores/guard.js'
import type { SessionStore } from './stores/store.js'
import type { TicketKeysError } from './ticket-keys.js'

/** Options of a {@link Server}: those of a context, of net.Server, and these. */
export interface ServerOptions extends SecureContextOptions, net.ServerOpts {
  /** Turns Nagle's algorithm off, which has nothing to gather here. The default is true. @see tcp(7) */
  noDelay?: boolean | undefined
  /** A context to use instead of one made from the options, with its callbacks. The server may set its cache mode and its session id context. */
  secureContext?: SecureContext | undefined
  /** Asks clients for a certificate. The default is false. @see SSL_CTX_set_verify(3) */
  requestCert?: boolean | undefined
  /** Refuses clients without a valid certificate, where `requestCert` asks for one. The default is true. @see SSL_CTX_set_verify(3) */
  rejectUnauthorized?: boolean | undefined
  /** Application protocols, most preferred first. A client that offers others only is refused. @see SSL_CTX_set_alpn_select_cb(3) */
  ALPNProtocols?: ALPNProtocols | undefined
  /** Chooses a context by name, instead of those of `addContext`. @see SSL_CTX_set_cert_cb(3) */
  SNICallback?: SNICallback | undefined
  /** Milliseconds for a handshake, by default 120000. After that it fails with `ERR_TLS_HANDSHAKE_TIMEOUT`. */
  handshakeTimeout?: number | undefined
  /**
   * Where sessions live: they outlive the process and can be shared by several. The context then keeps none itself, and no stateless tickets are
   * issued; a TLS 1.3 session is used once.
   * @see SSL_CTX_sess_set_get_cb(3)
   */
  sessionStore?: SessionStore | undefined
  /**
   * Milliseconds after which a look-up counts as a miss, by default 2000. On the engine's threads it holds for every kind of look-up, and whatever
   * JavaScript is doing; with `threads: 0` for those in the store.
   */
  lookupTimeout?: number | undefined
  /**
   * Bytes that clients may send before the handshake is complete (early data, 0-RTT), with a session that a `sessionStore` has given away by `take`: to
   * this connection and to nobody else in the fleet. What comes with any other session, or with a store that has no `take` or none that is atomic
   * (`SessionStore.atomicTake`), is rejected. The default, 0, accepts none. Give servers that share a store the same number: what is rejected is
   * skipped up to twice this number or 16384, the greater one.
   * @see SSL_set_max_early_data(3), RFC 8446 section 8
   */
  maxEarlyData?: number | undefined
  /**
   * How many threads of the engine work for this server at most; by default as many as the machine can run at once. They do handshakes, records and
   * the sockets' input and output. 0 keeps all of that on the JavaScript thread.
   */
  threads?: number | undefined
}

/** How many handshakes of one protocol there were. */
export interface HandshakeCounts {
  /** Handshakes that resumed a session. */
  resumed: number
  full: number
}

/** What {@link Server.stats} tells: counts since the server was made, unless they are said to be of now. */
export interface ServerStats {
  /** Connections that have come. */
  accepted: number
  /** Connections that were turned away because of `maxConnections`. */
  dropped: number
  /** Now: connections whose handshake is not complete. */
  handshaking: number
  /** Now: look-ups of sessions that are not answered. */
  waiting: number
  /** Now: connections that applications have. */
  open: number
  /** Handshakes that failed: 'tlsClientError'. */
  failed: number
  /** Complete handshakes, by protocol such as 'TLSv1.3'. */
  handshakes: Record<string, HandshakeCounts>
  /** OpenSSL's counters, of the context of new connections. @see SSL_CTX_sess_number(3) */
  cache: SessionStats
  /** How the `sessionStore` does; null when there is none. */
  store: StoreStats | null
  /** Now: connections on each thread of the engine, those of other servers and of clients included. */
  threads: number[]
}

/** Options of {@link Server.listen}. */
export interface ListenOptions extends net.ListenOptions {
  /** Lets several sockets listen on the same port, in this process and in others; the kernel divides connections among them. @see socket(7) */
  reusePort?: boolean | undefined
}

/** Events of a {@link Server}. */
export type ServerEvents = {
  /** A connection is ready for the application. */
  secureConnection: [socket: TLSSocket]
  /** A connection failed before it was ready. The socket can still be asked for its address. */
  tlsClientError: [error: Error, socket: TLSSocket]
  /** A line for the key log file; with it anybody can decrypt the connection. */
  keylog: [line: Buffer, socket: TLSSocket]
  /** A session to store, in DER form. The handshake is not completed before `callback` is called. Not for sessions in stateless tickets of TLS 1.2. */
  newSession: [id: Buffer, session: Buffer, callback: () => void]
  /** A client proposes a session: call back with its DER form, or with null. With a listener no stateless tickets are issued. */
  resumeSession: [id: Buffer, callback: (error: Error | null, session?: Uint8Array | null) => void]
  /**
   * The session store failed. It cost no handshake: a look-up counts as a miss. Each kind of failure is told once in ten seconds, with the number of those that
   * were not. A store that fails five times in a row is left alone for a while; `stats().store` tells.
   */
  sessionStoreError: [error: SessionStoreError]
  /** The function in `ticketKeys` failed, or answered with what are no keys; they stay as they are. Told once a minute; without a listener a warning is emitted. */
  ticketKeysError: [error: TicketKeysError]
  /**
   * A connection has come, and its handshake has not begun: with `threads: 0` its transport, on the engine its `TLSSocket`. Emit it to hand in a transport to
   * run TLS over; the engine takes a `net.Socket`'s descriptor over, and the `net.Socket` closes together with the connection.
   */
  connection: [transport: Duplex]
  /** Accepting has failed, for want of file descriptors in most cases. It is tried again; without a listener a warning is emitted. */
  acceptError: [error: NodeJS.ErrnoException]
  listening: []
  close: []
  error: [error: Error]
  drop: [data?: net.DropArgument]
}
