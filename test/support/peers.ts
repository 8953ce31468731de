// Two ends of a connection in one process: contexts with the tests' certificate, connections over memory BIOs, and the
// steps of a handshake between them. No sockets here, and nothing that runs by itself: each call is one step.

import {
  BIO,
  BIO_free,
  BIO_new,
  BIO_read,
  BIO_s_mem,
  BIO_set_mem_eof_return,
  BIO_write,
  ERR_clear_error,
  ERR_error_string,
  ERR_get_error,
  ERR_reason_error_string,
  EVP_PKEY,
  EVP_PKEY_free,
  SSL,
  SSL_CTX,
  SSL_CTX_free,
  SSL_CTX_new,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_keylog_callback,
  SSL_CTX_set_max_proto_version,
  SSL_CTX_set_min_proto_version,
  SSL_CTX_set_options,
  SSL_CTX_set_session_cache_mode,
  SSL_CTX_set_session_id_context,
  SSL_CTX_use_certificate_file,
  SSL_CTX_use_PrivateKey_file,
  SSL_do_handshake,
  SSL_ERROR_WANT_ASYNC,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_X509_LOOKUP,
  SSL_FILETYPE_PEM,
  SSL_free,
  SSL_get_error,
  SSL_get_rbio,
  SSL_get_wbio,
  SSL_new,
  SSL_OP_NO_TICKET,
  SSL_read,
  SSL_SESS_CACHE_CLIENT,
  SSL_SESSION,
  SSL_SESSION_free,
  SSL_session_reused,
  SSL_set_accept_state,
  SSL_set_bio,
  SSL_set_connect_state,
  SSL_set_session,
  SSL_shutdown,
  SSL_waiting_session,
  SSL_write,
  TLS_client_method,
  TLS_server_method,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
  X509,
  X509_free,
} from 'openssl-session/libssl'
import { credentials } from './credentials.js'

/** What a C function returned is there: for the functions whose null only means that memory is short. */
export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('libssl returned null')
  return value
}

/** Defines the tests of `define` once for each protocol version that has sessions. */
export function inEachProtocol(define: (version: number) => void): void {
  describe('in TLS 1.2', () => define(TLS1_2_VERSION))
  describe('in TLS 1.3', () => define(TLS1_3_VERSION))
}

/** What releaseAll() will free. */
const held: object[] = []

/** Frees, after a test, every handle that was given to keep() and is still owned. Connections first, contexts last. */
export function releaseAll(): void {
  const of = <T>(type: abstract new (...args: never) => T) => held.filter((handle) => handle instanceof type) as T[]
  for (const ctx of of(SSL_CTX)) {
    whileAlive(() => SSL_CTX_sess_set_new_cb(ctx, null))
    whileAlive(() => SSL_CTX_sess_set_remove_cb(ctx, null))
    whileAlive(() => SSL_CTX_sess_set_get_cb(ctx, null))
    whileAlive(() => SSL_CTX_set_keylog_callback(ctx, null))
  }
  for (const ssl of of(SSL)) whileAlive(() => SSL_free(ssl))
  for (const session of of(SSL_SESSION)) whileAlive(() => SSL_SESSION_free(session))
  for (const bio of of(BIO)) whileAlive(() => BIO_free(bio))
  for (const x509 of of(X509)) whileAlive(() => X509_free(x509))
  for (const key of of(EVP_PKEY)) whileAlive(() => EVP_PKEY_free(key))
  for (const ctx of of(SSL_CTX)) whileAlive(() => SSL_CTX_free(ctx))
  held.length = 0
  ERR_clear_error()
}

function whileAlive(use: () => unknown): void {
  try {
    use()
  } catch (error) {
    const { code } = error as { code?: string }
    if (code !== 'ERR_HANDLE_FREED' && code !== 'ERR_NOT_OWNED') throw error
  }
}

/** Lets go of everything that was given to keep(), so that nothing but the garbage collector will free it. */
export function forgetAll(): void {
  held.length = 0
}

/** Has a handle freed when the test ends, unless the test has freed it. */
export function keep<T extends object>(handle: T): T {
  held.push(handle)
  return handle
}

/**
 * A server's context for one protocol version. By default its sessions are stateful, so that they live in caches in
 * TLS 1.3 as they do in TLS 1.2.
 */
export function serverContext(version: number, tickets: 'stateful' | 'stateless' = 'stateful'): SSL_CTX {
  const ctx = keep(present(SSL_CTX_new(TLS_server_method())))
  SSL_CTX_set_min_proto_version(ctx, version)
  SSL_CTX_set_max_proto_version(ctx, version)
  SSL_CTX_set_session_id_context(ctx, Buffer.from('test'))
  if (tickets === 'stateful') SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET)
  const { certFile, keyFile } = credentials()
  if (
    SSL_CTX_use_certificate_file(ctx, certFile, SSL_FILETYPE_PEM) !== 1 ||
    SSL_CTX_use_PrivateKey_file(ctx, keyFile, SSL_FILETYPE_PEM) !== 1
  ) {
    throw new Error(`no certificate: ${ERR_error_string(ERR_get_error())}`)
  }
  return ctx
}

/** A client's context, which takes any protocol version that the server wants and tells its new callback of sessions. */
export function clientContext(): SSL_CTX {
  const ctx = keep(present(SSL_CTX_new(TLS_client_method())))
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT)
  return ctx
}

