// TLSSocket: the Duplex that applications read and write, over a Connection that does the work. What an application can
// ask about a connection is here too; servers' and clients' decisions are in server.ts and client.ts.

import type { X509Certificate } from 'node:crypto'
import { Socket } from 'node:net'
import { addAbortSignal, type Duplex } from 'node:stream'
import type { CipherNameAndProtocol, DetailedPeerCertificate, PeerCertificate } from 'node:tls'
import { type ALPNProtocols, alpnWire } from './alpn.js'
import { hasPeerCertificate, ownX509, peerCertificate, peerX509 } from './certificates.js'
import type { Connection, ConnectionEvents, Endpoint, Handshake } from './connection.js'
import { SecureContext, type SecureContextOptions } from './context.js'
import { type EarlyDataStatus, earlyAllowance, earlyDataStatus } from './early-data.js'
import { EndpointStream } from './endpoint.js'
import { codedError, connectionReset, invalidType, opensslError, outOfRange, verifyError } from './errors.js'
import type { AnyListener } from './events.js'
import { openConnection } from './home.js'
import * as libssl from './libssl.js'
import { refuseAbsent } from './protocol.js'
import type { Server } from './server.js'
import { proposeSession, type Session } from './session.js'
import { type ConnectionOwner, registerConnection } from './session-callbacks.js'
import { chooseByName, type SNICallback } from './sni.js'

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

/** What a Server or a client adds to the options of its sockets. */
export interface SocketRole {
  owner: ConnectionOwner
  /** A connection that is under way already, instead of one over the transport. */
  join?: (events: ConnectionEvents) => Connection
  /** Milliseconds after which a home that can end lookups ends them. */
  lookupTimeout?: number
  /** Whether what follows a new session may have to wait. */
  holdsSessions?: boolean
  /** Bytes of early data that a server accepts. */
  maxEarlyData?: number
}

/** In place of the transport, where there is a connection to join. */
export interface Joined {
  readonly allowHalfOpen: boolean
}

/** What a client sends first. */
interface EarlyData {
  readonly data: Uint8Array
  /** Whether it is sent again when it was rejected. */
  readonly resend: boolean
  /** Whether it is for a server with a good certificate only. */
  readonly verified: boolean
  /** How much of it has gone out early, and the application protocol that it was meant for. */
  sent: number
  protocol: string
}

const nothing = new Uint8Array(0)

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

// Merged so that `on` and its like are typed per event.
export interface TLSSocket {
  addListener<E extends keyof TLSSocketEvents>(event: E, listener: (...args: TLSSocketEvents[E]) => void): this
  addListener(event: string | symbol, listener: AnyListener): this
  on<E extends keyof TLSSocketEvents>(event: E, listener: (...args: TLSSocketEvents[E]) => void): this
  on(event: string | symbol, listener: AnyListener): this
  once<E extends keyof TLSSocketEvents>(event: E, listener: (...args: TLSSocketEvents[E]) => void): this
  once(event: string | symbol, listener: AnyListener): this
  prependListener<E extends keyof TLSSocketEvents>(event: E, listener: (...args: TLSSocketEvents[E]) => void): this
  prependListener(event: string | symbol, listener: AnyListener): this
  prependOnceListener<E extends keyof TLSSocketEvents>(event: E, listener: (...args: TLSSocketEvents[E]) => void): this
  prependOnceListener(event: string | symbol, listener: AnyListener): this
  emit<E extends keyof TLSSocketEvents>(event: E, ...args: TLSSocketEvents[E]): boolean
  emit(event: string | symbol, ...args: Parameters<AnyListener>): boolean
}

