// Server: accepts connections, decides on client certificates and names, and connects sessions with a store or with node:tls's
// 'newSession' and 'resumeSession' events. What happens on a connection is in socket.ts.

import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { alpnWire } from './alpn.js'
import { byCallback } from './callback.js'
import { createSecureContext, SecureContext, type SecureContextOptions } from './context.js'
import { channels, observed } from './diagnostics.js'
import { EngineConnection, systemError } from './engine/connection.js'
import { loads } from './engine/dispatch.js'
import { EngineListener, type InnerHandle, type ListenerOwner } from './engine/listener.js'
import { codedError, connectionReset, invalidType, outOfRange } from './errors.js'
import type { AnyListener } from './events.js'
import { ExternalSessions, isTls13, restore, type SessionStoreError, storeError } from './external.js'
import { threadsOf } from './home.js'
import * as libssl from './libssl.js'
import type { HandshakeCounts, ListenOptions, ServerEvents, ServerOptions, ServerStats } from './server-types.js'
import type { ConnectionOwner, SessionAnswer } from './session-callbacks.js'
import { NamedContexts, type SNICallback } from './sni.js'
import { type Joined, TLSSocket } from './socket.js'
import type { TLSSocketOptions } from './socket-types.js'
import { checkStore } from './stores/input.js'
import type { Awaitable, SessionStore } from './stores/store.js'
import type { TicketKeys, TicketKeysError } from './ticket-keys.js'

/**
 * The default session id context. The same for every process that runs the same main script, whatever its arguments: processes that share a
 * store, or ticket keys, resume each other's sessions. Name one yourself where scripts differ, or where one script serves applications that must
 * not share sessions.
 */
function defaultSessionIdContext(): string {
  return createHash('sha256')
    .update(process.argv[1] ?? process.execPath)
    .digest('hex')
    .slice(0, libssl.SSL_MAX_SID_CTX_LENGTH)
}

function milliseconds(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value)
  if (!(value >= 0 && value <= 0x7fffffff)) throw outOfRange(name, 'from 0 to 2147483647', value)
  return value
}

function bytes(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value)
  if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff)
    throw outOfRange(name, 'an integer from 0 to 2147483647', value)
  return value
}

function optionsOf(options: ServerOptions | undefined | null): ServerOptions {
  if (options === undefined || options === null) return {}
  if (typeof options !== 'object') throw invalidType('options', 'an object', options)
  return options
}

function storeOf({ sessionStore }: ServerOptions): SessionStore | null {
  if (sessionStore === undefined || sessionStore === null) return null
  checkStore('options.sessionStore', sessionStore)
  return sessionStore
}

/** What net.Server has for its subclasses; not public, but the same in every Node that this package runs on. */
interface NetServerInternals {
  _handle: (InnerHandle & { ref?(): void }) | EngineListener | null
  _listen2(
    address: string | null,
    port: number,
    addressType: number,
    backlog: number,
    fd: number | undefined,
    flags: number | undefined,
  ): void
  _emitCloseIfDrained(): void
}

const netServer = net.Server.prototype as unknown as NetServerInternals

interface NetServerOptions {
  highWaterMark?: number
  noDelay?: boolean
  keepAlive?: boolean
  /** Seconds. */
  keepAliveInitialDelay?: number
}

/** libuv's flag for sockets that take IPv6 only. */
const v6OnlyFlag = 1

/** Events whose listeners change how the engine treats connections. */
const treatments = new Set<string | symbol>(['newSession', 'resumeSession', 'keylog', 'connection'])

