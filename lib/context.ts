// SecureContext: an SSL_CTX with its certificates, settings and session cache, and the three session callbacks for
// users of the node:tls-shaped layer. It hands each event to the connection that it belongs to; what a
// connection or a server does with it is theirs.

import { EventEmitter } from 'node:events'
import { type CredentialOptions, loadCredentials } from './credentials.js'
import { channels, observed } from './diagnostics.js'
import { invalidType, invalidValue, opensslError, outOfRange } from './errors.js'
import * as libssl from './libssl.js'
import { applyProtocol, type ProtocolOptions, refuseAbsent } from './protocol.js'
import { readDER, Session, sharedSession } from './session.js'
import {
  connectionOf,
  type FoundSession,
  type GetSessionCallback,
  type NewSessionCallback,
  type RemoveSessionCallback,
  type SessionAnswer,
} from './session-callbacks.js'
import type { TLSSocket } from './socket.js'
import { intervalOption } from './stores/input.js'
import type { Awaitable } from './stores/store.js'
import { trustSystem } from './system-trust.js'
import { TicketKeyRing, type TicketKeys, type TicketKeysError } from './ticket-keys.js'

/** How a context keeps sessions. */
export interface SessionOptions {
  /**
   * The application that sessions belong to: a session is resumed only where this is the same. At most 32 bytes.
   * @see SSL_CTX_set_session_id_context(3)
   */
  sessionIdContext?: string | undefined
  /**
   * Seconds for which new sessions can be resumed. OpenSSL's default is 7200 in both TLS 1.2 and 1.3.
   * @see SSL_CTX_set_timeout(3)
   */
  sessionTimeout?: number | undefined
  /**
   * Keys that seal stateless tickets; servers with the same keys resume each other's sessions. A key is 48 bytes, as in node:tls (name, secret for
   * HMAC-SHA256, secret for AES-128-CBC, 16 bytes each), or OpenSSL's 80 (16, 32 and 32, for AES-256-CBC). In an array of up to 16, all with
   * different names, the first one seals and all of them open; who shows a ticket of another one gets a new ticket. A function is asked for
   * the keys, at once and again every `ticketKeysRefreshInterval`; until it has answered for the first time a random key seals, which
   * is forgotten then. The default is a random key.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3), RFC 5077 section 4
   */
  ticketKeys?: TicketKeys | (() => Awaitable<TicketKeys>) | undefined
  /** Seconds between two calls of the function in `ticketKeys`, 60 by default. 0 calls it again only when `refreshTicketKeys` is called. */
  ticketKeysRefreshInterval?: number | undefined
  /**
   * `SSL_SESS_CACHE_*` bits. The default is node:tls's, `SSL_SESS_CACHE_BOTH | SSL_SESS_CACHE_NO_INTERNAL`: callbacks and events, no sessions kept
   * in the context. `SSL_SESS_CACHE_SERVER` is OpenSSL's own default.
   * @see SSL_CTX_set_session_cache_mode(3)
   */
  sessionCacheMode?: number | undefined
  /**
   * How many sessions the internal cache holds; 0 is no limit. OpenSSL's default is 20480.
   * @see SSL_CTX_sess_set_cache_size(3)
   */
  sessionCacheSize?: number | undefined
  /** The initial value of the property of that name. */
  newSessionCallback?: NewSessionCallback | null | undefined
  /** The initial value of the property of that name. */
  removeSessionCallback?: RemoveSessionCallback | null | undefined
  /** The initial value of the property of that name. */
  getSessionCallback?: GetSessionCallback | null | undefined
}

/** Everything that connections share. */
export interface SecureContextOptions extends CredentialOptions, ProtocolOptions, SessionOptions {}

/** OpenSSL's counters of a context's sessions. @see SSL_CTX_sess_number(3) */
export interface SessionStats {
  /** Sessions in the internal cache now. */
  number: number
  /** Handshakes started as a client. */
  connect: number
  /** Handshakes completed as a client. */
  connectGood: number
  /** Renegotiations started as a client. */
  connectRenegotiate: number
  /** Handshakes started as a server. */
  accept: number
  /** Handshakes completed as a server. */
  acceptGood: number
  /** Renegotiations started as a server. */
  acceptRenegotiate: number
  /** Sessions resumed, wherever they were found. */
  hits: number
  /** Sessions found by the get callback. */
  cbHits: number
  /** Sessions proposed by clients and not in the internal cache. */
  misses: number
  /** Sessions proposed by clients and found, but expired. */
  timeouts: number
  /** Sessions pushed out of a full internal cache. */
  cacheFull: number
}

