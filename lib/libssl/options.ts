// SSL_OP_*: the bits of SSL_CTX_set_options and SSL_set_options.

import { constant, optionalConstant } from './bind.js'

// Sessions and tickets

/**
 * No stateless tickets: TLS 1.2 uses session ids, TLS 1.3 sends tickets that name a cached session.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_NO_TICKET: number = constant('SSL_OP_NO_TICKET')
/** Early data does not make tickets single use. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_ANTI_REPLAY: number = constant('SSL_OP_NO_ANTI_REPLAY')
/** TLS 1.3 may resume without a new key exchange, and so without forward secrecy. @see SSL_CTX_set_options(3) */
export const SSL_OP_ALLOW_NO_DHE_KEX: number = constant('SSL_OP_ALLOW_NO_DHE_KEX')
/**
 * With `SSL_OP_ALLOW_NO_DHE_KEX`, TLS 1.3 servers resume without a new key exchange when the client offers it. Since
 * 3.3.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_PREFER_NO_DHE_KEX: number | undefined = optionalConstant('SSL_OP_PREFER_NO_DHE_KEX')
/** Renegotiations always make a new session. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION: number = constant(
  'SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION',
)
/**
 * TLS 1.2 does without the extended master secret, which ties sessions to their handshake. Since 3.0.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_NO_EXTENDED_MASTER_SECRET: number | undefined = optionalConstant('SSL_OP_NO_EXTENDED_MASTER_SECRET')

// Protocol versions

/** No SSL 3.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_SSLv3: number = constant('SSL_OP_NO_SSLv3')
/** No TLS 1.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_TLSv1: number = constant('SSL_OP_NO_TLSv1')
/** No TLS 1.1. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_TLSv1_1: number = constant('SSL_OP_NO_TLSv1_1')
/** No TLS 1.2. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_TLSv1_2: number = constant('SSL_OP_NO_TLSv1_2')
/** No TLS 1.3. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_TLSv1_3: number = constant('SSL_OP_NO_TLSv1_3')
/** No DTLS 1.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_DTLSv1: number = constant('SSL_OP_NO_DTLSv1')
/** No DTLS 1.2. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_DTLSv1_2: number = constant('SSL_OP_NO_DTLSv1_2')
/** All of the `SSL_OP_NO_` options for SSL and TLS. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_SSL_MASK: number = constant('SSL_OP_NO_SSL_MASK')
/** All of the `SSL_OP_NO_` options for DTLS. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_DTLS_MASK: number = constant('SSL_OP_NO_DTLS_MASK')

// Handshake

/** Servers choose the suite by their own order, not by the client's. @see SSL_CTX_set_options(3) */
export const SSL_OP_CIPHER_SERVER_PREFERENCE: number = constant('SSL_OP_CIPHER_SERVER_PREFERENCE')
/**
 * The same bit as `SSL_OP_CIPHER_SERVER_PREFERENCE`, named for what it decides since: suites and groups. Absent from
 * 3.5 and before.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_SERVER_PREFERENCE: number | undefined = optionalConstant('SSL_OP_SERVER_PREFERENCE')
/** With server preference, a client that puts ChaCha20 first gets it. @see SSL_CTX_set_options(3) */
export const SSL_OP_PRIORITIZE_CHACHA: number = constant('SSL_OP_PRIORITIZE_CHACHA')
/** TLS 1.3 looks like TLS 1.2 to the boxes between. On by default. @see SSL_CTX_set_options(3) */
export const SSL_OP_ENABLE_MIDDLEBOX_COMPAT: number = constant('SSL_OP_ENABLE_MIDDLEBOX_COMPAT')
/** No renegotiation at all. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_RENEGOTIATION: number = constant('SSL_OP_NO_RENEGOTIATION')
/** Servers let clients ask for a renegotiation. Since 3.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_ALLOW_CLIENT_RENEGOTIATION: number | undefined = optionalConstant(
  'SSL_OP_ALLOW_CLIENT_RENEGOTIATION',
)
/** Renegotiation with peers that do not know RFC 5746. Unsafe. @see SSL_CTX_set_options(3) */
export const SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION: number = constant('SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION')
/** Clients connect to servers that do not know RFC 5746. On by default before 3.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_LEGACY_SERVER_CONNECT: number = constant('SSL_OP_LEGACY_SERVER_CONNECT')
/** No encrypt-then-MAC in TLS 1.2 and below. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_ENCRYPT_THEN_MAC: number = constant('SSL_OP_NO_ENCRYPT_THEN_MAC')
/** No TLS compression. On by default. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_COMPRESSION: number = constant('SSL_OP_NO_COMPRESSION')
/**
 * Clients do not send, and servers ignore, the names of authorities in TLS 1.3. Since 3.0.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_DISABLE_TLSEXT_CA_NAMES: number | undefined = optionalConstant('SSL_OP_DISABLE_TLSEXT_CA_NAMES')
/** Pads client hellos whose length some old servers cannot stand. @see SSL_CTX_set_options(3) */
export const SSL_OP_TLSEXT_PADDING: number = constant('SSL_OP_TLSEXT_PADDING')
/** DTLS servers, and TLS 1.3 servers without state, send a cookie first. @see SSL_CTX_set_options(3) */
export const SSL_OP_COOKIE_EXCHANGE: number = constant('SSL_OP_COOKIE_EXCHANGE')
/** Certificates are not sent compressed. Since 3.2. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_TX_CERTIFICATE_COMPRESSION: number | undefined = optionalConstant(
  'SSL_OP_NO_TX_CERTIFICATE_COMPRESSION',
)
/** Compressed certificates are not taken. Since 3.2. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_RX_CERTIFICATE_COMPRESSION: number | undefined = optionalConstant(
  'SSL_OP_NO_RX_CERTIFICATE_COMPRESSION',
)
/** Clients that have no Encrypted Client Hello send one that is made up. Since 4.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_ECH_GREASE: number | undefined = optionalConstant('SSL_OP_ECH_GREASE')
/** Servers try all their keys on an Encrypted Client Hello, whatever it names. Since 4.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_ECH_TRIALDECRYPT: number | undefined = optionalConstant('SSL_OP_ECH_TRIALDECRYPT')
/** Clients send an Encrypted Client Hello that names no particular key. Since 4.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_ECH_IGNORE_CID: number | undefined = optionalConstant('SSL_OP_ECH_IGNORE_CID')
/** Servers answer a made-up Encrypted Client Hello with made-up keys. Since 4.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_ECH_GREASE_RETRY_CONFIG: number | undefined = optionalConstant('SSL_OP_ECH_GREASE_RETRY_CONFIG')
/**
 * Compressed and characteristic-two point formats are offered as they were before 4.0. Since 4.0.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_LEGACY_EC_POINT_FORMATS: number | undefined = optionalConstant('SSL_OP_LEGACY_EC_POINT_FORMATS')
/** Speaks to CryptoPro CSP 3.x. @see SSL_CTX_set_options(3) */
export const SSL_OP_CRYPTOPRO_TLSEXT_BUG: number = constant('SSL_OP_CRYPTOPRO_TLSEXT_BUG')
/** Does not prefer ECDSA with Safari on OS X 10.8. @see SSL_CTX_set_options(3) */
export const SSL_OP_SAFARI_ECDHE_ECDSA_BUG: number = constant('SSL_OP_SAFARI_ECDHE_ECDSA_BUG')
/** Servers do not check for version rollback in RSA key exchange. @see SSL_CTX_set_options(3) */
export const SSL_OP_TLS_ROLLBACK_BUG: number = constant('SSL_OP_TLS_ROLLBACK_BUG')
/** No empty fragments against an old attack on CBC suites in TLS 1.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS: number = constant('SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS')
/** The workarounds for bugs of others that are thought harmless. @see SSL_CTX_set_options(3) */
export const SSL_OP_ALL: number = constant('SSL_OP_ALL')