// Merged so that `on` and its like are typed per event.
export interface Server {
  addListener<E extends keyof ServerEvents>(event: E, listener: (...args: ServerEvents[E]) => void): this
  addListener(event: string | symbol, listener: AnyListener): this
  on<E extends keyof ServerEvents>(event: E, listener: (...args: ServerEvents[E]) => void): this
  on(event: string | symbol, listener: AnyListener): this
  once<E extends keyof ServerEvents>(event: E, listener: (...args: ServerEvents[E]) => void): this
  once(event: string | symbol, listener: AnyListener): this
  prependListener<E extends keyof ServerEvents>(event: E, listener: (...args: ServerEvents[E]) => void): this
  prependListener(event: string | symbol, listener: AnyListener): this
  prependOnceListener<E extends keyof ServerEvents>(event: E, listener: (...args: ServerEvents[E]) => void): this
  prependOnceListener(event: string | symbol, listener: AnyListener): this
  emit<E extends keyof ServerEvents>(event: E, ...args: ServerEvents[E]): boolean
  emit(event: string | symbol, ...args: Parameters<AnyListener>): boolean
}

/**
 * A TLS server with the names and habits of node:tls's.
 * @see SSL_accept(3)
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: EventEmitter implements what the interface adds
export class Server extends net.Server {
  readonly requestCert: boolean
  readonly rejectUnauthorized: boolean
  readonly #alpn: Uint8Array | undefined
  readonly #handshakeTimeout: number
  readonly #sniCallback: SNICallback | undefined
  readonly #names = new NamedContexts()
  readonly #sessions: ExternalSessions | null
  readonly #pauseOnConnect: boolean
  readonly #owner: ConnectionOwner
  readonly #threads: number
  readonly #lookupTimeout: number
  readonly #maxEarlyData: number
  /** What the engine listens with, and what it has listened with as long as connections from there are open. */
  readonly #listeners = new Set<EngineListener>()
  /** Connections that the engine has accepted and JavaScript has heard of. */
  readonly #accepted = new Set<TLSSocket>()
  readonly #counts = { accepted: 0, dropped: 0, waiting: 0, failed: 0, open: 0 }
  readonly #handshakes: Record<string, HandshakeCounts> = {}
  /** Connections that JavaScript has accepted, or was handed. */
  readonly #handedIn = new Set<TLSSocket>()
  /** The event whose listener is about to be added. */
  #coming: string | symbol | null = null
  #maxConnections: number | undefined
  #reusePort = false
  /** The ids that connections wait for. */
  readonly #awaited = new WeakMap<TLSSocket, Buffer>()
  #settings: ServerOptions
  #context: SecureContext

  /** Throws when an option, a certificate or a key cannot be used. */
  constructor(options?: ServerOptions | null, listener?: (socket: TLSSocket) => void)
  constructor(listener: (socket: TLSSocket) => void)
  constructor(first?: ServerOptions | null | ((socket: TLSSocket) => void), second?: (socket: TLSSocket) => void) {
    const listener = typeof first === 'function' ? first : second
    const options = typeof first === 'function' ? {} : optionsOf(first)
    // Records are sent as they are made: nothing is gained by waiting for more.
    super({ ...options, noDelay: options.noDelay ?? true })
    this.requestCert = options.requestCert === true
    this.rejectUnauthorized = options.rejectUnauthorized !== false
    this.#alpn = options.ALPNProtocols && alpnWire(options.ALPNProtocols)
    this.#handshakeTimeout = milliseconds(options.handshakeTimeout || 120_000, 'options.handshakeTimeout')
    if (options.SNICallback && typeof options.SNICallback !== 'function') {
      throw invalidType('options.SNICallback', 'a function', options.SNICallback)
    }
    this.#sniCallback = options.SNICallback
    this.#pauseOnConnect = options.pauseOnConnect === true
    this.#threads = threadsOf(options.threads)
    this.#lookupTimeout = milliseconds(options.lookupTimeout ?? 2000, 'options.lookupTimeout')
    const sessionStore = storeOf(options)
    this.#sessions =
      sessionStore && new ExternalSessions(sessionStore, this.#lookupTimeout, (error) => this.#reportStore(error))
    const maxEarlyData = bytes(options.maxEarlyData ?? 0, 'options.maxEarlyData')
    // Nothing less than a session that nobody else can get keeps what comes early from coming twice.
    this.#maxEarlyData = this.#sessions?.takes && sessionStore?.atomicTake !== false ? maxEarlyData : 0
    this.#owner = this.#makeOwner()
    this.#settings = options
    this.#context = this.#makeContext(options)
    this.on('connection', this.#accept)
    // net.Server has it as a plain property.
    Object.defineProperty(this, 'maxConnections', {
      get: () => this.#maxConnections,
      set: (limit: number | undefined) => {
        this.#maxConnections = limit
        for (const one of this.#listeners) one.limit(limit)
      },
      enumerable: true,
    })
    if (this.#threads > 0) {
      // Told before the first and after the last: connections that come from now on are treated accordingly, within this turn too.
      this.on('newListener', (event) => this.#treat(event, event))
      this.on('removeListener', (event) => this.#treat(event, null))
    }
    if (listener !== undefined) this.on('secureConnection', listener)
  }

  /** The context of new connections, with its session callbacks and counters. */
  get secureContext(): SecureContext {
    return this.#context
  }

  /**
   * Replaces the context of new connections; open ones keep theirs. `sessionTimeout` and `ticketKeys` stay as they were unless given.
   * @see SSL_CTX_new(3)
   */
  setSecureContext(options: ServerOptions): void {
    if (typeof options !== 'object' || options === null) throw invalidType('options', 'an object', options)
    const { sessionTimeout, ticketKeys, ticketKeysRefreshInterval } = this.#settings
    const settings = { ...options }
    settings.sessionTimeout ??= sessionTimeout
    settings.ticketKeys ??= ticketKeys
    settings.ticketKeysRefreshInterval ??= ticketKeysRefreshInterval
    const context = this.#makeContext(settings)
    if (!settings.secureContext && typeof settings.ticketKeys === 'function') context._inheritTicketKeys(this.#context)
    this.#context = context
    this.#settings = settings
    this.#reconfigure()
  }

  /**
   * Adds a context for clients that ask for `servername`, in which `*` stands for any text without a dot. The one added last wins.
   * @see SSL_CTX_set_cert_cb(3)
   */
  addContext(servername: string, context: SecureContext | SecureContextOptions): void {
    if (!servername)
      throw codedError('ERR_TLS_REQUIRED_SERVER_NAME', '"servername" is required parameter for Server.addContext')
    this.#names.add(servername, context instanceof SecureContext ? context : createSecureContext(context))
    this.#reconfigure()
  }

  /**
   * The key that seals stateless tickets, for another server's `setTicketKeys`: 48 or 80 bytes, as it was set; 80 of a random one.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
   */
  getTicketKeys(): Buffer {
    return this.#context.getTicketKeys()
  }

  /**
   * Changes the keys that seal stateless tickets, as the option `ticketKeys` sets them, while connections come and go.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
   */
  setTicketKeys(keys: TicketKeys | (() => Awaitable<TicketKeys>)): void {
    this.#context.setTicketKeys(keys)
    this.#settings = { ...this.#settings, ticketKeys: keys }
  }

  /**
   * Begins to listen, with everything that net.Server takes; on the engine `reusePort` works in every version of Node.
   * @see listen(2)
   */
  override listen(port?: number, hostname?: string, backlog?: number, listener?: () => void): this
  override listen(port?: number, hostname?: string, listener?: () => void): this
  override listen(port?: number, backlog?: number, listener?: () => void): this
  override listen(port?: number, listener?: () => void): this
  override listen(path: string, backlog?: number, listener?: () => void): this
  override listen(path: string, listener?: () => void): this
  override listen(options: ListenOptions, listener?: () => void): this
  override listen(handle: unknown, backlog?: number, listener?: () => void): this
  override listen(handle: unknown, listener?: () => void): this
  override listen(...args: unknown[]): this {
    const [options] = args as [{ reusePort?: unknown; exclusive?: boolean } | null | undefined]
    this.#reusePort = typeof options === 'object' && options?.reusePort === true
    if (this.#reusePort && this.#threads > 0) args[0] = { ...options, reusePort: false, exclusive: true }
    return super.listen(...(args as Parameters<net.Server['listen']>))
  }

  /** @internal Where net.Server has arrived with all arguments looked at and looked up: the engine listens in its place. */
  _listen2(
    address: string | null,
    port: number,
    addressType: number,
    backlog: number,
    fd: number | undefined,
    flags: number | undefined,
  ): void {
    const self = this as unknown as NetServerInternals
    const inner = self._handle as InnerHandle | null
    // A handle without a descriptor is the cluster's: connections come from the primary process, as net.Sockets.
    if (this.#threads > 0 && (inner === null || (inner.fd ?? -1) >= 0)) {
      const v6Only = ((flags ?? 0) & v6OnlyFlag) !== 0
      const given = typeof fd === 'number' && fd >= 0 ? fd : undefined
      const target = { address: address || null, port, fd: given, v6Only, reusePort: this.#reusePort, inner }
      self._handle = new EngineListener(target, this.#threads, this.#maxConnections, this.#listenerOwner)
    }
    // With nothing given, this is what net tries first, and what it names in errors.
    const tried = self._handle instanceof EngineListener && inner === null && (fd ?? -1) < 0 ? address || '::' : address
    netServer._listen2.call(this, tried, port, addressType, backlog, fd, flags)
  }

  /** @internal */
  _emitCloseIfDrained(): void {
    if (this.#listeners.size === 0) netServer._emitCloseIfDrained.call(this)
  }

  /** Asks for the number of open connections, handshakes included. */
  override getConnections(callback: (error: Error | null, count: number) => void): this {
    let open = 0
    for (const listener of this.#listeners) open += listener.counts.open
    return super.getConnections((error, count) => callback(error, count + open))
  }

  /** What the server has done so far and is doing now. */
  stats(): ServerStats {
    const { accepted, dropped, waiting, failed, open } = this.#counts
    const engine = { accepted: 0, dropped: 0, open: 0 }
    for (const { counts } of this.#listeners) {
      engine.accepted += counts.accepted
      engine.dropped += counts.dropped
      engine.open += counts.open
    }
    const secured = (sockets: Set<TLSSocket>): number =>
      [...sockets].reduce((count, { secureConnecting }) => count + (secureConnecting ? 0 : 1), 0)
    const began = this.#handedIn.size - secured(this.#handedIn)
    const handshakes = Object.entries(this.#handshakes).map(([protocol, count]) => [protocol, { ...count }])
    return {
      accepted: accepted + engine.accepted,
      dropped: dropped + engine.dropped,
      handshaking: began + Math.max(0, engine.open - secured(this.#accepted)),
      waiting: waiting + (this.#sessions?.waiting ?? 0) + this.#context._waiting,
      open,
      failed,
      handshakes: Object.fromEntries(handshakes),
      cache: this.#context.sessionStats(),
      store: this.#sessions?.stats() ?? null,
      threads: loads(),
    }
  }

  /** Ends every connection that this server has accepted, those in the middle of a handshake too. */
  closeAllConnections(): void {
    for (const socket of [...this.#accepted, ...this.#handedIn]) socket.destroy()
    for (const listener of this.#listeners) listener.closeConnections()
  }

  override [EventEmitter.captureRejectionSymbol](error: Error, event: string | symbol, ...args: unknown[]): void {
    // With `captureRejections`, an async listener that fails costs its own connection.
    if (event === 'secureConnection' || event === 'connection') (args[0] as Duplex).destroy(error)
    else this.emit('error', error)
  }

  #makeContext(options: ServerOptions): SecureContext {
    const context =
      options.secureContext ?? createSecureContext({ ...options, honorCipherOrder: options.honorCipherOrder ?? true })
    if (!(context instanceof SecureContext))
      throw codedError('ERR_TLS_INVALID_CONTEXT', 'secureContext must be a SecureContext')
    context.off('ticketKeysError', this.#onTicketKeysError).on('ticketKeysError', this.#onTicketKeysError)
    if (!context._hasSessionIdContext) context._setSessionIdContext(defaultSessionIdContext())
    const sessions = this.#sessions
    if (sessions !== null) {
      // A session that the context kept as well would be resumed here after another process had used it, and would be
      // deleted from the store, as removed, when this process frees its context.
      const mode = libssl.SSL_SESS_CACHE_SERVER | libssl.SSL_SESS_CACHE_NO_INTERNAL
      if (context.sessionCacheMode !== mode) context.sessionCacheMode = mode
      const { SSL_OP_NO_TICKET } = libssl
      const issuesTickets = (libssl.SSL_CTX_get_options(context.handle) & SSL_OP_NO_TICKET) === 0
      if (issuesTickets) libssl.SSL_CTX_set_options(context.handle, SSL_OP_NO_TICKET)
      // The engine knows of stores by itself.
      if (this.#threads === 0) this.#askHere(context)
      context._onRemoval((session) => sessions.forget(session))
    }
    return context
  }

  readonly #onTicketKeysError = (error: TicketKeysError): void => {
    if (!this.emit('ticketKeysError', error)) process.emitWarning(error)
  }

  /** Lets libssl's callbacks reach the store from JavaScript's own connections. */
  #askHere(context: SecureContext): void {
    context._want('newSession')
    context._want('getSession')
  }

  /** What every socket of this server is made with. */
  #socketOptions(context: SecureContext): TLSSocketOptions {
    return {
      isServer: true,
      server: this,
      secureContext: context,
      requestCert: this.requestCert,
      rejectUnauthorized: this.rejectUnauthorized,
      ALPNProtocols: this.#alpn,
      SNICallback: this.#chooser,
      handshakeTimeout: this.#handshakeTimeout,
      threads: this.#threads,
    }
  }

  get #chooser(): SNICallback | undefined {
    return this.#sniCallback ?? (this.#names.size > 0 ? this.#chooseByName : undefined)
  }

  #accept = (transport: Duplex): void => {
    // The engine's own are announced, not handed in.
    if (transport instanceof TLSSocket && this.#accepted.has(transport)) return
    if (this.#sessions !== null) this.#askHere(this.#context)
    this.#counts.accepted += 1
    const socket = new TLSSocket(transport, this.#socketOptions(this.#context), {
      owner: this.#owner,
      lookupTimeout: this.#lookupTimeout,
      holdsSessions: this.#sessions !== null || this.listenerCount('newSession') > 0,
      maxEarlyData: this.#maxEarlyData,
      sessions: this.#sessions,
    })
    this.#handedIn.add(socket)
    this.#offerEvents(socket)
    this.#prepare(socket)
  }

  /** A connection of the engine's that is heard of for the first time. */
  #introduce(id: number, options: TLSSocketOptions): EngineConnection {
    let connection: EngineConnection | undefined
    const socket = new TLSSocket(this as unknown as Joined, options, {
      owner: this.#owner,
      join: (events) => {
        connection = EngineConnection.accepted(id, events)
        return connection
      },
    })
    this.#accepted.add(socket)
    this.#prepare(socket)
    if (this.listenerCount('connection') > 1) this.emit('connection', socket)
    return connection as EngineConnection
  }

  #prepare(socket: TLSSocket): void {
    if (this.listenerCount('keylog') > 0) socket.on('keylog', (line) => this.emit('keylog', line, socket))
    if (this.#pauseOnConnect) socket.pause()
  }

  /** Makes the session events of node:tls happen on a connection, if somebody listens now. */
  #offerEvents(socket: TLSSocket): void {
    const resumes = this.listenerCount('resumeSession') > 0
    if (resumes || this.listenerCount('newSession') > 0) this.#context._want('newSession')
    if (!resumes) return
    this.#context._want('getSession')
    // Sessions in stateless tickets never ask anybody.
    if (socket.handle !== null) libssl.SSL_set_options(socket.handle, libssl.SSL_OP_NO_TICKET)
  }

  readonly #listenerOwner: ListenerOwner = {
    profile: () => {
      const context = this.#context
      const resumes = this.#listens('resumeSession')
      const creates = this.#listens('newSession')
      if (resumes || creates) context._want('newSession')
      if (resumes) context._want('getSession')
      if (this.#listens('keylog')) context._want('keylog')
      if (this.#chooser !== undefined) context._want('certificate')
      if (this.requestCert) context._prepareToVerify()
      const required = this.rejectUnauthorized ? libssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
      const { noDelay, keepAlive, keepAliveInitialDelay } = this as unknown as NetServerOptions
      const settings = {
        threads: this.#threads,
        handshakeTimeout: this.#handshakeTimeout,
        lookupTimeout: Math.max(1, this.#lookupTimeout),
        verifyMode: this.requestCert ? libssl.SSL_VERIFY_PEER | required : libssl.SSL_VERIFY_NONE,
        // Sessions in stateless tickets never ask anybody.
        options: resumes ? libssl.SSL_OP_NO_TICKET : 0,
        noDelay: noDelay ? 1 : 0,
        keepAlive: keepAlive ? 1 : 0,
        keepAliveDelay: keepAliveInitialDelay ?? 0,
        announce: this.#listens('connection', 1) ? 1 : 0,
        holdSessions: creates ? 1 : 0,
        stores: this.#sessions === null ? 0 : 1,
        maxEarlyData: this.#maxEarlyData,
        ...(this.#alpn?.length ? { alpnProtocols: this.#alpn } : {}),
      }
      const options = this.#socketOptions(context)
      const { highWaterMark } = this as unknown as NetServerOptions
      if (highWaterMark !== undefined) options.highWaterMark = highWaterMark
      return {
        ctx: context.handle,
        settings,
        introduce: (id) => this.#introduce(id, options),
        sessions: this.#sessions,
      }
    },
    opened: (listener) => this.#listeners.add(listener),
    acceptFailed: (errno) => {
      const error = systemError(errno, 'accept')
      if (this.listenerCount('acceptError') > 0) this.emit('acceptError', error)
      else process.emitWarning(error)
    },
    dropped: ({ local, remote }) => {
      this.emit('drop', {
        localAddress: local?.address,
        localPort: local?.port,
        localFamily: local?.family,
        remoteAddress: remote?.address,
        remotePort: remote?.port,
        remoteFamily: remote?.family,
      } as net.DropArgument)
    },
    closeServer: (done) => void this.close(done),
    drained: (listener, { accepted, dropped }) => {
      this.#counts.accepted += accepted
      this.#counts.dropped += dropped
      this.#listeners.delete(listener)
      this._emitCloseIfDrained()
    },
  }

  /** Whether somebody listens, besides so many of our own, or is about to. */
  #listens(event: string, own = 0): boolean {
    return this.listenerCount(event) > own || this.#coming === event
  }

  #treat(event: string | symbol, coming: string | symbol | null): void {
    if (!treatments.has(event)) return
    this.#coming = coming
    this.#reconfigure()
    this.#coming = null
  }

  /** Connections to come are treated as things are now. */
  #reconfigure(): void {
    for (const listener of this.#listeners) listener.configure()
  }

  #chooseByName: SNICallback = (servername, callback) => callback(null, this.#names.find(servername))

  #onSecure(socket: TLSSocket): void {
    if (this.requestCert) {
      const error = socket._verifyError()
      socket.authorized = error === null
      socket.authorizationError = error?.code ?? null
      if (error !== null && this.rejectUnauthorized) {
        socket.destroy()
        return
      }
    }
    this.#count(socket)
    socket._release(() => this.emit('secureConnection', socket))
  }

  #count(socket: TLSSocket): void {
    const protocol = socket.getProtocol() ?? ''
    this.#handshakes[protocol] ??= { resumed: 0, full: 0 }
    this.#handshakes[protocol][socket.isSessionReused() ? 'resumed' : 'full'] += 1
    this.#counts.open += 1
  }

  /** Not from inside a handshake: what a listener throws is its own affair. */
  #reportStore(error: SessionStoreError): void {
    process.nextTick(() => this.emit('sessionStoreError', error))
  }

  #makeOwner(): ConnectionOwner {
    return {
      newSession: (socket, session) => this.#newSession(socket, session),
      findSession: (socket, id, copy) => this.#findSession(socket, id, copy),
      lookupRefused: (socket, error) => {
        const id = this.#awaited.get(socket)
        if (id === undefined) return false
        this.#sessions?.refused(id, error)
        return true
      },
      lookupLate: (socket, id) => {
        if (this.#sessions !== null && this.#awaited.has(socket)) {
          this.#sessions.late(id, isTls13(socket))
          return true
        }
        if (this.#context.getSessionCallback !== null || this.listenerCount('resumeSession') === 0) return false
        this.#reportStore(storeError('resumeSession', id, codedError('ERR_LOOKUP_TIMEOUT', 'No answer in time')))
        return true
      },
      chooseContext: (socket) => socket._chooseContext(),
      secured: (socket) => this.#onSecure(socket),
      closed: (socket) => {
        if (!socket.secureConnecting) this.#counts.open -= 1
        this.#accepted.delete(socket)
        this.#handedIn.delete(socket)
      },
      handshakeFailed: (socket, error) => {
        // node:tls says no more of a client without a valid certificate; the cause does.
        const cause = socket.authorizationError === null ? undefined : socket._verifyError()
        this.#counts.failed += 1
        const reset = (): Error => Object.assign(connectionReset('socket hang up'), cause && { cause })
        this.emit('tlsClientError', error ?? reset(), socket)
      },
    }
  }

  #newSession(socket: TLSSocket, session: libssl.SSL_SESSION): void {
    const kept = this.#sessions?.save(session)
    if (kept) socket._holdUntil(kept)
    if (this.listenerCount('newSession') === 0) return
    const bytes = libssl.i2d_SSL_SESSION(session)
    if (bytes === null) return
    const id = libssl.SSL_SESSION_get_id(session)
    const release = socket._awaitNewSession()
    try {
      this.emit('newSession', id, bytes, release)
    } catch (error) {
      socket.destroy(error as Error)
    }
  }

  #findSession(socket: TLSSocket, id: Buffer, copy: { value: number }): SessionAnswer {
    if (this.#sessions !== null) {
      const answer = this.#sessions.findFor(socket, id, copy)
      if (answer instanceof Promise) this.#awaited.set(socket, id)
      return answer
    }
    if (this.listenerCount('resumeSession') === 0) return null
    const ask = (callback: (error: Error | null, session?: Uint8Array | null) => void): unknown =>
      this.emit('resumeSession', id, callback)
    const restored = (error: unknown, bytes?: Uint8Array | null): libssl.SSL_SESSION | null => {
      if (error) socket.destroy(error as Error)
      if (error || !bytes || socket.handle === null) return null
      try {
        const handle = restore(bytes, id)
        copy.value = 0
        return handle
      } catch (damage) {
        this.#reportStore(storeError('resumeSession', id, damage))
        return null
      }
    }
    const answer = observed(
      channels.get,
      'resumeSession',
      () => id,
      () => byCallback(socket, ask, restored),
    )
    if (!(answer instanceof Promise)) return answer
    this.#counts.waiting += 1
    return answer.finally(() => {
      this.#counts.waiting -= 1
    })
  }
}

/**
 * Creates a {@link Server}. `listener` is told of every connection that is ready ('secureConnection').
 * @see SSL_accept(3)
 */
export function createServer(options?: ServerOptions | null, listener?: (socket: TLSSocket) => void): Server
export function createServer(listener: (socket: TLSSocket) => void): Server
export function createServer(
  first?: ServerOptions | null | ((socket: TLSSocket) => void),
  second?: (socket: TLSSocket) => void,
): Server {
  return typeof first === 'function' ? new Server(first) : new Server(first, second)
}
