// The part of a TLSSocket that an application asks about TLS: session, protocol, cipher, certificates, keying material. All of
// it is null or empty once the socket is destroyed.

import type { X509Certificate } from 'node:crypto'
import type { CipherNameAndProtocol, DetailedPeerCertificate, PeerCertificate } from 'node:tls'
import { ownX509, peerCertificate, peerX509 } from './certificates.js'
import type { Handshake } from './connection.js'
import { EndpointStream } from './endpoint.js'
import { codedError, invalidType, opensslError, outOfRange } from './errors.js'
import * as libssl from './libssl.js'

/** A Duplex that can be asked for its TLS connection. */
export abstract class InspectedStream extends EndpointStream {
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

  /** @internal Whether application data can be exchanged. */
  protected _isEstablished = false
  /** @internal What is known of the handshake without asking OpenSSL. */
  protected _handshake: Handshake | undefined

  /** The libssl handle, for C functions that only look; null once the socket is destroyed. */
  abstract get handle(): libssl.SSL | null

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
    if (this._handshake !== undefined) return !this.destroyed && this._handshake.resumed
    return this.handle !== null && libssl.SSL_session_reused(this.handle) === 1
  }

  /** The protocol in use, such as 'TLSv1.3'; null once the socket is destroyed. @see SSL_get_version(3) */
  getProtocol(): string | null {
    const known = this._handshake && protocolNames.get(this._handshake.version)
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
    if (!this._isEstablished || this.handle === null) {
      throw codedError('ERR_TLS_INVALID_STATE', 'TLS socket connection must be securely established')
    }
    libssl.ERR_clear_error()
    const material = libssl.SSL_export_keying_material(this.handle, length, label, context ?? null)
    if (material === null) throw opensslError('Cannot export keying material')
    return material
  }
}

const protocolNames = new Map([
  [libssl.TLS1_3_VERSION, 'TLSv1.3'],
  [libssl.TLS1_2_VERSION, 'TLSv1.2'],
])

function nonEmpty(bytes: Buffer): Buffer | undefined {
  return bytes.length > 0 ? bytes : undefined
}
