// Server: what it is given, and how its connections begin. Its contexts, its sessions, its listening and the count of its connections are
// in server-contexts.ts, server-sessions.ts, server-listening.ts and server-connections.ts; what happens on a connection is in socket.ts.

import { EventEmitter } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { alpnWire } from './alpn.js'
import type { SecureContext, SecureContextOptions } from './context.js'
import { EngineConnection } from './engine/connection.js'
import { loads } from './engine/dispatch.js'
import type { ListenerOwner } from './engine/listener.js'
import { codedError, connectionReset, invalidType, outOfRange } from './errors.js'
import type { AnyListener } from './events.js'
import { threadsOf } from './home.js'
import * as libssl from './libssl.js'
import { ServerConnections } from './server-connections.js'
import { ServerContexts } from './server-contexts.js'
import { type Listen2Arguments, ServerListening } from './server-listening.js'
import { ServerSessions } from './server-sessions.js'
import type { ListenOptions, ServerEvents, ServerOptions, ServerStats } from './server-types.js'
import type { ConnectionOwner } from './session-callbacks.js'
import { type Joined, TLSSocket } from './socket.js'
import type { TLSSocketOptions } from './socket-types.js'
import { checkStore } from './stores/input.js'
import type { Awaitable, SessionStore } from './stores/store.js'
import type { TicketKeys } from './ticket-keys.js'

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

