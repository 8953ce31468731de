// Types of TLS sockets: how one is made and what it emits.

import type { ALPNProtocols } from './alpn.js'
import type { SecureContext, SecureContextOptions } from './context.js'
import type { Server } from './server.js'
import type { Session } from './session.js'
import type { SNICallback } from './sni.js'

/** How a socket handles one connection. Without `secureContext`, the options of {@link SecureContext} apply too. */
export interface TLSSocketOptions extends SecureContextOptions {
  /** Whether this side is the server. The default is false. */
  isServer?: boolean | undefined
  /** The server that the connection belongs to. */
  server?: Server | undefined
  /** Certificates and settings; by default a context is made for this connection alone. */
  secureContext?: SecureContext | undefined
  /** Whether a server asks the client for a certificate. Clients always get one. The default is false. @see SSL_CTX_set_verify(3) */
  requestCert?: boolean | undefined
  /** Whether a server fails handshakes of clients that show no certificate although it asked. The default is true. @see SSL_CTX_set_verify(3) */
  rejectUnauthorized?: boolean | undefined
  /** The application protocols to offer or to choose from, most preferred first. @see SSL_CTX_set_alpn_protos(3) */
  ALPNProtocols?: ALPNProtocols | undefined
  /** Chooses a server's context by name. @see SSL_CTX_set_cert_cb(3) */
  SNICallback?: SNICallback | undefined
  /** A session for a client to resume: a `Session`, or the DER bytes of a 'session' event. @see SSL_set_session(3) */
  session?: Session | Uint8Array | undefined
  /**
   * What a client sends first. It goes out at once, before the handshake is complete, as far as `session` allows, and otherwise as ordinary data after it:
   * every byte once, and before anything that is written. An attacker who records it can have it arrive once more elsewhere: send nothing
   * that must not happen twice. The bytes must not change before 'secureConnect'.
   * @see SSL_write_early_data(3), RFC 8446 section 8
   */
  earlyData?: Uint8Array | undefined
  /**
   * Whether early data that the server rejects is sent again as ordinary data. The default is true. With false that is for the
   * application to decide, by `earlyData` on 'secureConnect'. @see RFC 8446 section 4.2.10
   */
  resendEarlyData?: boolean | undefined
  /** Milliseconds after which an unfinished handshake fails with `ERR_TLS_HANDSHAKE_TIMEOUT`. The default, 0, is never. */
  handshakeTimeout?: number | undefined
  /** Whether writing can go on after the peer has ended. The default is that of the transport. */
  allowHalfOpen?: boolean | undefined
  /** Bytes that may wait to be read, or to be written, before back-pressure sets in. The default is Node's. */
  highWaterMark?: number | undefined
  /** Destroys the socket when aborted. */
  signal?: AbortSignal | undefined
  /**
   * Threads of the engine that may work for this connection, if it runs over a TCP or Unix socket; by default as many as the machine can run at once.
   * 0 keeps handshake and records on the JavaScript thread.
   */
  threads?: number | undefined
}

/** Events of a {@link TLSSocket}. */
export type TLSSocketEvents = {
  /** The handshake is complete; certificates have not been judged yet. On a server that accepts early data it comes after 'secureConnection'. */
  secure: []
  /** A client's handshake is complete and its certificate accepted, or `rejectUnauthorized` is off. */
  secureConnect: []
  /** A client has got a session that can be resumed, in DER form: once in TLS 1.2, once for each ticket in TLS 1.3. */
  session: [session: Buffer]
  /** A line for the key log file; with it anybody can decrypt the connection. @see SSL_CTX_set_keylog_callback(3) */
  keylog: [line: Buffer]
  /** The transport is connected; TLS comes next. */
  connect: []
  ready: []
  lookup: [error: Error, address: string, family: string | number, host: string]
  timeout: []
  close: [hadError: boolean]
  data: [chunk: Buffer]
  drain: []
  end: []
  error: [error: Error]
}
