// A server's contexts: the one of new connections, and those that are chosen by name (SNI).

import { createHash } from 'node:crypto'
import { createSecureContext, SecureContext, type SecureContextOptions } from './context.js'
import { codedError } from './errors.js'
import * as libssl from './libssl.js'
import type { Server } from './server.js'
import type { ServerSessions } from './server-sessions.js'
import type { ServerOptions } from './server-types.js'
import { NamedContexts, type SNICallback } from './sni.js'
import type { Awaitable } from './stores/store.js'
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

/** The contexts of one server. */
export class ServerContexts {
  readonly #server: Server
  readonly #sessions: ServerSessions
  readonly #sniCallback: SNICallback | undefined
  readonly #names = new NamedContexts()
  #settings: ServerOptions
  #current: SecureContext

  /** Throws when a certificate, a key or the like cannot be used. */
  constructor(server: Server, options: ServerOptions, sessions: ServerSessions) {
    this.#server = server
    this.#sessions = sessions
    this.#sniCallback = options.SNICallback
    this.#settings = options
    this.#current = this.#make(options)
  }

  /** The context of new connections. */
  get current(): SecureContext {
    return this.#current
  }

  /** Chooses by name; undefined as long as there is nothing to choose from. */
  get chooser(): SNICallback | undefined {
    return this.#sniCallback ?? (this.#names.size > 0 ? this.#chooseByName : undefined)
  }

  /** Replaces the context of new connections. */
  replace(options: ServerOptions): void {
    const { sessionTimeout, ticketKeys, ticketKeysRefreshInterval } = this.#settings
    const settings = { ...options }
    settings.sessionTimeout ??= sessionTimeout
    settings.ticketKeys ??= ticketKeys
    settings.ticketKeysRefreshInterval ??= ticketKeysRefreshInterval
    const context = this.#make(settings)
    if (!settings.secureContext && typeof settings.ticketKeys === 'function') context._inheritTicketKeys(this.#current)
    this.#current = context
    this.#settings = settings
  }

  /** Adds one for clients that ask for `servername`. */
  add(servername: string, context: SecureContext | SecureContextOptions): void {
    const added = context instanceof SecureContext ? context : createSecureContext(context)
    if (this.#server.requestCert) added._prepareToVerify()
    this.#names.add(servername, added)
  }

  /** Changes the keys of this context and of those that replace it. */
  setTicketKeys(keys: TicketKeys | (() => Awaitable<TicketKeys>)): void {
    this.#current.setTicketKeys(keys)
    this.#settings = { ...this.#settings, ticketKeys: keys }
  }

  #make(options: ServerOptions): SecureContext {
    const context =
      options.secureContext ?? createSecureContext({ ...options, honorCipherOrder: options.honorCipherOrder ?? true })
    if (!(context instanceof SecureContext))
      throw codedError('ERR_TLS_INVALID_CONTEXT', 'secureContext must be a SecureContext')
    context.off('ticketKeysError', this.#onTicketKeysError).on('ticketKeysError', this.#onTicketKeysError)
    if (!context._hasSessionIdContext) context._setSessionIdContext(defaultSessionIdContext())
    this.#sessions.prepare(context)
    // The application may give it to others as well, and once the engine works with it, it cannot be changed.
    if (options.secureContext) context._prepareToVerify()
    return context
  }

  readonly #onTicketKeysError = (error: TicketKeysError): void => {
    if (!this.#server.emit('ticketKeysError', error)) process.emitWarning(error)
  }

  readonly #chooseByName: SNICallback = (servername, callback) => callback(null, this.#names.find(servername))
}
