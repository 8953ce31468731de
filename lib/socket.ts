// TLSSocket: the Duplex that applications read and write, over a Connection that does the work. Servers' and clients'
// decisions are in server.ts and client.ts.

import { Socket } from 'node:net'
import { addAbortSignal, type Duplex } from 'node:stream'
import { alpnWire } from './alpn.js'
import { hasPeerCertificate } from './certificates.js'
import type { Connection, ConnectionEvents, Endpoint, Handshake } from './connection.js'
import { SecureContext } from './context.js'
import { type EarlyDataStatus, EarlyFlight, earlyDataStatus } from './early-data.js'
import type { SessionKeeper } from './engine/dispatch.js'
import { codedError, connectionReset, invalidType, opensslError, outOfRange, verifyError } from './errors.js'
import type { AnyListener } from './events.js'
import { openConnection } from './home.js'
import { InspectedStream } from './inspection.js'
import * as libssl from './libssl.js'
import { refuseAbsent } from './protocol.js'
import type { Server } from './server.js'
import { proposeSession, type Session } from './session.js'
import { type ConnectionOwner, registerConnection } from './session-callbacks.js'
import { chooseByName, type SNICallback, switchContext } from './sni.js'
import type { TLSSocketEvents, TLSSocketOptions } from './socket-types.js'

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
  /** Where the owner finds sessions. */
  sessions?: SessionKeeper | null
}

/** In place of the transport, where there is a connection to join. */
export interface Joined {
  readonly allowHalfOpen: boolean
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
export class TLSSocket extends InspectedStream {
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
  #newSessionsPending = 0
  #failure: Error | null = null
  /** A client's, until the server is known to be the right one. */
  #sessions: Buffer[] | null = null
  /** What a client sends first, until it is sent. */
  #early: EarlyFlight | null = null
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
    const { signal } = options
    if (signal && !(typeof signal === 'object' && 'aborted' in signal))
      throw invalidType('options.signal', 'an AbortSignal', signal)
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
        const trusts = (session: libssl.SSL_SESSION): boolean => this.#owner.trusts?.(session) !== false
        this.#early = new EarlyFlight(earlyData, resendEarlyData !== false, rejectUnauthorized === true ? trusts : null)
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
    if (signal) addAbortSignal(signal, this)
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
        sessions: role.sessions,
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
      this.#connection.start(this.handle === null ? undefined : this.#early?.take(this.handle, this.#alpn))
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
      socket.destroy(error ?? (socket._isEstablished ? undefined : socket.#disconnected()))
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
    if (!this._isEstablished) {
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
    this._isEstablished = true
    this.handshakeComplete = complete
    if (!complete) this.#earlyStatus = 'accepted'
    this._handshake = handshake
    if (this.#newSessionsPending === 0) this.#finishHandshake()
  }

  #onCompleted(): void {
    this.handshakeComplete = true
    if (!this.destroyed) this.emit('secure')
  }

  #finishHandshake(): void {
    if (this.destroyed) return
    const { alpnProtocol, servername } = this._handshake ?? this.#askHandshake()
    this.alpnProtocol = alpnProtocol || false
    this.servername = servername || false
    if (this.handshakeComplete) this.emit('secure')
    if (this.destroyed) return
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

  override get handle(): libssl.SSL | null {
    return this.#connection.ssl
  }

  /** The context that the connection was made with. */
  get secureContext(): SecureContext {
    return this.#context
  }

  /**
   * What became of data that a client sent before the handshake was complete: 'accepted', 'rejected', or 'none' where there was none, as before
   * the handshake. On a server that has accepted it, what is read before `handshakeComplete` is early data.
   * @see SSL_get_early_data_status(3)
   */
  get earlyData(): EarlyDataStatus {
    if (this.#earlyStatus !== null) return this.#earlyStatus
    return this.handle === null || !this._isEstablished ? 'none' : earlyDataStatus(this.handle)
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

  /** Sends what has been held back: first what a client's first flight did not carry, or carried in vain. */
  #send(): void {
    const unsent = this.#unsentEarlyData()
    const go = (): void => {
      this.#early = null
      const next = this.#heldBack
      this.#heldBack = null
      next?.go()
    }
    if (this.destroyed) return
    if (unsent === undefined || unsent.length === 0) go()
    else this.#connection.write([unsent], (error) => (error ? undefined : go()))
  }

  /** What of a client's early data is still to go. */
  #unsentEarlyData(): Uint8Array | undefined {
    if (this.#early === null) return undefined
    this.#earlyStatus = this.earlyData
    try {
      return this.#early.unsent(this.#earlyStatus, this.alpnProtocol || '')
    } catch (error) {
      this.destroy(error as Error)
      return undefined
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._endTimeout()
    this.#heldBack?.done(codedError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'))
    // An HTTP server destroys idle connections. Without a goodbye OpenSSL would withdraw their sessions, which their clients
    // are about to use again.
    const politely = this.#isServer && !this.secureConnecting
    const ending = error !== null ? 'now' : politely ? 'goodbye' : 'written'
    const shown = this.secureConnecting && this.#owner.handshakeFailed !== undefined ? null : error
    try {
      if (this.secureConnecting) this.#owner.handshakeFailed?.(this, error)
    } finally {
      this.#connection.destroy(ending, () => {
        if (this.#ownsContext) this.#context.free()
        this.#owner.closed?.(this)
        process.nextTick(() => this.emit('close', error !== null))
      })
    }
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
    // A session carries the certificate that it began with: one without began without, and for OpenSSL nothing is wrong with that.
    const known = hasPeerCertificate(ssl)
    return verifyError(known ? libssl.SSL_get_verify_result(ssl) : libssl.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT)
  }

  /** @internal Keeps the handshake's last message, and 'secure', back until the returned function is called. */
  _awaitNewSession(): () => void {
    this.#newSessionsPending += 1
    const release = this.#connection.hold()
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      this.#newSessionsPending -= 1
      release()
      if (this.#newSessionsPending === 0 && this._isEstablished && this.secureConnecting) this.#finishHandshake()
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
      if (this.server?.requestCert) context._prepareToVerify()
      return switchContext(handle, context.handle)
    })
  }
}

/** Milliseconds for which a client's new session is kept back; native/engine/telling.cc has the same. */
const longestHold = 50

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