/** A callback of the application that threw, rejected, or answered with something that is no session of this context. */
export interface SessionCallbackError extends Error {
  code: 'ERR_SESSION_CALLBACK'
  /** The property that held the callback. */
  callback: string
  /** What was thrown. */
  cause: unknown
}

/** Events of a {@link SecureContext}. */
export interface SecureContextEvents {
  /**
   * A session callback failed. The handshake has gone on without it: a lookup counts as a miss. Without a listener it becomes a process warning.
   */
  callbackError: [error: SessionCallbackError, socket: TLSSocket | null]
  /**
   * The function in `ticketKeys` failed, or answered with what are no keys. The keys stay as they are. Told once a minute; without a listener it becomes a
   * process warning.
   */
  ticketKeysError: [error: TicketKeysError]
}

function callback<F>(value: F | null | undefined, name: string): F | null {
  if (value === null || value === undefined) return null
  if (typeof value !== 'function') throw invalidType(name, 'a function or null', value)
  return value
}

function whole(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value)
  if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) {
    throw outOfRange(name, 'an integer from 0 to 2147483647', value)
  }
  return value
}

/**
 * Certificates, settings and the session cache that connections share.
 * @see SSL_CTX_new(3)
 */
export class SecureContext extends EventEmitter<SecureContextEvents> {
  /** The libssl handle, for every C function that takes an `SSL_CTX`. */
  readonly handle: libssl.SSL_CTX
  #newSession: NewSessionCallback | null
  #removeSession: RemoveSessionCallback | null
  #getSession: GetSessionCallback | null
  readonly #ticketKeys: TicketKeyRing
  #removalListener: ((session: libssl.SSL_SESSION) => void) | null = null
  #ownersWant = { newSession: false, getSession: false, keylog: false, certificate: false }
  /** @internal Look-ups that `getSessionCallback` has not answered yet. */
  _waiting = 0
  #trustsSystem: boolean
  #hasSessionIdContext = false

  /** Throws when a certificate, a key or a setting cannot be used. */
  constructor(options: SecureContextOptions = {}) {
    super()
    if (typeof options !== 'object' || options === null) throw invalidType('options', 'an object', options)
    refuseAbsent(options)
    this.#newSession = callback(options.newSessionCallback, 'options.newSessionCallback')
    this.#removeSession = callback(options.removeSessionCallback, 'options.removeSessionCallback')
    this.#getSession = callback(options.getSessionCallback, 'options.getSessionCallback')
    const interval = intervalOption('ticketKeysRefreshInterval', options.ticketKeysRefreshInterval, 60)
    libssl.ERR_clear_error()
    const handle = libssl.SSL_CTX_new(libssl.TLS_method())
    if (handle === null) throw opensslError('Cannot create a context')
    this.handle = handle
    this.#trustsSystem = !options.ca
    this.#ticketKeys = new TicketKeyRing(handle, interval, (error) => this.#tellOrWarn('ticketKeysError', error))
    try {
      this.#configure(options)
    } catch (error) {
      libssl.SSL_CTX_free(handle)
      throw error
    }
  }

  #configure(options: SecureContextOptions): void {
    libssl.SSL_CTX_set_mode(this.handle, libssl.SSL_MODE_RELEASE_BUFFERS | libssl.SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
    // Otherwise OpenSSL forgets, in a resumed TLS 1.2 connection, which name the client had asked for.
    libssl.SSL_CTX_set_servername_accept(this.handle, 1)
    applyProtocol(this.handle, options)
    loadCredentials(this.handle, options)
    this.sessionCacheMode = options.sessionCacheMode ?? libssl.SSL_SESS_CACHE_BOTH | libssl.SSL_SESS_CACHE_NO_INTERNAL
    if (options.sessionCacheSize !== undefined) this.sessionCacheSize = options.sessionCacheSize
    if (options.sessionTimeout !== undefined && options.sessionTimeout !== null)
      this.sessionTimeout = options.sessionTimeout
    if (options.sessionIdContext !== undefined && options.sessionIdContext !== null)
      this._setSessionIdContext(options.sessionIdContext)
    if (options.ticketKeys !== undefined && options.ticketKeys !== null) this.setTicketKeys(options.ticketKeys)
    this.#install()
  }