// Records and transport

/** A stream that ends without close_notify counts as closed cleanly. Since 3.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_IGNORE_UNEXPECTED_EOF: number | undefined = optionalConstant('SSL_OP_IGNORE_UNEXPECTED_EOF')
/** Decrypted bytes are wiped from libssl's buffers once they were read. Since 3.0. @see SSL_CTX_set_options(3) */
export const SSL_OP_CLEANSE_PLAINTEXT: number | undefined = optionalConstant('SSL_OP_CLEANSE_PLAINTEXT')
/**
 * Leaves the record layer to the kernel where that is possible. Not with memory BIOs. Since 3.0.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_OP_ENABLE_KTLS: number | undefined = optionalConstant('SSL_OP_ENABLE_KTLS')
/** With kernel TLS, files are sent without a copy. Since 3.2. @see SSL_CTX_set_options(3) */
export const SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE: number | undefined = optionalConstant(
  'SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE',
)
/** DTLS does not ask the BIO for its MTU. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_QUERY_MTU: number = constant('SSL_OP_NO_QUERY_MTU')
/** DTLS speaks Cisco's version. @see SSL_CTX_set_options(3) */
export const SSL_OP_CISCO_ANYCONNECT: number = constant('SSL_OP_CISCO_ANYCONNECT')

// Without effect in every version of OpenSSL that this package runs on

/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_MICROSOFT_SESS_ID_BUG: number = constant('SSL_OP_MICROSOFT_SESS_ID_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_NETSCAPE_CHALLENGE_BUG: number = constant('SSL_OP_NETSCAPE_CHALLENGE_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_NETSCAPE_REUSE_CIPHER_CHANGE_BUG: number = constant('SSL_OP_NETSCAPE_REUSE_CIPHER_CHANGE_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_SSLREF2_REUSE_CERT_TYPE_BUG: number = constant('SSL_OP_SSLREF2_REUSE_CERT_TYPE_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_MICROSOFT_BIG_SSLV3_BUFFER: number = constant('SSL_OP_MICROSOFT_BIG_SSLV3_BUFFER')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_MSIE_SSLV2_RSA_PADDING: number = constant('SSL_OP_MSIE_SSLV2_RSA_PADDING')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_SSLEAY_080_CLIENT_DH_BUG: number = constant('SSL_OP_SSLEAY_080_CLIENT_DH_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_TLS_D5_BUG: number = constant('SSL_OP_TLS_D5_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_TLS_BLOCK_PADDING_BUG: number = constant('SSL_OP_TLS_BLOCK_PADDING_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_SINGLE_ECDH_USE: number = constant('SSL_OP_SINGLE_ECDH_USE')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_SINGLE_DH_USE: number = constant('SSL_OP_SINGLE_DH_USE')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_EPHEMERAL_RSA: number = constant('SSL_OP_EPHEMERAL_RSA')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_NO_SSLv2: number = constant('SSL_OP_NO_SSLv2')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_PKCS1_CHECK_1: number = constant('SSL_OP_PKCS1_CHECK_1')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_PKCS1_CHECK_2: number = constant('SSL_OP_PKCS1_CHECK_2')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_NETSCAPE_CA_DN_BUG: number = constant('SSL_OP_NETSCAPE_CA_DN_BUG')
/** Without effect. @see SSL_CTX_set_options(3) */
export const SSL_OP_NETSCAPE_DEMO_CIPHER_CHANGE_BUG: number = constant('SSL_OP_NETSCAPE_DEMO_CIPHER_CHANGE_BUG')
