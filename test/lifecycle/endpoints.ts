// Clients and servers of the libssl layer in one thread, over memory BIOs, moved forward step by step. What the programs
// of this folder are made of; nothing here asserts, and nothing runs by itself.

import type { SSL, SSL_CTX, SSL_SESSION } from 'openssl-session/libssl'
import * as ourLibssl from 'openssl-session/libssl'

export type Libssl = typeof ourLibssl

export const protocols = ['TLSv1.2', 'TLSv1.3'] as const
export type Protocol = (typeof protocols)[number]

/** A certificate and its key, as files in PEM. */
export interface Identity {
  readonly certFile: string
  readonly keyFile: string
}

export function must<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('libssl returned NULL')
  return value
}

function succeed(result: number): void {
  if (result !== 1) throw new Error(ourLibssl.ERR_error_string(ourLibssl.ERR_peek_last_error()))
}

/**
 * A server's context that speaks one protocol and keeps its sessions outside: no internal cache, and in TLS 1.3 tickets
 * that only name a session. It has no callbacks yet.
 */
export function serverContext({ certFile, keyFile }: Identity, protocol: Protocol, libssl = ourLibssl): SSL_CTX {
  const ctx = must(libssl.SSL_CTX_new(libssl.TLS_server_method()))
  succeed(libssl.SSL_CTX_use_certificate_file(ctx, certFile, libssl.SSL_FILETYPE_PEM))
  succeed(libssl.SSL_CTX_use_PrivateKey_file(ctx, keyFile, libssl.SSL_FILETYPE_PEM))
  succeed(libssl.SSL_CTX_set_session_id_context(ctx, Buffer.from('lifecycle')))
  libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_SERVER | libssl.SSL_SESS_CACHE_NO_INTERNAL)
  libssl.SSL_CTX_set_options(ctx, libssl.SSL_OP_NO_TICKET)
  restrict(ctx, protocol, libssl)
  return ctx
}

/** A client's context that speaks one protocol and tells of new sessions, but keeps none. */
export function clientContext(protocol: Protocol, libssl = ourLibssl): SSL_CTX {
  const ctx = must(libssl.SSL_CTX_new(libssl.TLS_client_method()))
  libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_CLIENT | libssl.SSL_SESS_CACHE_NO_INTERNAL)
  restrict(ctx, protocol, libssl)
  return ctx
}

function restrict(ctx: SSL_CTX, protocol: Protocol, libssl: Libssl): void {
  const version = protocol === 'TLSv1.2' ? libssl.TLS1_2_VERSION : libssl.TLS1_3_VERSION
  libssl.SSL_CTX_set_min_proto_version(ctx, version)
  libssl.SSL_CTX_set_max_proto_version(ctx, version)
}

/** Sessions outside of OpenSSL, as DER by id. */
export class Store {
  readonly sessions = new Map<string, Buffer>()
  readonly #libssl: Libssl

  constructor(libssl = ourLibssl) {
    this.#libssl = libssl
  }

  /** Sets the callbacks of a server's context that put sessions here and find them again, at once or by a promise. */
  serve(ctx: SSL_CTX, answer: 'at once' | 'by promise'): void {
    const libssl = this.#libssl
    libssl.SSL_CTX_sess_set_new_cb(ctx, (_ssl, session) => {
      this.sessions.set(libssl.SSL_SESSION_get_id(session).toString('hex'), must(libssl.i2d_SSL_SESSION(session)))
    })
    libssl.SSL_CTX_sess_set_get_cb(ctx, (_ssl, id, copy) => {
      const find = () => {
        const der = this.sessions.get(id.toString('hex'))
        if (!der) return null
        copy.value = 0
        return libssl.d2i_SSL_SESSION(der)
      }
      return answer === 'at once' ? find() : new Promise((resolve) => setImmediate(() => resolve(find())))
    })
  }
}

/** One end of a connection, with the BIOs that it reads from and writes to. */
export class Endpoint {
  readonly ssl: SSL
  readonly incoming: ourLibssl.BIO
  readonly outgoing: ourLibssl.BIO
  readonly #libssl: Libssl

  constructor(ctx: SSL_CTX, role: 'client' | 'server', libssl = ourLibssl) {
    this.#libssl = libssl
    this.ssl = must(libssl.SSL_new(ctx))
    this.incoming = must(libssl.BIO_new(libssl.BIO_s_mem()))
    this.outgoing = must(libssl.BIO_new(libssl.BIO_s_mem()))
    for (const bio of [this.incoming, this.outgoing]) libssl.BIO_set_mem_eof_return(bio, -1)
    libssl.SSL_set_bio(this.ssl, this.incoming, this.outgoing)
    if (role === 'server') libssl.SSL_set_accept_state(this.ssl)
    else libssl.SSL_set_connect_state(this.ssl)
  }