  /** Told of new sessions; null for nobody. @see SSL_CTX_sess_set_new_cb(3) */
  get newSessionCallback(): NewSessionCallback | null {
    return this.#newSession
  }

  set newSessionCallback(value: NewSessionCallback | null) {
    this.#newSession = callback(value, 'newSessionCallback')
    this.#install()
  }

  /** Told of removed sessions; null for nobody. Makes TLS 1.3 servers with an internal cache fill it. @see SSL_CTX_sess_set_remove_cb(3) */
  get removeSessionCallback(): RemoveSessionCallback | null {
    return this.#removeSession
  }

  set removeSessionCallback(value: RemoveSessionCallback | null) {
    this.#removeSession = callback(value, 'removeSessionCallback')
    this.#install()
  }

  /** Asked for sessions that clients propose; null for nobody. @see SSL_CTX_sess_set_get_cb(3) */
  get getSessionCallback(): GetSessionCallback | null {
    return this.#getSession
  }

  set getSessionCallback(value: GetSessionCallback | null) {
    this.#getSession = callback(value, 'getSessionCallback')
    this.#install()
  }

  /** `SSL_SESS_CACHE_*` bits. @see SSL_CTX_set_session_cache_mode(3) */
  get sessionCacheMode(): number {
    return libssl.SSL_CTX_get_session_cache_mode(this.handle)
  }

  set sessionCacheMode(mode: number) {
    libssl.SSL_CTX_set_session_cache_mode(this.handle, whole(mode, 'sessionCacheMode'))
  }

  /** How many sessions the internal cache may hold; 0 is no limit. @see SSL_CTX_sess_set_cache_size(3) */
  get sessionCacheSize(): number {
    return libssl.SSL_CTX_sess_get_cache_size(this.handle)
  }

  set sessionCacheSize(size: number) {
    libssl.SSL_CTX_sess_set_cache_size(this.handle, whole(size, 'sessionCacheSize'))
  }

  /** Seconds for which sessions created from now on can be resumed. @see SSL_CTX_set_timeout(3) */
  get sessionTimeout(): number {
    return libssl.SSL_CTX_get_timeout(this.handle)
  }

  set sessionTimeout(seconds: number) {
    libssl.SSL_CTX_set_timeout(this.handle, whole(seconds, 'sessionTimeout'))
  }

