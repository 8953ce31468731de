// Early data of TLS 1.3 (0-RTT): which sessions let a server accept it, and how much of it a client may send. The addon decides in the
// handshake (native/session/early_data.cc).

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

/**
 * How many bytes a client may send early, and the application protocol that they are meant for, empty when there is none. The limit is 0 where the
 * session that it proposes does not allow early data, or does not fit what it asks for now, for which OpenSSL or the server would fail the connection.
 * `alpn` is what it offers, in ALPN's wire format; `verified` asks for a session whose server had a good certificate.
 */
export function earlyAllowance(
  ssl: libssl.SSL,
  alpn: Uint8Array | null,
  verified: boolean,
): { limit: number; protocol: string } {
  const session = libssl.SSL_get_session(ssl)
  if (session === null) return { limit: 0, protocol: '' }
  const protocol = libssl.SSL_SESSION_get0_alpn_selected(session)
  const name = libssl.SSL_SESSION_get0_hostname(session)
  const fits = name === null || name === libssl.SSL_get_servername(ssl, libssl.TLSEXT_NAMETYPE_host_name)
  // Before the handshake, what SSL_set_session has found in the session.
  const trusted = !verified || libssl.SSL_get_verify_result(ssl) === libssl.X509_V_OK
  const usable = trusted && fits && isFresh(session) && (protocol.length === 0 || offers(alpn, protocol))
  const limit = usable ? libssl.SSL_SESSION_get_max_early_data(session) : 0
  return { limit, protocol: protocol.toString('latin1') }
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