/**
 * A TLS connection over a `net.Socket` or any other Duplex. The handshake starts by itself on the next tick, or when the transport has connected.
 *
 * The socket owns the transport: it ends and destroys it.
 * @see SSL_new(3)
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: EventEmitter implements what the interface adds
export class TLSSocket extends EndpointStream {
  /** Always true: tells a TLS socket from a plain one. */
  readonly encrypted = true as const
  /** Whether the peer's certificate was asked for and is valid. */
  authorized = false
  /** Why the peer is not authorized, such as `DEPTH_ZERO_SELF_SIGNED_CERT`; null otherwise. */
  authorizationError: string | null = null
  /** The application protocol agreed on; false when there is none, null before the end of the handshake. */
  alpnProtocol: string | false | null = null
  /** The name that the client asked for; false when it asked for none, null before the end of the handshake. */
  servername: string | false | null = null
  /** True until the connection is ready for its application. */
  secureConnecting = true
  /**
   * Whether the handshake is complete. On a server it is not while early data comes: the client may be somebody who has recorded the
   * first flight of another. 'secure' tells when it is.
   * @see RFC 8446 section 8
   */
  handshakeComplete = false
  /** The server that the connection belongs to. */
  server: Server | undefined
  /** Plain text received, in bytes. */
  bytesRead = 0

  readonly #context: SecureContext
  readonly #ownsContext: boolean
  readonly #isServer: boolean
  readonly #connection: Connection
  readonly #owner: ConnectionOwner
  readonly #sniCallback: SNICallback | undefined
  readonly #alpn: Uint8Array | null = null
  #written = 0
  #established = false
  #handshake: Handshake | undefined
  #newSessionsPending = 0
  #failure: Error | null = null
  /** A client's, until the server is known to be the right one. */
  #sessions: Buffer[] | null = null
  /** What a client sends first, until it is sent. */
  #early: EarlyData | null = null
  /** What became of it, once that is known; on servers only when it was accepted. */
  #earlyStatus: EarlyDataStatus | null = null
  /** What the application sends before the peer is known to be the right one, or before early data is out of the way. */
  #heldBack: { go(): void; done(error: Error): void } | null = null

  /** Throws when an option cannot be used. */
  constructor(transport: Duplex, options?: TLSSocketOptions)
  /** @internal */
  constructor(transport: Duplex | Joined, options: TLSSocketOptions, role: SocketRole)
  constructor(transport: Duplex | Joined, options: TLSSocketOptions = {}, role: SocketRole = { owner: socketOwner }) {
    if (role.join === undefined && !isDuplex(transport)) throw invalidType('socket', 'a stream.Duplex', transport)
    super({
      allowHalfOpen: options.allowHalfOpen ?? transport.allowHalfOpen,
      // 'close' says whether there was an error, as net.Socket's does.
      emitClose: false,
      ...(options.highWaterMark === undefined ? {} : { highWaterMark: options.highWaterMark }),
    })
    this.#isServer = options.isServer === true
    this.#owner = role.owner
    this.server = options.server
    this.#sniCallback = options.SNICallback
    this.#ownsContext = options.secureContext === undefined
    if (options.ALPNProtocols !== undefined) this.#alpn = alpnWire(options.ALPNProtocols)
    if (role.join !== undefined) {
      this.#context = options.secureContext as SecureContext
      this.#connection = role.join(new TLSSocket.#Events(this))
    } else {
      refuseAbsent(options)
      const { earlyData, resendEarlyData, rejectUnauthorized } = options
      if (earlyData !== undefined && !this.#isServer) {
        if (!(earlyData instanceof Uint8Array))
          throw invalidType('options.earlyData', 'a Buffer or Uint8Array', earlyData)
        this.#early = {
          data: earlyData,
          resend: resendEarlyData !== false,
          verified: rejectUnauthorized === true,
          sent: 0,
          protocol: '',
        }
        this.#written = earlyData.length
      }
      this.#context = options.secureContext ?? new SecureContext(options)
      if (!(this.#context instanceof SecureContext))
        throw codedError('ERR_TLS_INVALID_CONTEXT', 'context must be a SecureContext')
      this.#connection = this.#over(transport as Duplex, options, role)
    }
    if (role.join !== undefined) return
    this.on('newListener', (event) => {
      if (event === 'keylog') this.#context._want('keylog')
    })
    if (options.signal) addAbortSignal(options.signal, this)
    this.#startWith(transport as Duplex)
  }

  #over(transport: Duplex, options: TLSSocketOptions, role: SocketRole): Connection {
    // SSL_new copies this callback, unlike the others.
    if (this.#sniCallback !== undefined) this.#context._want('certificate')
    libssl.ERR_clear_error()
    const ssl = libssl.SSL_new(this.#context.handle)
    if (ssl === null) throw opensslError('Cannot create a connection')
    try {
      if (this.#isServer) this.#beServer(ssl, options)
      else this.#beClient(ssl, options)
      registerConnection(ssl, this, this.#owner)
      return openConnection(ssl, transport, new TLSSocket.#Events(this), {
        threads: options.threads,
        handshakeTimeout: options.handshakeTimeout,
        lookupTimeout: role.lookupTimeout,
        holdsSessions: role.holdsSessions,
        maxEarlyData: role.maxEarlyData,
      })
    } catch (error) {
      libssl.SSL_free(ssl)
      if (this.#ownsContext) this.#context.free()
      throw error
    }
  }

  #beServer(ssl: libssl.SSL, options: TLSSocketOptions): void {
    libssl.SSL_set_accept_state(ssl)
    if (options.requestCert) {
      this.#context._prepareToVerify()
      const required = options.rejectUnauthorized !== false ? libssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
      // A bad certificate is judged after the handshake, where the application can be told what is wrong with it.
      libssl.SSL_set_verify_continue(ssl, libssl.SSL_VERIFY_PEER | required)
    }
    if (this.#alpn !== null && this.#alpn.length > 0) libssl.SSL_set_alpn_select_protos(ssl, this.#alpn)
  }

  #beClient(ssl: libssl.SSL, options: TLSSocketOptions): void {
    libssl.SSL_set_connect_state(ssl)
    this.#context._prepareToVerify()
    // As for servers; and of several things wrong with a certificate, the last one counts, as in node:tls.
    libssl.SSL_set_verify_continue(ssl, libssl.SSL_VERIFY_NONE)
    this.#context._want('newSession')
    if (this.#alpn !== null && libssl.SSL_set_alpn_protos(ssl, this.#alpn) !== 0)
      throw opensslError('Cannot offer "options.ALPNProtocols"')
    if (options.session !== undefined && options.session !== null) proposeSession(ssl, options.session)
  }

  #startWith(transport: Duplex): void {
    const start = (): void => {
      if (this.destroyed) return
      this.#connection.start(this.#takeEarlyData())
      this.read(0)
    }
    if (transport instanceof Socket && transport.connecting) {
      transport.once('connect', () => {
        this.emit('connect')
        this.emit('ready')
        start()
      })
      transport.on('lookup', (...args) => this.emit('lookup', ...(args as TLSSocketEvents['lookup'])))
    } else {
      process.nextTick(start)
    }
  }

  /** What the connection tells its socket: one small object, since there is one for every connection. */
  static readonly #Events = class implements ConnectionEvents {
    readonly #socket: TLSSocket

    constructor(socket: TLSSocket) {
      this.#socket = socket
    }

    established(complete: boolean, handshake?: Handshake): void {
      this.#socket.#onEstablished(complete, handshake)
    }

    completed(): void {
      this.#socket.#onCompleted()
    }

    received(bytes: Buffer): boolean {
      this.#socket.bytesRead += bytes.length
      return this.#socket.push(bytes)
    }

    ended(): void {
      this.#socket.#onEnded()
    }

    failed(error: Error): void {
      this.#socket.destroy(this.#socket.#failure ?? error)
    }

    lost(error: Error | null): void {
      const socket = this.#socket
      socket.destroy(error ?? (socket.#established ? undefined : socket.#disconnected()))
    }

    active(): void {
      this.#socket._moved()
    }

    met(ssl: libssl.SSL): void {
      registerConnection(ssl, this.#socket, this.#socket.#owner)
    }

    lookupLate(id: Buffer): void {
      const socket = this.#socket
      if (socket.#owner.lookupLate?.(socket, id) === true) return
      const late = codedError('ERR_LOOKUP_TIMEOUT', 'No answer in time')
      socket.#context._report('getSessionCallback', late, socket)
    }

    refused(error: unknown): void {
      const socket = this.#socket
      if (socket.#owner.lookupRefused?.(socket, error) !== true)
        socket.#context._report('getSessionCallback', error, socket)
    }
  }

  #onEnded(): void {
    if (!this.#established) {
      const lost = (): unknown => this.destroy(this.#disconnected())
      if (this.#isServer) {
        lost()
        return
      }
      // A client hears of the end before it hears of the error.
      this.once('end', lost)
    }
    this.push(null)
    // With nothing left to read, 'end' comes even to a socket that nobody reads.
    this.read(0)
  }

  #disconnected(): Error {
    return this.#owner.disconnected?.(this) ?? connectionReset('socket hang up')
  }

  #onEstablished(complete: boolean, handshake: Handshake | undefined): void {
    this.#established = true
    this.handshakeComplete = complete
    if (!complete) this.#earlyStatus = 'accepted'
    this.#handshake = handshake
    if (this.#newSessionsPending === 0) this.#finishHandshake()
  }

  #onCompleted(): void {
    this.handshakeComplete = true
    if (!this.destroyed) this.emit('secure')
  }

  #finishHandshake(): void {
    if (this.destroyed) return
    const { alpnProtocol, servername } = this.#handshake ?? this.#askHandshake()
    this.alpnProtocol = alpnProtocol || false
    this.servername = servername || false
    if (this.handshakeComplete) this.emit('secure')
    this.#owner.secured?.(this)
    // So that 'end' comes even to a socket that nobody reads.
    if (!this.destroyed) this.read(0)
  }

  #askHandshake(): Pick<Handshake, 'alpnProtocol' | 'servername'> {
    const ssl = this.handle as libssl.SSL
    return {
      alpnProtocol: libssl.SSL_get0_alpn_selected(ssl).toString('latin1'),
      servername: libssl.SSL_get_servername(ssl, libssl.TLSEXT_NAMETYPE_host_name) ?? '',
    }
  }

  protected override get _endpoint(): Endpoint {
    return this.#connection.endpoint
  }

  /** The libssl handle, for C functions that only look; null once the socket is destroyed. */
  get handle(): libssl.SSL | null {
    return this.#connection.ssl
  }

  /** The context that the connection was made with. */
  get secureContext(): SecureContext {
    return this.#context
  }

  // What the application asks about the connection. All of it is null or empty once the socket is destroyed.

  /** The session in DER form, for a client's next connection; undefined when there is none. In TLS 1.3 prefer the 'session' event. @see SSL_get_session(3) */
  getSession(): Buffer | undefined {
    const session = this.handle && libssl.SSL_get_session(this.handle)
    return (session && libssl.i2d_SSL_SESSION(session)) ?? undefined
  }

  /** The ticket that a client has got, undefined when there is none. @see SSL_SESSION_get0_ticket(3) */
  getTLSTicket(): Buffer | undefined {
    const session = this.handle && libssl.SSL_get_session(this.handle)
    if (!session || libssl.SSL_SESSION_has_ticket(session) !== 1) return undefined
    return libssl.SSL_SESSION_get0_ticket(session)
  }

  /** Whether the handshake has resumed a session. @see SSL_session_reused(3) */
  isSessionReused(): boolean {
    if (this.#handshake !== undefined) return !this.destroyed && this.#handshake.resumed
    return this.handle !== null && libssl.SSL_session_reused(this.handle) === 1
  }

  /**
   * What became of data that a client sent before the handshake was complete: 'accepted', 'rejected', or 'none' where there was none, as before
   * the handshake. On a server that has accepted it, what is read before `handshakeComplete` is early data.
   * @see SSL_get_early_data_status(3)
   */
  get earlyData(): EarlyDataStatus {
    if (this.#earlyStatus !== null) return this.#earlyStatus
    return this.handle === null || !this.#established ? 'none' : earlyDataStatus(this.handle)
  }

  /** The protocol in use, such as 'TLSv1.3'; null once the socket is destroyed. @see SSL_get_version(3) */
  getProtocol(): string | null {
    const known = this.#handshake && protocolNames.get(this.#handshake.version)
    if (known !== undefined) return this.destroyed ? null : known
    return this.handle && libssl.SSL_get_version(this.handle)
  }

  /** The cipher suite in use: OpenSSL's name, the RFC's name, and the version that introduced it. @see SSL_get_current_cipher(3) */
  getCipher(): CipherNameAndProtocol | null {
    const cipher = this.handle && libssl.SSL_get_current_cipher(this.handle)
    if (!cipher) return null
    return {
      name: libssl.SSL_CIPHER_get_name(cipher),
      standardName: libssl.SSL_CIPHER_standard_name(cipher) ?? libssl.SSL_CIPHER_get_name(cipher),
      version: libssl.SSL_CIPHER_get_version(cipher),
    }
  }

  /** The peer's certificate, an empty object when it has shown none; with `detailed`, linked to its issuers. @see SSL_get1_peer_certificate(3) */
  getPeerCertificate(detailed: true): DetailedPeerCertificate
  getPeerCertificate(detailed?: false): PeerCertificate
  getPeerCertificate(detailed?: boolean): PeerCertificate | DetailedPeerCertificate
  getPeerCertificate(detailed = false): PeerCertificate | DetailedPeerCertificate | null {
    return this.handle && (peerCertificate(this.handle, detailed === true) ?? ({} as PeerCertificate))
  }

  /** The peer's certificate, undefined when it has shown none. @see SSL_get1_peer_certificate(3) */
  getPeerX509Certificate(): X509Certificate | undefined {
    return (this.handle && peerX509(this.handle)) ?? undefined
  }

  /** The certificate of this side, an empty object when it has none. @see SSL_get_certificate(3) */
  getCertificate(): PeerCertificate | object | null {
    return this.handle && (ownX509(this.handle)?.toLegacyObject() ?? {})
  }

  /** The certificate of this side, undefined when it has none. @see SSL_get_certificate(3) */
  getX509Certificate(): X509Certificate | undefined {
    return (this.handle && ownX509(this.handle)) ?? undefined
  }

  /** The last Finished message sent, undefined before there is one. @see SSL_get_finished(3) */
  getFinished(): Buffer | undefined {
    return this.handle === null ? undefined : nonEmpty(libssl.SSL_get_finished(this.handle))
  }

  /** The last Finished message received, undefined before there is one. @see SSL_get_finished(3) */
  getPeerFinished(): Buffer | undefined {
    return this.handle === null ? undefined : nonEmpty(libssl.SSL_get_peer_finished(this.handle))
  }

  /** Derives `length` bytes that both sides can compute and nobody else. Throws before the end of the handshake. @see SSL_export_keying_material(3) */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer {
    if (typeof length !== 'number') throw invalidType('length', 'a number', length)
    if (!Number.isInteger(length) || length < 1 || length > 0xffffffff)
      throw outOfRange('length', 'an integer from 1 to 4294967295', length)
    if (typeof label !== 'string') throw invalidType('label', 'a string', label)
    if (context !== undefined && !(context instanceof Uint8Array)) throw invalidType('context', 'a Buffer', context)
    if (!this.#established || this.handle === null) {
      throw codedError('ERR_TLS_INVALID_STATE', 'TLS socket connection must be securely established')
    }
    libssl.ERR_clear_error()
    const material = libssl.SSL_export_keying_material(this.handle, length, label, context ?? null)
    if (material === null) throw opensslError('Cannot export keying material')
    return material
  }

  /** Sets the name that a client asks for. Before the handshake only; addresses are not names. @see SSL_set_tlsext_host_name(3) */
  setServername(name: string): void {
    if (typeof name !== 'string') throw invalidType('name', 'a string', name)
    if (this.#isServer) throw codedError('ERR_TLS_SNI_FROM_SERVER', 'Cannot issue SNI from a TLS server-side socket')
    libssl.ERR_clear_error()
    if (this.handle !== null && libssl.SSL_set_tlsext_host_name(this.handle, name) !== 1)
      throw opensslError('Cannot ask for this name')
  }

  /** Sets the session that a client proposes. Before the handshake only. Throws when the bytes are damaged. @see SSL_set_session(3) */
  setSession(session: Session | Uint8Array | string): void {
    if (this.handle !== null) proposeSession(this.handle, session)
  }

  /** Limits the plain text in one record to `size` bytes, 512 to 16384. Returns whether that was accepted. @see SSL_set_max_send_fragment(3) */
  setMaxSendFragment(size: number): boolean {
    if (typeof size !== 'number') throw invalidType('size', 'a number', size)
    if (!Number.isInteger(size)) throw outOfRange('size', 'an integer', size)
    return this.handle !== null && libssl.SSL_set_max_send_fragment(this.handle, size) === 1
  }

  /** Does nothing: renegotiation is always off. @see SSL_CTX_set_options(3) */
  disableRenegotiation(): void {}

  /** Plain text written, in bytes, including what still waits. */
  get bytesWritten(): number {
    return this.#written + this.writableLength
  }

  // Duplex

  override _read(): void {
    this.#connection.read()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#write([chunk], chunk.length, done)
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    const bytes = chunks.map(({ chunk }) => chunk)
    this.#write(
      bytes,
      bytes.reduce((sum, chunk) => sum + chunk.length, 0),
      done,
    )
  }

  #write(chunks: Buffer[], length: number, done: (error?: Error | null) => void): void {
    if (this.#holdsBack) {
      this.#heldBack = { go: () => this.#write(chunks, length, done), done }
      return
    }
    this.#connection.write(chunks, (error) => {
      if (!error) this.#written += length
      done(error)
    })
  }

  get #holdsBack(): boolean {
    return this.secureConnecting || this.#early !== null
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#holdsBack) this.#heldBack = { go: () => this.#connection.end(done), done }
    else this.#connection.end(done)
  }

  /** What a client's first flight may carry. */
  #takeEarlyData(): Uint8Array | undefined {
    const early = this.#early
    const ssl = this.handle
    if (early === null || ssl === null) return undefined
    const { limit, protocol } = earlyAllowance(ssl, this.#alpn, early.verified)
    early.protocol = protocol
    early.sent = Math.min(early.data.length, limit)
    return early.data.subarray(0, early.sent)
  }

  /** Sends what has been held back: first what a client's first flight did not carry, or carried in vain. */
  #send(): void {
    const early = this.#early
    const unsent = early === null ? nothing : this.#unsent(early)
    const go = (): void => {
      this.#early = null
      const next = this.#heldBack
      this.#heldBack = null
      next?.go()
    }
    if (this.destroyed) return
    if (unsent.length === 0) go()
    else this.#connection.write([unsent], (error) => (error ? undefined : go()))
  }

  #unsent({ data, resend, sent, protocol }: EarlyData): Uint8Array {
    const status = this.earlyData
    this.#earlyStatus = status
    if (status !== 'rejected') return status === 'accepted' ? data.subarray(sent) : data
    if (!resend) return nothing
    if (protocol === (this.alpnProtocol || '')) return data
    const message = 'The server has rejected early data and chosen another protocol'
    this.destroy(codedError('ERR_TLS_EARLY_DATA_REJECTED', message))
    return nothing
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._endTimeout()
    this.#heldBack?.done(codedError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'))
    if (this.secureConnecting) this.#owner.handshakeFailed?.(this, error)
    // An HTTP server destroys idle connections. Without a goodbye OpenSSL would withdraw their sessions, which their clients
    // are about to use again.
    const politely = this.#isServer && !this.secureConnecting
    const ending = error !== null ? 'now' : politely ? 'goodbye' : 'written'
    const shown = this.secureConnecting && this.#owner.handshakeFailed !== undefined ? null : error
    this.#connection.destroy(ending, () => {
      if (this.#ownsContext) this.#context.free()
      this.#owner.closed?.(this)
      process.nextTick(() => this.emit('close', error !== null))
    })
    // The error is for the next tick, as net.Socket's is; 'close' waits for the transport.
    done(shown)
  }

  // For servers, clients and SNI.

  /** @internal Whether lookups that take too long are ended without anybody's help. */
  get _limitsLookups(): boolean {
    return this.#connection.limitsLookups
  }

  /** @internal What is wrong with the peer's certificate; null when nothing is. */
  _verifyError(): (Error & { code: string }) | null {
    const ssl = this.handle
    if (ssl === null) return null
    if (!hasPeerCertificate(ssl)) {
      // A resumed TLS 1.3 session stands for the certificate that was checked when it began.
      const resumed = libssl.SSL_version(ssl) === libssl.TLS1_3_VERSION && libssl.SSL_session_reused(ssl) === 1
      return resumed ? null : verifyError(libssl.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT)
    }
    return verifyError(libssl.SSL_get_verify_result(ssl))
  }

  /** @internal Keeps the handshake's last message, and 'secure', back until the returned function is called. */
  _awaitNewSession(): () => void {
    this.#newSessionsPending += 1
    const release = this.#connection.hold()
    return () => {
      this.#newSessionsPending -= 1
      release()
      if (this.#newSessionsPending === 0 && this.#established && this.secureConnecting) this.#finishHandshake()
    }
  }

  /** @internal Keeps what TLS has to send back until a new session is stored, but not for long: the client may use it elsewhere at once. */
  _holdUntil(stored: PromiseLike<unknown>): void {
    const release = this.#connection.hold()
    const timer = setTimeout(release, longestHold).unref()
    stored.then(() => {
      clearTimeout(timer)
      release()
    })
  }

  /** @internal A client's new session; before the server is known to be the right one it waits. */
  _clientSession(session: libssl.SSL_SESSION): void {
    if (!this.secureConnecting && this.listenerCount('session') === 0) return
    const bytes = libssl.i2d_SSL_SESSION(session)
    if (bytes === null) return
    if (!this.secureConnecting) this.emit('session', bytes)
    else if (this.#sessions === null) this.#sessions = [bytes]
    else this.#sessions.push(bytes)
  }

  /** @internal Lets the application have the connection: `announce` tells it so. */
  _release(announce: () => void): void {
    this.secureConnecting = false
    this.#send()
    if (this.destroyed) return
    announce()
    const sessions = this.#sessions
    this.#sessions = null
    for (const session of sessions ?? []) this.emit('session', session)
  }

  /** @internal Chooses the context for the name that the client asks for. */
  _chooseContext(): boolean | Promise<boolean> {
    const ssl = this.handle
    const servername = ssl && libssl.SSL_get_servername(ssl, libssl.TLSEXT_NAMETYPE_host_name)
    if (!servername || this.#sniCallback === undefined) return true
    return chooseByName(this, servername, this.#sniCallback, (error, context) => {
      const handle = this.handle
      if (error || handle === null) {
        this.#failure = error instanceof Error ? error : new Error(String(error))
        return false
      }
      if (!context) return true
      return libssl.SSL_set_SSL_CTX(handle, context.handle) !== null
    })
  }
}

/** Milliseconds for which a client's new session is kept back; native/engine/telling.cc has the same. */
const longestHold = 50

const protocolNames = new Map([
  [libssl.TLS1_3_VERSION, 'TLSv1.3'],
  [libssl.TLS1_2_VERSION, 'TLSv1.2'],
])

/** Takes part in the events of a socket that stands alone. */
const socketOwner: ConnectionOwner = {
  secured: (socket) => socket._release(() => {}),
  newSession: (socket, session) => {
    if (socket.handle !== null && libssl.SSL_is_server(socket.handle) === 0) socket._clientSession(session)
  },
  chooseContext: (socket) => socket._chooseContext(),
}

/** Whether it can be read and written; not every package's Duplex descends from Node's. */
function isDuplex(value: unknown): value is Duplex {
  const stream = value as Partial<Duplex> | null | undefined
  return typeof stream?.write === 'function' && typeof stream.pause === 'function' && typeof stream.on === 'function'
}

function nonEmpty(bytes: Buffer): Buffer | undefined {
  return bytes.length > 0 ? bytes : undefined
}
