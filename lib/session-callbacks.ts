// Who is told of sessions: the types of the application's callbacks, what takes part in a connection's session events, and which
// connection an SSL belongs to. Calling them is context.ts's business.

import type { SecureContext } from './context.js'
import { introduce } from './engine/dispatch.js'
import type * as libssl from './libssl.js'
import type { Session } from './session.js'
import type { TLSSocket } from './socket.js'

/**
 * Called for each new session: during the handshake in TLS 1.2, after it in TLS 1.3 and there once for each ticket. The `Session` is
 * yours: it owns a reference that `free()` or the garbage collector gives back. A result is not awaited and means nothing.
 * @see SSL_CTX_sess_set_new_cb(3)
 */
export type NewSessionCallback = (socket: TLSSocket, session: Session) => unknown

/**
 * Called when OpenSSL removes a session or declares it not resumable: expired, pushed out of a full cache, removed with `removeSession`, its connection
 * closed uncleanly or broken by a fatal alert. The `Session` is yours, as in {@link NewSessionCallback}.
 * @see SSL_CTX_sess_set_remove_cb(3)
 */
export type RemoveSessionCallback = (context: SecureContext, session: Session) => unknown

/** A session, its DER form, or nothing. */
export type FoundSession = Session | Uint8Array | null | undefined

/**
 * Called on a server when a client proposes a session that the context has not got. Answer with a `Session` of this context (which stays yours), with
 * the DER form, or with null for a full handshake; or with a promise of one, which pauses the handshake. In TLS 1.3 only stateful tickets
 * (`SSL_OP_NO_TICKET`) ask.
 * @see SSL_CTX_sess_set_get_cb(3)
 */
export type GetSessionCallback = (socket: TLSSocket, id: Buffer) => FoundSession | Promise<FoundSession>

/** What a get callback tells libssl. */
export type SessionAnswer = libssl.SSL_SESSION | null | Promise<libssl.SSL_SESSION | null>

/** Who takes part in the session events of a connection: a Server, or the socket itself. */
export interface ConnectionOwner {
  /** A session came into being; the handle is borrowed. */
  newSession?(socket: TLSSocket, session: libssl.SSL_SESSION): void
  /** A client proposes a session. `copy.value = 0` hands over the reference to the answer. Neither throws nor rejects. */
  findSession?(socket: TLSSocket, id: Buffer, copy: { value: number }): SessionAnswer
  /** What `findSession` answered later is not accepted by libssl: the look-up is a miss. True when the owner has reported that. */
  lookupRefused?(socket: TLSSocket, error: unknown): boolean
  /** What `findSession` promised was not there in time: the look-up is a miss. True when the owner has reported that. */
  lookupLate?(socket: TLSSocket, id: Buffer): boolean
  /** Certificates are about to be chosen (SNI). False fails the handshake. Neither throws nor rejects. */
  chooseContext?(socket: TLSSocket): boolean | Promise<boolean>
  /** Whether data may go unasked to the server that a session began with, whose chain of certificates was good. */
  trusts?(session: libssl.SSL_SESSION): boolean
  /** The handshake is complete. */
  secured?(socket: TLSSocket): void
  /** The connection is closed. */
  closed?(socket: TLSSocket): void
  /**
   * The connection is going down before its handshake was complete and accepted; the transport is still there to be asked.
   * With it, the socket itself emits no 'error' for that.
   */
  handshakeFailed?(socket: TLSSocket, error: Error | null): void
  /** The error for a peer that leaves during the handshake. */
  disconnected?(socket: TLSSocket): Error
}

/** A connection and who takes part in its events. */
export interface RegisteredConnection {
  socket: TLSSocket
  owner: ConnectionOwner
}

// libssl's callbacks name the SSL only.
const connections = new WeakMap<libssl.SSL, RegisteredConnection>()

/** Makes session events of `ssl` reach its connection. */
export function registerConnection(ssl: libssl.SSL, socket: TLSSocket, owner: ConnectionOwner): void {
  connections.set(ssl, { socket, owner })
}

/** The connection around `ssl`; undefined for one that the application made itself. */
export function connectionOf(ssl: libssl.SSL): RegisteredConnection | undefined {
  const known = connections.get(ssl)
  if (known !== undefined) return known
  // A connection that the engine has accepted is first met here.
  introduce(ssl)
  return connections.get(ssl)
}
