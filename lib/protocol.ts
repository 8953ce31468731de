// What a context negotiates: versions, ciphers, groups, signature algorithms and OpenSSL's option bits.
// Certificates are in credentials.ts, sessions in context.ts.

import tls from 'node:tls'
import { codedError, invalidType, invalidValue, opensslError } from './errors.js'
import * as libssl from './libssl.js'

/** A TLS version in node:tls's words. */
export type SecureVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'

/** What a connection may negotiate. */
export interface ProtocolOptions {
  /**
   * The lowest version to accept. The default is node:tls's `DEFAULT_MIN_VERSION`, 'TLSv1.2'.
   * @see SSL_CTX_set_min_proto_version(3)
   */
  minVersion?: SecureVersion | undefined
  /**
   * The highest version to accept. The default is node:tls's `DEFAULT_MAX_VERSION`, 'TLSv1.3'.
   * @see SSL_CTX_set_max_proto_version(3)
   */
  maxVersion?: SecureVersion | undefined
  /**
   * Cipher suites in OpenSSL's syntax; names that begin with `TLS_` are those of TLS 1.3. The default is node:tls's `DEFAULT_CIPHERS`.
   * @see SSL_CTX_set_cipher_list(3)
   */
  ciphers?: string | undefined
  /**
   * Groups for the key exchange, most preferred first, separated by colons; 'auto', the default, leaves the choice to OpenSSL.
   * @see SSL_CTX_set1_groups_list(3)
   */
  ecdhCurve?: string | undefined
  /**
   * Signature algorithms, most preferred first, separated by colons. OpenSSL chooses by default.
   * @see SSL_CTX_set1_sigalgs_list(3)
   */
  sigalgs?: string | undefined
  /**
   * 'auto' enables finite field Diffie-Hellman in TLS 1.2 with parameters that OpenSSL chooses. Parameters of one's own are refused.
   * @see SSL_CTX_set_dh_auto(3)
   */
  dhparam?: 'auto' | undefined
  /**
   * Whether the server's order of ciphers decides instead of the client's; a `Server` does so by default.
   * @see SSL_CTX_set_options(3)
   */
  honorCipherOrder?: boolean | undefined
  /**
   * `SSL_OP_*` bits to add, from `openssl-session/libssl` or `node:crypto`. `SSL_OP_NO_RENEGOTIATION` is always on.
   * @see SSL_CTX_set_options(3)
   */
  secureOptions?: number | undefined
}

// Leaving one of these out silently would make a connection weaker, or other, than its author believes.
const absent = [
  'ALPNCallback',
  'clientCertEngine',
  'crl',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'pskCallback',
  'requestOCSP',
  'secureProtocol',
]

/** Throws for options of node:tls that this package has not got. */
export function refuseAbsent(options: object): void {
  for (const name of absent) {
    if ((options as Record<string, unknown>)[name]) {
      throw codedError(
        'ERR_FEATURE_UNAVAILABLE',
        `The option "${name}" of node:tls is not available in openssl-session`,
      )
    }
  }
}

function versionNumber(version: string, which: 'minimum' | 'maximum'): number {
  switch (version) {
    case 'TLSv1':
      return libssl.TLS1_VERSION
    case 'TLSv1.1':
      return libssl.TLS1_1_VERSION
    case 'TLSv1.2':
      return libssl.TLS1_2_VERSION
    case 'TLSv1.3':
      return libssl.TLS1_3_VERSION
    default: {
      const message = `${JSON.stringify(version)} is not a valid ${which} TLS protocol version`
      throw Object.assign(new TypeError(message), { code: 'ERR_TLS_INVALID_PROTOCOL_VERSION' })
    }
  }
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidType(name, 'a string', value)
  return value
}

function setCiphers(ctx: libssl.SSL_CTX, ciphers: string): void {
  const names = ciphers.split(':').filter((name) => name !== '')
  const suites = names.filter((name) => /^!?TLS_/.test(name))
  const list = names.filter((name) => !/^!?TLS_/.test(name))
  if (names.length === 0) throw invalidValue('options.ciphers', 'names no cipher')
  if (suites.length > 0 && libssl.SSL_CTX_set_ciphersuites(ctx, suites.join(':')) !== 1) {
    throw opensslError('Cannot use the TLS 1.3 names in "options.ciphers"')
  }
  if (list.length > 0) {
    if (libssl.SSL_CTX_set_cipher_list(ctx, list.join(':')) !== 1) throw opensslError('Cannot use "options.ciphers"')
  } else if (libssl.SSL_CTX_get_max_proto_version(ctx) === libssl.TLS1_3_VERSION) {
    // Naming TLS 1.3 suites alone asks for TLS 1.3 alone; OpenSSL would go on offering its default list for 1.2.
    libssl.SSL_CTX_set_min_proto_version(ctx, libssl.TLS1_3_VERSION)
  }
}

/**
 * Applies versions, ciphers and so on to a new context. Throws on the first that OpenSSL does not accept.
 */
export function applyProtocol(ctx: libssl.SSL_CTX, options: ProtocolOptions): void {
  libssl.ERR_clear_error()
  const min = versionNumber(options.minVersion ?? tls.DEFAULT_MIN_VERSION, 'minimum')
  const max = versionNumber(options.maxVersion ?? tls.DEFAULT_MAX_VERSION, 'maximum')
  if (libssl.SSL_CTX_set_min_proto_version(ctx, min) !== 1 || libssl.SSL_CTX_set_max_proto_version(ctx, max) !== 1) {
    throw opensslError('Cannot use this range of TLS versions')
  }
  setCiphers(ctx, text(options.ciphers || tls.DEFAULT_CIPHERS, 'options.ciphers'))
  const groups = text(options.ecdhCurve ?? tls.DEFAULT_ECDH_CURVE, 'options.ecdhCurve')
  if (groups !== 'auto' && libssl.SSL_CTX_set1_groups_list(ctx, groups) !== 1) {
    const cause = opensslError('Cannot use "options.ecdhCurve"')
    throw codedError('ERR_CRYPTO_OPERATION_FAILED', 'Failed to set ECDH curve', { cause })
  }
  if (options.sigalgs !== undefined && options.sigalgs !== null) {
    const list = text(options.sigalgs, 'options.sigalgs')
    if (list === '') throw invalidValue('options.sigalgs', 'must not be empty')
    if (libssl.SSL_CTX_set1_sigalgs_list(ctx, list) !== 1) throw opensslError('Cannot use "options.sigalgs"')
  }
  if (options.dhparam !== undefined && options.dhparam !== null) {
    if (options.dhparam !== 'auto')
      throw invalidValue('options.dhparam', "must be 'auto': other parameters are not available")
    libssl.SSL_CTX_set_dh_auto(ctx, 1)
  }
  const bits = options.secureOptions ?? 0
  if (!Number.isInteger(bits)) throw invalidType('options.secureOptions', 'an integer', bits)
  // A peer that renegotiates at will can keep a server busy with handshakes, and TLS 1.3 has no such thing.
  libssl.SSL_CTX_set_options(ctx, bits < 0 ? bits >>> 0 : bits)
  libssl.SSL_CTX_set_options(ctx, libssl.SSL_OP_NO_RENEGOTIATION)
  if (options.honorCipherOrder) libssl.SSL_CTX_set_options(ctx, libssl.SSL_OP_CIPHER_SERVER_PREFERENCE)
}