/** What net.Server has made of its options. */
interface NetServerOptions {
  highWaterMark?: number
  noDelay?: boolean
  keepAlive?: boolean
  /** Seconds. */
  keepAliveInitialDelay?: number
}

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
  readonly #pauseOnConnect: boolean
  readonly #threads: number
  readonly #lookupTimeout: number
  readonly #maxEarlyData: number
  readonly #sessions: ServerSessions
  readonly #contexts: ServerContexts
  readonly #listening: ServerListening
  readonly #connections = new ServerConnections()
  readonly #owner: ConnectionOwner

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
    this.#pauseOnConnect = options.pauseOnConnect === true
    this.#threads = threadsOf(options.threads)
    // Nobody waits for ever.
    this.#lookupTimeout = Math.max(1, milliseconds(options.lookupTimeout ?? 2000, 'options.lookupTimeout'))
    const sessionStore = storeOf(options)
    this.#sessions = new ServerSessions(this, sessionStore, this.#lookupTimeout, this.#threads === 0)
    const maxEarlyData = bytes(options.maxEarlyData ?? 0, 'options.maxEarlyData')
    // Nothing less than a session that nobody else can get keeps what comes early from coming twice.
    this.#maxEarlyData = this.#sessions.external?.takes && sessionStore?.atomicTake !== false ? maxEarlyData : 0
    this.#owner = this.#makeOwner()
    this.#contexts = new ServerContexts(this, options, this.#sessions)
    this.on('connection', this.#accept)
    const listening = new ServerListening(this, this.#threads, () => this.#profile())
    this.#listening = listening
    // net.Server has it as a plain property.
    Object.defineProperty(this, 'maxConnections', {
      get: () => listening.limit,
      set: (limit: number | undefined) => {
        listening.limit = limit
      },
      enumerable: true,
    })
    if (listener !== undefined) this.on('secureConnection', listener)
  }

  /** The context of new connections, with its session callbacks and counters. */
  get secureContext(): SecureContext {
    return this.#contexts.current
  }

  /**
   * Replaces the context of new connections; open ones keep theirs. `sessionTimeout` and `ticketKeys` stay as they were unless given.
   * @see SSL_CTX_new(3)
   */
  setSecureContext(options: ServerOptions): void {
    if (typeof options !== 'object' || options === null) throw invalidType('options', 'an object', options)
    this.#contexts.replace(options)
    this.#listening.configure()
  }

  /**
   * Adds a context for clients that ask for `servername`, in which `*` stands for any text without a dot. The one added last wins.
   * @see SSL_CTX_set_cert_cb(3)
   */
  addContext(servername: string, context: SecureContext | SecureContextOptions): void {
    if (!servername)
      throw codedError('ERR_TLS_REQUIRED_SERVER_NAME', '"servername" is required parameter for Server.addContext')
    this.#contexts.add(servername, context)
    this.#listening.configure()
  }

  /**
   * The key that seals stateless tickets, for another server's `setTicketKeys`: 48 or 80 bytes, as it was set; 80 of a random one.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
   */
  getTicketKeys(): Buffer {
    return this.secureContext.getTicketKeys()
  }

  /**
   * Changes the keys that seal stateless tickets, as the option `ticketKeys` sets them, while connections come and go.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
   */
  setTicketKeys(keys: TicketKeys | (() => Awaitable<TicketKeys>)): void {
    this.#contexts.setTicketKeys(keys)
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
    return super.listen(...(this.#listening.prepare(args) as Parameters<net.Server['listen']>))
  }

  /** @internal The engine listens in net.Server's place. */
  _listen2(...args: Listen2Arguments): void {
    this.#listening.begin(...args)
  }

  /** @internal */
  _emitCloseIfDrained(): void {
    this.#listening.emitCloseIfDrained()
  }

  /** Asks for the number of open connections, handshakes included. */
  override getConnections(callback: (error: Error | null, count: number) => void): this {
    const { open } = this.#listening.counts
    return super.getConnections((error, count) => callback(error, count + open))
  }

  /** What the server has done so far and is doing now. */
  stats(): ServerStats {
    const engine = this.#listening.counts
    const { accepted, handshaking, open, failed, handshakes } = this.#connections.counts(engine)
    return {
      accepted,
      dropped: engine.dropped,
      handshaking,
      waiting: this.#sessions.waiting + this.secureContext._waiting,
      open,
      failed,
      handshakes,
      cache: this.secureContext.sessionStats(),
      store: this.#sessions.external?.stats() ?? null,
      threads: loads(),
    }
  }

  /** Ends every connection that this server has accepted, those in the middle of a handshake too. */
  closeAllConnections(): void {
    this.#connections.destroy()
    this.#listening.closeConnections()
  }

  override [EventEmitter.captureRejectionSymbol](error: Error, event: string | symbol, ...args: unknown[]): void {
    // With `captureRejections`, an async listener that fails costs its own connection.
    if (event === 'secureConnection' || event === 'connection') (args[0] as Duplex).destroy(error)
    else this.emit('error', error)
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
      SNICallback: this.#contexts.chooser,
      handshakeTimeout: this.#handshakeTimeout,
      threads: this.#threads,
    }
  }

  #accept = (transport: Duplex): void => {
    // The engine's own are announced, not handed in.
    if (this.#connections.hasAccepted(transport)) return
    const context = this.secureContext
    this.#sessions.askHere(context)
    const socket = this.#connections.handedIn(
      () =>
        new TLSSocket(transport, this.#socketOptions(context), {
          owner: this.#owner,
          lookupTimeout: this.#lookupTimeout,
          holdsSessions: this.#sessions.external !== null || this.listenerCount('newSession') > 0,
          maxEarlyData: this.#maxEarlyData,
          sessions: this.#sessions.external,
        }),
    )
    this.#sessions.offerEvents(socket)
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
    this.#connections.accepted(socket)
    this.#prepare(socket)
    if (this.listenerCount('connection') > 1) this.emit('connection', socket)
    return connection as EngineConnection
  }

  #prepare(socket: TLSSocket): void {
    if (this.listenerCount('keylog') > 0) socket.on('keylog', (line) => this.emit('keylog', line, socket))
    if (this.#pauseOnConnect) socket.pause()
  }

  /** How the engine treats connections to come. */
  #profile(): ReturnType<ListenerOwner['profile']> {
    const context = this.secureContext
    const resumes = this.#listening.isHeard('resumeSession')
    const creates = this.#listening.isHeard('newSession')
    if (resumes || creates) context._want('newSession')
    if (resumes) context._want('getSession')
    if (this.#listening.isHeard('keylog')) context._want('keylog')
    if (this.#contexts.chooser !== undefined) context._want('certificate')
    if (this.requestCert) context._prepareToVerify()
    const required = this.rejectUnauthorized ? libssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
    const { noDelay, keepAlive, keepAliveInitialDelay } = this as unknown as NetServerOptions
    const settings = {
      threads: this.#threads,
      handshakeTimeout: this.#handshakeTimeout,
      lookupTimeout: this.#lookupTimeout,
      verifyMode: this.requestCert ? libssl.SSL_VERIFY_PEER | required : libssl.SSL_VERIFY_NONE,
      // Sessions in stateless tickets never ask anybody.
      options: resumes ? libssl.SSL_OP_NO_TICKET : 0,
      noDelay: noDelay ? 1 : 0,
      keepAlive: keepAlive ? 1 : 0,
      keepAliveDelay: keepAliveInitialDelay ?? 0,
      announce: this.#listening.isHeard('connection', 1) ? 1 : 0,
      holdSessions: creates ? 1 : 0,
      stores: this.#sessions.external === null ? 0 : 1,
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
      sessions: this.#sessions.external,
    }
  }

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
    this.#connections.secured(socket)
    socket._release(() => this.emit('secureConnection', socket))
  }

  #makeOwner(): ConnectionOwner {
    const sessions = this.#sessions
    return {
      newSession: (socket, session) => sessions.newSession(socket, session),
      findSession: (socket, id, copy) => sessions.findSession(socket, id, copy),
      lookupRefused: (socket, error) => sessions.lookupRefused(socket, error),
      lookupLate: (socket, id) => sessions.lookupLate(socket, id),
      chooseContext: (socket) => socket._chooseContext(),
      secured: (socket) => this.#onSecure(socket),
      closed: (socket) => this.#connections.closed(socket),
      handshakeFailed: (socket, error) => {
        // node:tls says no more of a client without a valid certificate; the cause does.
        const cause = socket.authorizationError === null ? undefined : socket._verifyError()
        this.#connections.failed()
        const reset = (): Error => Object.assign(connectionReset('socket hang up'), cause && { cause })
        this.emit('tlsClientError', error ?? reset(), socket)
      },
    }
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