  /**
   * Puts a session into the internal cache, which takes its own reference. True when it was not there; false for the identical
   * object. Throws `ERR_WRONG_CONTEXT` for a session of another context: add `session.dup()`.
   * @see SSL_CTX_add_session(3)
   */
  addSession(session: Session): boolean {
    return libssl.SSL_CTX_add_session(this.handle, this.#own(session)) === 1
  }

  /**
   * Removes a session from the internal cache, marks it as not resumable and tells the remove callback. True when it was there.
   * @see SSL_CTX_remove_session(3)
   */
  removeSession(session: Session): boolean {
    return libssl.SSL_CTX_remove_session(this.handle, this.#own(session)) === 1
  }

  /**
   * Removes the sessions that have expired at `time` (seconds since 1970; now by default; 0 is all of them) from the internal cache and
   * tells the remove callback of each.
   * @see SSL_CTX_flush_sessions(3)
   */
  flushSessions(time: number = Date.now() / 1000): void {
    libssl.SSL_CTX_flush_sessions(this.handle, Math.floor(time))
  }

  /** OpenSSL's counters. @see SSL_CTX_sess_number(3) */
  sessionStats(): SessionStats {
    const ctx = this.handle
    return {
      number: libssl.SSL_CTX_sess_number(ctx),
      connect: libssl.SSL_CTX_sess_connect(ctx),
      connectGood: libssl.SSL_CTX_sess_connect_good(ctx),
      connectRenegotiate: libssl.SSL_CTX_sess_connect_renegotiate(ctx),
      accept: libssl.SSL_CTX_sess_accept(ctx),
      acceptGood: libssl.SSL_CTX_sess_accept_good(ctx),
      acceptRenegotiate: libssl.SSL_CTX_sess_accept_renegotiate(ctx),
      hits: libssl.SSL_CTX_sess_hits(ctx),
      cbHits: libssl.SSL_CTX_sess_cb_hits(ctx),
      misses: libssl.SSL_CTX_sess_misses(ctx),
      timeouts: libssl.SSL_CTX_sess_timeouts(ctx),
      cacheFull: libssl.SSL_CTX_sess_cache_full(ctx),
    }
  }

  /**
   * The key that seals stateless tickets, for another server's `setTicketKeys`: 48 or 80 bytes, as it was set; 80 of the random one.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
   */
  getTicketKeys(): Buffer {
    return this.#ticketKeys.first
  }

  /**
   * Changes the keys that seal stateless tickets, as the option `ticketKeys` sets them, also while the engine works with the context: each ticket is sealed, or
   * opened, with the keys from before or from after. Throws `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` and leaves the keys as they
   * are when these cannot be used.
   * @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
   */
  setTicketKeys(keys: TicketKeys | (() => Awaitable<TicketKeys>)): void {
    this.#ticketKeys.set(keys)
  }

  /** Asks the function in `ticketKeys` now. Rejects with `ERR_TICKET_KEYS` when it fails, with `ERR_INVALID_STATE` when there is none. */
  refreshTicketKeys(): Promise<void> {
    return this.#ticketKeys.refresh()
  }

  /** The names (first 16 bytes) of the keys in `ticketKeys`, in hexadecimal, the one that seals first; empty while a random key seals. Not secret. */
  get ticketKeyNames(): string[] {
    return this.#ticketKeys.names
  }

  /**
   * Gives the context back before the garbage collector would. Connections that use it live on; this object cannot be used any more.
   * @see SSL_CTX_free(3)
   */
  free(): void {
    this.#ticketKeys.stop()
    libssl.SSL_CTX_free(this.handle)
  }

  /** The same as `free()`, for `using context = …`. @see SSL_CTX_free(3) */
  [Symbol.dispose](): void {
    this.free()
  }

  /** @internal Makes an event reach the owners of this context's connections, whether or not the application has a callback for it. */
  _want(event: 'newSession' | 'getSession' | 'keylog' | 'certificate'): void {
    if (this.#ownersWant[event]) return
    this.#ownersWant[event] = true
    this.#install()
  }

  /** @internal Tells a server which sessions to forget. */
  _onRemoval(listener: (session: libssl.SSL_SESSION) => void): void {
    this.#removalListener = listener
    this.#install()
  }

  /** @internal Trusts the system's certificates unless the application named others. Servers that ask for none are spared the look-ups. */
  _prepareToVerify(): void {
    if (!this.#trustsSystem) return
    trustSystem(this.handle)
    this.#trustsSystem = false
  }

  /** @internal Has the tickets of `other` go on opening until the function in `ticketKeys` has answered. */
  _inheritTicketKeys(other: SecureContext): void {
    this.#ticketKeys.inherit(other.#ticketKeys)
  }

  /** @internal */
  get _hasSessionIdContext(): boolean {
    return this.#hasSessionIdContext
  }

  /** @internal */
  _setSessionIdContext(name: string): void {
    if (typeof name !== 'string') throw invalidType('sessionIdContext', 'a string', name)
    const bytes = Buffer.from(name)
    if (libssl.SSL_CTX_set_session_id_context(this.handle, bytes) !== 1) {
      throw invalidValue('sessionIdContext', `must not be longer than ${libssl.SSL_MAX_SID_CTX_LENGTH} bytes`)
    }
    this.#hasSessionIdContext = true
  }

  /** @internal Makes an application's failure in a callback known without making it the connection's. */
  _report(name: string, cause: unknown, socket: TLSSocket | null): void {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const properties = { code: 'ERR_SESSION_CALLBACK', callback: name, cause } as const
    const error: SessionCallbackError = Object.assign(new Error(`${name} failed: ${reason}`), properties)
    this.#tellOrWarn('callbackError', error, socket)
  }

  /** Not from inside a handshake: what a listener throws is its own affair. */
  #tellOrWarn<E extends keyof SecureContextEvents>(event: E, ...details: SecureContextEvents[E]): void {
    process.nextTick(() => {
      if (!(this as EventEmitter).emit(event, ...details)) process.emitWarning(details[0])
    })
  }

  #own(session: Session): libssl.SSL_SESSION {
    if (!(session instanceof Session)) throw invalidType('session', 'a Session', session)
    return session.handle
  }

  /** Gives libssl the callbacks that somebody needs, and no others: each costs work on every connection. */
  #install(): void {
    const want = this.#ownersWant
    libssl.SSL_CTX_sess_set_new_cb(this.handle, this.#newSession || want.newSession ? this.#onNew : null)
    libssl.SSL_CTX_sess_set_get_cb(this.handle, this.#getSession || want.getSession ? this.#onGet : null)
    libssl.SSL_CTX_sess_set_remove_cb(this.handle, this.#removeSession || this.#removalListener ? this.#onRemove : null)
    if (want.keylog) libssl.SSL_CTX_set_keylog_callback(this.handle, onKeylog)
    if (want.certificate) libssl.SSL_CTX_set_cert_cb(this.handle, onCertificate)
  }

  #onNew = (ssl: libssl.SSL, session: libssl.SSL_SESSION): boolean => {
    const connection = connectionOf(ssl)
    if (connection === undefined) return false
    const { socket, owner } = connection
    if (this.#newSession !== null) this.#tell('newSessionCallback', this.#newSession, socket, socket, session)
    owner.newSession?.(socket, session)
    return false
  }

  #onRemove = (_ctx: libssl.SSL_CTX, session: libssl.SSL_SESSION): void => {
    if (this.#removeSession !== null) this.#tell('removeSessionCallback', this.#removeSession, null, this, session)
    this.#removalListener?.(session)
  }

  /** Calls a callback that only listens; the Session it gets is its own. */
  #tell<A>(
    name: string,
    listener: (first: A, session: Session) => unknown,
    socket: TLSSocket | null,
    first: A,
    handle: libssl.SSL_SESSION,
  ): void {
    try {
      const on = name === 'newSessionCallback' ? channels.new : channels.remove
      const id = (): Buffer => libssl.SSL_SESSION_get_id(handle)
      const result = observed(on, name, id, () => listener(first, sharedSession(handle)))
      if (result instanceof Promise) result.catch((error: unknown) => this._report(name, error, socket))
    } catch (error) {
      this._report(name, error, socket)
    }
  }

  #onGet = (ssl: libssl.SSL, id: Buffer, copy: { value: number }): SessionAnswer => {
    const connection = connectionOf(ssl)
    if (connection === undefined) return null
    const { socket, owner } = connection
    const elsewhere = (): SessionAnswer => owner.findSession?.(socket, id, copy) ?? null
    if (this.#getSession === null) return elsewhere()
    const failed = (error: unknown): SessionAnswer => {
      this._report('getSessionCallback', error, socket)
      return elsewhere()
    }
    try {
      const ask = this.#getSession
      const found = observed(
        channels.get,
        'getSessionCallback',
        () => id,
        () => ask(socket, id),
      )
      if (found instanceof Promise)
        return this.#counted(found)
          .then((late) => (socket.handle && this.#answer(late, copy)) ?? elsewhere())
          .catch(failed)
      return this.#answer(found, copy) ?? elsewhere()
    } catch (error) {
      return failed(error)
    }
  }

  #counted<T>(answer: Promise<T>): Promise<T> {
    this._waiting += 1
    return answer.finally(() => {
      this._waiting -= 1
    })
  }

  /** What the application found, as OpenSSL takes it. */
  #answer(found: FoundSession, copy: { value: number }): libssl.SSL_SESSION | null {
    if (found === null || found === undefined) return null
    if (found instanceof Session) return found.handle
    if (!(found instanceof Uint8Array)) throw invalidType('session', 'a Session, a Buffer or null', found)
    const handle = readDER(found)
    copy.value = 0
    return handle
  }
}

function onKeylog(ssl: libssl.SSL, line: string): void {
  connectionOf(ssl)?.socket.emit('keylog', Buffer.from(`${line}\n`, 'latin1'))
}

function onCertificate(ssl: libssl.SSL): boolean | Promise<boolean> {
  const connection = connectionOf(ssl)
  return connection?.owner.chooseContext?.(connection.socket) ?? true
}

/**
 * Creates a {@link SecureContext}, as node:tls does. Throws when a certificate, a key or a setting cannot be used.
 * @see SSL_CTX_new(3)
 */
export function createSecureContext(options?: SecureContextOptions): SecureContext {
  return new SecureContext(options ?? {})
}