/** A connection over memory BIOs of its own. */
export function endpoint(ctx: SSL_CTX, role: 'server' | 'client'): SSL {
  const ssl = keep(present(SSL_new(ctx)))
  const [incoming, outgoing] = [present(BIO_new(BIO_s_mem())), present(BIO_new(BIO_s_mem()))]
  BIO_set_mem_eof_return(incoming, -1)
  BIO_set_mem_eof_return(outgoing, -1)
  SSL_set_bio(ssl, incoming, outgoing)
  if (role === 'server') SSL_set_accept_state(ssl)
  else SSL_set_connect_state(ssl)
  return ssl
}

const carriage = Buffer.alloc(65536)

/** Everything that one end has sent so far, taken off its wire. */
export function sent(from: SSL): Buffer {
  const length = BIO_read(present(SSL_get_wbio(from)), carriage)
  return Buffer.from(carriage.subarray(0, Math.max(length, 0)))
}

/** Puts bytes on the wire towards one end. */
export function arrive(to: SSL, bytes: Uint8Array): void {
  if (bytes.length > 0) BIO_write(present(SSL_get_rbio(to)), bytes)
}

/** Carries what one end has sent to the other. Returns how many bytes that were. */
export function transfer(from: SSL, to: SSL): number {
  const bytes = sent(from)
  arrive(to, bytes)
  return bytes.length
}

/** A handshake that did not come about. */
export class HandshakeFailure extends Error {
  override readonly name = 'HandshakeFailure'
  constructor(
    readonly side: 'server' | 'client',
    /** OpenSSL's reason, such as `no shared cipher`; empty when the handshake just stopped. */
    readonly reason: string,
  ) {
    super(`the ${side}'s handshake failed: ${reason || 'it waits for ever'}`)
  }
}

/** A client and a server that can talk to each other and to nobody else. */
export class Pair {
  readonly server: SSL
  readonly client: SSL

  /** `session` is what the client proposes to resume. */
  constructor(serverCtx: SSL_CTX, clientCtx: SSL_CTX, session: SSL_SESSION | null = null) {
    this.server = endpoint(serverCtx, 'server')
    this.client = endpoint(clientCtx, 'client')
    if (session !== null) SSL_set_session(this.client, session)
  }

  /**
   * Takes the handshake to its end on both sides and lets the client read the tickets that come after it. Throws a
   * HandshakeFailure, or what a callback threw; in the latter case it can be called again.
   */
  handshake(): this {
    while (!this.#round()) {
      // On to the next flight.
    }
    return this
  }

  /** The same for a server whose callbacks answer promises. */
  async handshakeAwaiting(): Promise<this> {
    while (!this.#round('may pause')) await SSL_waiting_session(this.server)
    return this
  }

  // One flight in either direction. True when both sides are done.
  #round(pause?: 'may pause'): boolean {
    const clientDone = this.#step('client')
    const moved = transfer(this.client, this.server)
    const serverDone = this.#step('server')
    const answered = transfer(this.server, this.client)
    if (clientDone === true && serverDone === true) {
      readNothing(this.client)
      return true
    }
    if (serverDone === 'paused') {
      if (pause === undefined) throw new Error('the server pauses for an answer')
    } else if (moved + answered === 0) {
      throw new HandshakeFailure(clientDone === true ? 'server' : 'client', '')
    }
    return false
  }

  #step(side: 'server' | 'client'): boolean | 'paused' {
    const ssl = this[side]
    ERR_clear_error()
    const result = SSL_do_handshake(ssl)
    if (result === 1) return true
    const error = SSL_get_error(ssl, result)
    if (error === SSL_ERROR_WANT_READ) return false
    if (error === SSL_ERROR_WANT_ASYNC || error === SSL_ERROR_WANT_X509_LOOKUP) return 'paused'
    throw new HandshakeFailure(side, lastReason())
  }

  /** Whether the handshake was a resumption; the two sides agree on it. */
  get reused(): boolean {
    const [server, client] = [SSL_session_reused(this.server), SSL_session_reused(this.client)]
    if (server !== client) throw new Error(`resumed? the server says ${server}, the client ${client}`)
    return server === 1
  }

  /** Ends the connection as it should end, and frees both sides. */
  close(): void {
    SSL_shutdown(this.client)
    SSL_shutdown(this.server)
    this.drop()
  }

  /** Frees both sides as they are. */
  drop(): void {
    SSL_free(this.client)
    SSL_free(this.server)
    ERR_clear_error()
  }
}

/** A connection that has done its handshake. */
export function connect(serverCtx: SSL_CTX, clientCtx: SSL_CTX, session: SSL_SESSION | null = null): Pair {
  return new Pair(serverCtx, clientCtx, session).handshake()
}

/** Reads where no application data is to be had: what is left is handshake messages, tickets for one. */
export function readNothing(ssl: SSL): void {
  ERR_clear_error()
  const result = SSL_read(ssl, carriage)
  const error = SSL_get_error(ssl, result)
  if (error !== SSL_ERROR_WANT_READ) throw new Error(`SSL_read returned ${result}, SSL_get_error ${error}`)
}

/** Sends a message through a connection and returns what arrives. */
export function echo(from: SSL, to: SSL, message: string): string {
  SSL_write(from, Buffer.from(message))
  transfer(from, to)
  const length = SSL_read(to, carriage)
  return carriage.toString('latin1', 0, Math.max(length, 0))
}

/** The reason of the oldest entry on OpenSSL's error queue, which is emptied. */
export function lastReason(): string {
  const code = ERR_get_error()
  ERR_clear_error()
  return code === 0 ? '' : (ERR_reason_error_string(code) ?? '')
}