  /** Goes on with the handshake as far as it can go. */
  advance(): 'done' | 'starved' | 'asks' | 'failed' {
    const libssl = this.#libssl
    libssl.ERR_clear_error()
    const result = libssl.SSL_do_handshake(this.ssl)
    if (result === 1) return 'done'
    switch (libssl.SSL_get_error(this.ssl, result)) {
      case libssl.SSL_ERROR_WANT_READ:
      case libssl.SSL_ERROR_WANT_WRITE:
        return 'starved'
      case libssl.SSL_ERROR_WANT_ASYNC:
      case libssl.SSL_ERROR_WANT_X509_LOOKUP:
        return 'asks'
      default:
        return 'failed'
    }
  }

  /** Resolves when what the handshake asked has been answered. */
  answered(): Promise<void> {
    return this.#libssl.SSL_waiting_session(this.ssl)
  }

  /** Takes what this end has to say. */
  take(): Buffer {
    const bytes = Buffer.alloc(this.#libssl.BIO_ctrl_pending(this.outgoing))
    if (bytes.length > 0) this.#libssl.BIO_read(this.outgoing, bytes)
    return bytes
  }

  /** Gives this end something to read. */
  give(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#libssl.BIO_write(this.incoming, bytes)
  }

  /** Reads application data; empty when there is none. */
  read(): Buffer {
    const buffer = Buffer.alloc(16384)
    const length = this.#libssl.SSL_read(this.ssl, buffer)
    this.#libssl.ERR_clear_error()
    return buffer.subarray(0, Math.max(length, 0))
  }

  write(bytes: Uint8Array): number {
    return this.#libssl.SSL_write(this.ssl, bytes)
  }

  reused(): boolean {
    return this.#libssl.SSL_session_reused(this.ssl) === 1
  }

  resume(session: SSL_SESSION | null): void {
    succeed(this.#libssl.SSL_set_session(this.ssl, session))
  }

  shutdown(): void {
    this.#libssl.SSL_shutdown(this.ssl)
    this.#libssl.ERR_clear_error()
  }

  free(): void {
    this.#libssl.SSL_free(this.ssl)
  }
}

/** Two ends of one connection. */
export class Pair {
  readonly client: Endpoint
  readonly server: Endpoint

  constructor(clientCtx: SSL_CTX, serverCtx: SSL_CTX, session: SSL_SESSION | null = null, libssl = ourLibssl) {
    this.client = new Endpoint(clientCtx, 'client', libssl)
    this.server = new Endpoint(serverCtx, 'server', libssl)
    if (session) this.client.resume(session)
  }

  /** Carries what each end has said to the other. Returns how many bytes that was. */
  exchange(): number {
    const [fromClient, fromServer] = [this.client.take(), this.server.take()]
    this.server.give(fromClient)
    this.client.give(fromServer)
    return fromClient.length + fromServer.length
  }

  /**
   * Drives both ends until both are done, one has failed, or both wait for each other. The client has then read its
   * tickets. With `stopAtQuestion` it ends as soon as an end asks something.
   */
  async handshake({ stopAtQuestion = false } = {}): Promise<'done' | 'starved' | 'asks' | 'failed'> {
    for (;;) {
      const states = [this.client.advance(), this.server.advance()] as const
      const moved = this.exchange()
      if (states.includes('failed')) return 'failed'
      if (states.includes('asks')) {
        if (stopAtQuestion) return 'asks'
        await (states[0] === 'asks' ? this.client : this.server).answered()
      } else if (moved === 0) {
        if (states.includes('starved')) return 'starved'
        this.client.read()
        return 'done'
      }
    }
  }

  /** Ends the connection with close_notify in both directions, and frees it. */
  close(): void {
    this.client.shutdown()
    this.exchange()
    this.server.read()
    this.server.shutdown()
    this.exchange()
    this.client.read()
    this.free()
  }

  free(): void {
    this.client.free()
    this.server.free()
  }
}

/** Collects garbage until no finalizer has anything left to do. Needs --expose-gc. */
export async function collectGarbage(): Promise<void> {
  if (!global.gc) throw new Error('run with --expose-gc')
  for (let round = 0; round < 5; round++) {
    global.gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
}
