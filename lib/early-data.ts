// Early data of TLS 1.3 (0-RTT): which sessions let a server accept it, and how much of it a client may send. The addon decides in the
// handshake (native/session/early_data.cc).

import { isUint8Array } from 'node:util/types'
import { codedError, invalidType } from './errors.js'
import * as libssl from './libssl.js'
import { native } from './native.js'

/**
 * What became of early data: `'accepted'`, `'rejected'`, or `'none'` where none was sent.
 * @see SSL_get_early_data_status(3)
 */
export type EarlyDataStatus = 'none' | 'accepted' | 'rejected'

interface EarlyDataFunctions {
  /** Makes a server's connection accept up to `limit` bytes before its handshake is complete, with a session that was `taken`. */
  accept(ssl: libssl.SSL, limit: number): void
  /** Says that this object stands for a session that nobody else can have got. */
  taken(session: libssl.SSL_SESSION): void
}

export const earlyData = native.earlyData as EarlyDataFunctions

export function earlyDataStatus(ssl: libssl.SSL): EarlyDataStatus {
  switch (libssl.SSL_get_early_data_status(ssl)) {
    case libssl.SSL_EARLY_DATA_ACCEPTED:
      return 'accepted'
    case libssl.SSL_EARLY_DATA_REJECTED:
      return 'rejected'
    default:
      return 'none'
  }
}

const nothing = new Uint8Array(0)

/** Whether the certificate of the server that a session began with was for the name that is asked for now. */
type Trust = (session: libssl.SSL_SESSION) => boolean

/** What a client sends first: at once as far as its session allows, and after the handshake what did not arrive. */
export class EarlyFlight {
  readonly #data: Uint8Array
  readonly #resend: boolean
  readonly #trusts: Trust | null
  #sent = 0
  /** The application protocol that the session was for. */
  #protocol = ''

  /** `resend` has it sent again when it was rejected; with `trusts` it is for a server only whose certificate was good. */
  constructor(data: Uint8Array, resend: boolean, trusts: Trust | null) {
    if (!isUint8Array(data)) throw invalidType('options.earlyData', 'a Buffer or Uint8Array', data)
    this.#data = data
    this.#resend = resend
    this.#trusts = trusts
  }

  /** What the first flight may carry. `alpn` is what the client offers, in ALPN's wire format. */
  take(ssl: libssl.SSL, alpn: Uint8Array | null): Uint8Array {
    const { limit, protocol } = earlyAllowance(ssl, alpn, this.#trusts)
    this.#protocol = protocol
    this.#sent = Math.min(this.#data.length, limit)
    return this.#data.subarray(0, this.#sent)
  }

  /** What is left to send as ordinary data, in the protocol agreed on. Throws where it was meant for another one. */
  unsent(status: EarlyDataStatus, protocol: string): Uint8Array {
    if (status !== 'rejected') return status === 'accepted' ? this.#data.subarray(this.#sent) : this.#data
    if (!this.#resend) return nothing
    if (protocol === this.#protocol) return this.#data
    const message = 'The server has rejected early data and chosen another protocol'
    throw codedError('ERR_TLS_EARLY_DATA_REJECTED', message)
  }
}

/**
 * How many bytes a client may send early, and the application protocol that they are meant for, empty when there is none. The limit is 0 where the
 * session that it proposes does not allow early data, or does not fit what it asks for now, for which OpenSSL or the server would fail the connection.
 * `trusts` asks for a session whose server had a good certificate.
 */
function earlyAllowance(
  ssl: libssl.SSL,
  alpn: Uint8Array | null,
  trusts: Trust | null,
): { limit: number; protocol: string } {
  const session = libssl.SSL_get_session(ssl)
  if (session === null) return { limit: 0, protocol: '' }
  const protocol = libssl.SSL_SESSION_get0_alpn_selected(session)
  const name = libssl.SSL_SESSION_get0_hostname(session)
  const fits = name === null || name === libssl.SSL_get_servername(ssl, libssl.TLSEXT_NAMETYPE_host_name)
  // Before the handshake, what SSL_set_session has found in the session.
  const trusted = trusts === null || (libssl.SSL_get_verify_result(ssl) === libssl.X509_V_OK && trusts(session))
  const speaks = protocol.length === 0 || offers(alpn, protocol)
  const usable = trusted && fits && speaks && isFresh(session) && mayBeTls13(ssl)
  const limit = usable ? libssl.SSL_SESSION_get_max_early_data(session) : 0
  return { limit, protocol: protocol.toString('latin1') }
}

function mayBeTls13(ssl: libssl.SSL): boolean {
  const ctx = libssl.SSL_get_SSL_CTX(ssl)
  const most = ctx === null ? 0 : libssl.SSL_CTX_get_max_proto_version(ctx)
  return (most === 0 || most >= libssl.TLS1_3_VERSION) && (libssl.SSL_get_options(ssl) & libssl.SSL_OP_NO_TLSv1_3) === 0
}

function isFresh(session: libssl.SSL_SESSION): boolean {
  const hint = libssl.SSL_SESSION_get_ticket_lifetime_hint(session)
  const lifetime = Math.min(libssl.SSL_SESSION_get_timeout(session), hint)
  const age = Date.now() / 1000 - libssl.SSL_SESSION_get_time(session)
  return libssl.SSL_SESSION_is_resumable(session) === 1 && age < lifetime
}

function offers(wire: Uint8Array | null, protocol: Buffer): boolean {
  for (let at = 0; wire !== null && at < wire.length; at += 1 + (wire[at] as number)) {
    if (protocol.equals(wire.subarray(at + 1, at + 1 + (wire[at] as number)))) return true
  }
  return false
}
