// Choosing a server's context by the name that a client asks for (SNI): the two forms that node:tls has, a list of names with
// wildcards and a callback.

import { byCallback } from './callback.js'
import { SecureContext } from './context.js'
import { codedError } from './errors.js'
import * as libssl from './libssl.js'
import type { TLSSocket } from './socket.js'

/**
 * Chooses the context for a name: calls back with one, with nothing for the server's own, or with an error, which fails the handshake. At once or later.
 * @see SSL_CTX_set_cert_cb(3)
 */
export type SNICallback = (
  this: TLSSocket,
  servername: string,
  callback: (error: Error | null, context?: SecureContext | null) => void,
) => void

/** What came of a choice. */
type Outcome = (error: unknown, context?: SecureContext | null) => boolean

/**
 * Asks `choose` and hands its answer to `outcome`; the result is what `outcome` says, at once if the answer came at once.
 */
export function chooseByName(
  socket: TLSSocket,
  servername: string,
  choose: SNICallback,
  outcome: Outcome,
): boolean | Promise<boolean> {
  const ask = (callback: (error: Error | null, context?: SecureContext | null) => void): unknown =>
    choose.call(socket, servername, callback)
  return byCallback(socket, ask, (error, context) => {
    const bad = context && !(context instanceof SecureContext)
    return bad
      ? outcome(codedError('ERR_TLS_INVALID_CONTEXT', 'context must be a SecureContext'))
      : outcome(error, context)
  })
}

/**
 * Goes on with the settings of another context, for the same application: OpenSSL may take over the other's session id context, with which it
 * would look for sessions once more after a HelloRetryRequest.
 * @see SSL_set_session_id_context(3)
 */
export function switchContext(ssl: libssl.SSL, ctx: libssl.SSL_CTX): boolean {
  const session = libssl.SSL_get_session(ssl)
  const application = session && libssl.SSL_SESSION_get0_id_context(session)
  if (libssl.SSL_set_SSL_CTX(ssl, ctx) === null) return false
  return application === null || libssl.SSL_set_session_id_context(ssl, application) === 1
}

/** Contexts for names, as `server.addContext` collects them. */
export class NamedContexts {
  readonly #contexts: { pattern: RegExp; context: SecureContext }[] = []

  get size(): number {
    return this.#contexts.length
  }

  /** A `*` in the name stands for any text without a dot. */
  add(servername: string, context: SecureContext): void {
    const literal = servername.replaceAll(/[.^$+?\-\\[\]{}()|]/g, '\\$&')
    this.#contexts.push({ pattern: new RegExp(`^${literal.replaceAll('*', '[^.]*')}$`), context })
  }

  /** The context added last that fits. */
  find(servername: string): SecureContext | undefined {
    return this.#contexts.findLast(({ pattern }) => pattern.test(servername))?.context
  }
}
