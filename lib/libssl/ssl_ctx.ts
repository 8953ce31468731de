// SSL_CTX: its lifetime, certificates, trust and protocol settings. What it remembers of sessions is in
// ssl_ctx_session.ts.
//
// A connection copies most settings when SSL_new makes it: set them before.

import { type EVP_PKEY, fn, type SSL, type SSL_CTX, type SSL_METHOD, type X509, type X509_STORE } from './bind.js'

/**
 * Returns the method for connections in either role, TLS 1.0 up to the newest that libssl has. The same object every
 * time.
 * @see TLS_method(3)
 */
export const TLS_method = fn<() => SSL_METHOD>('TLS_method')

/**
 * As `TLS_method`, for servers only.
 * @see TLS_server_method(3)
 */
export const TLS_server_method = fn<() => SSL_METHOD>('TLS_server_method')

/**
 * As `TLS_method`, for clients only.
 * @see TLS_client_method(3)
 */
export const TLS_client_method = fn<() => SSL_METHOD>('TLS_client_method')

/**
 * Creates a context, to be freed with `SSL_CTX_free`. Returns null on failure, with the reason on the error queue.
 * @see SSL_CTX_new(3)
 */
export const SSL_CTX_new = fn<(method: SSL_METHOD) => SSL_CTX | null>('SSL_CTX_new')

/**
 * Gives back one owned reference; connections hold their own. The last one frees the context, and then the remove
 * callback is called for every session that is still cached. Null is ignored.
 * @see SSL_CTX_free(3)
 */
export const SSL_CTX_free = fn<(ctx: SSL_CTX | null) => void>('SSL_CTX_free')

/**
 * Takes one more reference, to be given back with `SSL_CTX_free`. Returns 1, or 0 on failure.
 * @see SSL_CTX_up_ref(3)
 */
export const SSL_CTX_up_ref = fn<(ctx: SSL_CTX) => number>('SSL_CTX_up_ref')

// Certificates and keys

/**
 * Sets the certificate to show to peers; one for each key type is kept. The context takes its own reference. Returns
 * 1, or 0 with the reason on the queue (a key too weak for the security level, for one).
 * @see SSL_CTX_use_certificate(3)
 */
export const SSL_CTX_use_certificate = fn<(ctx: SSL_CTX, x509: X509) => number>('SSL_CTX_use_certificate')

/**
 * Sets the private key of the certificate set before it. The context takes its own reference. Returns 1, or 0 when the
 * key does not belong to that certificate.
 * @see SSL_CTX_use_PrivateKey(3)
 */
export const SSL_CTX_use_PrivateKey = fn<(ctx: SSL_CTX, pkey: EVP_PKEY) => number>('SSL_CTX_use_PrivateKey')

/**
 * As `SSL_CTX_use_certificate`, from a file: `type` is `SSL_FILETYPE_PEM` (its first certificate) or
 * `SSL_FILETYPE_ASN1`. Blocks while reading. Returns 1, or 0 with the reason on the queue.
 * @see SSL_CTX_use_certificate_file(3)
 */
export const SSL_CTX_use_certificate_file =
  fn<(ctx: SSL_CTX, file: string, type: number) => number>('SSL_CTX_use_certificate_file')

/**
 * Loads a PEM file with the certificate first and then its chain, leaf to root. Blocks while reading. Returns 1, or 0
 * with the reason on the queue.
 * @see SSL_CTX_use_certificate_chain_file(3)
 */
export const SSL_CTX_use_certificate_chain_file = fn<(ctx: SSL_CTX, file: string) => number>(
  'SSL_CTX_use_certificate_chain_file',
)

/**
 * As `SSL_CTX_use_PrivateKey`, from an unencrypted file: `type` is `SSL_FILETYPE_PEM` or `SSL_FILETYPE_ASN1`. Blocks
 * while reading. Returns 1, or 0 with the reason on the queue.
 * @see SSL_CTX_use_PrivateKey_file(3)
 */
export const SSL_CTX_use_PrivateKey_file =
  fn<(ctx: SSL_CTX, file: string, type: number) => number>('SSL_CTX_use_PrivateKey_file')

/**
 * Checks that the private key belongs to the certificate set last. Returns 1, or 0 with the reason on the queue
 * (nothing set counts as a mismatch).
 * @see SSL_CTX_check_private_key(3)
 */
export const SSL_CTX_check_private_key = fn<(ctx: SSL_CTX) => number>('SSL_CTX_check_private_key')

/**
 * Adds an intermediate certificate to the chain sent after the current certificate, next to those added before. The
 * context takes its own reference. Returns 1, or 0 when no certificate was set yet.
 * @see SSL_CTX_add1_chain_cert(3)
 */
export const SSL_CTX_add1_chain_cert = fn<(ctx: SSL_CTX, x509: X509) => number>('SSL_CTX_add1_chain_cert')

/**
 * Forgets the chain of the current certificate. Returns 1, or 0 when no certificate was set yet.
 * @see SSL_CTX_clear_chain_certs(3)
 */
export const SSL_CTX_clear_chain_certs = fn<(ctx: SSL_CTX) => number>('SSL_CTX_clear_chain_certs')

/**
 * Returns the certificate set last, borrowed from the context, or null.
 * @see SSL_CTX_use_certificate(3)
 */
export const SSL_CTX_get0_certificate = fn<(ctx: SSL_CTX) => X509 | null>('SSL_CTX_get0_certificate')

/**
 * Called before a certificate is used in a handshake: on a server once the client's hello is understood, on a client
 * when the server asked for a certificate. It may change the connection's settings, its context too
 * (`SSL_set_SSL_CTX`). 1, true and undefined go on, 0 and false fail the handshake. A promise pauses it: the call
 * answers -1 with `SSL_ERROR_WANT_X509_LOOKUP`; call again after `SSL_waiting_session(ssl)`.
 * @see SSL_CTX_set_cert_cb(3)
 */
export type CertCallback = (ssl: SSL) => CertAnswer | Promise<CertAnswer>

// biome-ignore lint/suspicious/noConfusingVoidType: a callback without a return statement is a valid one
type CertAnswer = number | boolean | undefined | void

/**
 * Sets the function that chooses certificates, or none with null. An exception in it fails the handshake and comes out
 * of the call that was made.
 * @see SSL_CTX_set_cert_cb(3)
 */
export const SSL_CTX_set_cert_cb = fn<(ctx: SSL_CTX, callback: CertCallback | null) => void>('SSL_CTX_set_cert_cb')

// Trust

/**
 * Adds trusted certificates from a PEM file, from a directory with hashed names, or both; at least one must not be
 * null. Returns 1, or 0 with the reason on the queue.
 * @see SSL_CTX_load_verify_locations(3)
 */
export const SSL_CTX_load_verify_locations = fn<
  (ctx: SSL_CTX, file: string | null, directory: string | null) => number
>('SSL_CTX_load_verify_locations')

/**
 * Trusts the certificates of this OpenSSL's default places, which `SSL_CERT_FILE` and `SSL_CERT_DIR` in the
 * environment override. A missing file is no error. Returns 1, or 0 on failure.
 * @see SSL_CTX_set_default_verify_paths(3)
 */
export const SSL_CTX_set_default_verify_paths = fn<(ctx: SSL_CTX) => number>('SSL_CTX_set_default_verify_paths')

/**
 * Returns the store of trusted certificates, borrowed from the context.
 * @see SSL_CTX_get_cert_store(3)
 */
export const SSL_CTX_get_cert_store = fn<(ctx: SSL_CTX) => X509_STORE | null>('SSL_CTX_get_cert_store')

/**
 * Adds the subject of a certificate to the authorities that a server names when it asks for a client certificate. It
 * trusts nothing. Returns 1, or 0 on failure.
 * @see SSL_CTX_add_client_CA(3)
 */
export const SSL_CTX_add_client_CA = fn<(ctx: SSL_CTX, x509: X509) => number>('SSL_CTX_add_client_CA')

/**
 * Sets, in `SSL_VERIFY_*` bits, whether peers are asked for a certificate and whether a bad one fails the handshake.
 * Applies to connections made afterwards.
 * @see SSL_CTX_set_verify(3)
 */
export const SSL_CTX_set_verify = fn<(ctx: SSL_CTX, mode: number) => void>('SSL_CTX_set_verify')

/**
 * As `SSL_CTX_set_verify`, but a bad certificate does not fail the handshake: the error is noted, and
 * `SSL_get_verify_result` tells it afterwards. An addition of this package, in place of a C verify callback that
 * returns 1.
 * @see SSL_CTX_set_verify(3)
 */
export const SSL_CTX_set_verify_continue = fn<(ctx: SSL_CTX, mode: number) => void>('SSL_CTX_set_verify_continue')

/**
 * Returns the `SSL_VERIFY_*` bits set.
 * @see SSL_CTX_get_verify_mode(3)
 */
export const SSL_CTX_get_verify_mode = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_verify_mode')

/**
 * Sets how many intermediate certificates a chain may have at most, leaf and root not counted. The default is 100.
 * @see SSL_CTX_set_verify_depth(3)
 */
export const SSL_CTX_set_verify_depth = fn<(ctx: SSL_CTX, depth: number) => void>('SSL_CTX_set_verify_depth')

/**
 * Returns the limit of `SSL_CTX_set_verify_depth`, -1 while none was set.
 * @see SSL_CTX_get_verify_depth(3)
 */
export const SSL_CTX_get_verify_depth = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_verify_depth')

// Protocol

/**
 * Sets the cipher suites for TLS 1.2 and below, in OpenSSL's cipher string format. Unknown names are skipped; returns
 * 0, with `SSL_R_NO_CIPHER_MATCH` on the queue, when none is left, else 1.
 * @see SSL_CTX_set_cipher_list(3)
 */
export const SSL_CTX_set_cipher_list = fn<(ctx: SSL_CTX, list: string) => number>('SSL_CTX_set_cipher_list')

/**
 * Sets the cipher suites for TLS 1.3, by their standard names with colons between. Returns 1, or 0 when the list
 * cannot be read.
 * @see SSL_CTX_set_ciphersuites(3)
 */
export const SSL_CTX_set_ciphersuites = fn<(ctx: SSL_CTX, list: string) => number>('SSL_CTX_set_ciphersuites')

/**
 * Sets the key exchange groups in order of preference, `X25519:P-256`. Returns 1, or 0 for an unknown name.
 * @see SSL_CTX_set1_groups_list(3)
 */
export const SSL_CTX_set1_groups_list = fn<(ctx: SSL_CTX, list: string) => number>('SSL_CTX_set1_groups_list')

/**
 * Sets the signature algorithms in order of preference, `ECDSA+SHA256:RSA-PSS+SHA256`. Returns 1, or 0 for an unknown
 * name.
 * @see SSL_CTX_set1_sigalgs_list(3)
 */
export const SSL_CTX_set1_sigalgs_list = fn<(ctx: SSL_CTX, list: string) => number>('SSL_CTX_set1_sigalgs_list')

/**
 * 1 lets libssl choose finite-field Diffie-Hellman parameters by the strength of the certificate's key, 0 does not.
 * Needed for `DHE` suites below TLS 1.3. Returns 1.
 * @see SSL_CTX_set_dh_auto(3)
 */
export const SSL_CTX_set_dh_auto = fn<(ctx: SSL_CTX, onoff: number) => number>('SSL_CTX_set_dh_auto')

/**
 * Sets the lowest protocol version accepted, a `*_VERSION` constant; 0 is the lowest that libssl has. Returns 1, or 0
 * for a version it does not know.
 * @see SSL_CTX_set_min_proto_version(3)
 */
export const SSL_CTX_set_min_proto_version = fn<(ctx: SSL_CTX, version: number) => number>(
  'SSL_CTX_set_min_proto_version',
)

/**
 * Returns the lowest protocol version accepted, 0 for the lowest that libssl has.
 * @see SSL_CTX_get_min_proto_version(3)
 */
export const SSL_CTX_get_min_proto_version = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_min_proto_version')

/**
 * Sets the highest protocol version accepted, a `*_VERSION` constant; 0 is the highest that libssl has. Returns 1, or
 * 0 for a version it does not know.
 * @see SSL_CTX_set_max_proto_version(3)
 */
export const SSL_CTX_set_max_proto_version = fn<(ctx: SSL_CTX, version: number) => number>(
  'SSL_CTX_set_max_proto_version',
)

/**
 * Returns the highest protocol version accepted, 0 for the highest that libssl has.
 * @see SSL_CTX_get_max_proto_version(3)
 */
export const SSL_CTX_get_max_proto_version = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_max_proto_version')

/**
 * Adds `SSL_OP_*` bits to the options; bits already set stay. Returns the new options, never negative.
 * @see SSL_CTX_set_options(3)
 */
export const SSL_CTX_set_options = fn<(ctx: SSL_CTX, options: number) => number>('SSL_CTX_set_options')

/**
 * Removes `SSL_OP_*` bits from the options. Returns the new options.
 * @see SSL_CTX_clear_options(3)
 */
export const SSL_CTX_clear_options = fn<(ctx: SSL_CTX, options: number) => number>('SSL_CTX_clear_options')

/**
 * Returns the options, in `SSL_OP_*` bits.
 * @see SSL_CTX_get_options(3)
 */
export const SSL_CTX_get_options = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_options')

/**
 * Adds `SSL_MODE_*` bits to the mode; bits already set stay. Returns the new mode.
 * @see SSL_CTX_set_mode(3)
 */
export const SSL_CTX_set_mode = fn<(ctx: SSL_CTX, mode: number) => number>('SSL_CTX_set_mode')

/**
 * Removes `SSL_MODE_*` bits from the mode. Returns the new mode.
 * @see SSL_CTX_clear_mode(3)
 */
export const SSL_CTX_clear_mode = fn<(ctx: SSL_CTX, mode: number) => number>('SSL_CTX_clear_mode')

/**
 * Returns the mode, in `SSL_MODE_*` bits.
 * @see SSL_CTX_get_mode(3)
 */
export const SSL_CTX_get_mode = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_mode')

/**
 * Sets the strength demanded of keys, suites and versions, from 0 (anything) to 5 (256 bits). libssl's default is 1, 2
 * since 3.2; distributions often raise it.
 * @see SSL_CTX_set_security_level(3)
 */
export const SSL_CTX_set_security_level = fn<(ctx: SSL_CTX, level: number) => void>('SSL_CTX_set_security_level')

/**
 * Returns the security level.
 * @see SSL_CTX_get_security_level(3)
 */
export const SSL_CTX_get_security_level = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_security_level')

/**
 * Sets the application protocols that a client offers: each name after a byte with its length. Unlike its neighbours
 * it returns 0 on success, and another number when the list is malformed.
 * @see SSL_CTX_set_alpn_protos(3)
 */
export const SSL_CTX_set_alpn_protos = fn<(ctx: SSL_CTX, protocols: Uint8Array) => number>('SSL_CTX_set_alpn_protos')

/**
 * Sets the application protocols that a server knows, most preferred first, in the same form; null stops choosing. A
 * client that offers protocols but none of these is refused with the alert no_application_protocol. Returns 0, or
 * another number when the list is malformed. An addition of this package: C sets a callback here, this one chooses
 * without JavaScript.
 * @see SSL_CTX_set_alpn_select_cb(3)
 */
export const SSL_CTX_set_alpn_select_protos = fn<(ctx: SSL_CTX, protocols: Uint8Array | null) => number>(
  'SSL_CTX_set_alpn_select_protos',
)

/**
 * 1 makes a server agree to whatever host name a client asks for, which is what lets libssl keep the name in a TLS 1.2
 * session and report it on resumed connections; 0 is the default. An addition of this package: C sets a callback here.
 * @see SSL_CTX_set_tlsext_servername_callback(3)
 */
export const SSL_CTX_set_servername_accept = fn<(ctx: SSL_CTX, on: number) => void>('SSL_CTX_set_servername_accept')

/**
 * 1 makes shutdowns quiet: no close_notify is sent or awaited, and sessions are still counted as cleanly closed. 0 is
 * the default.
 * @see SSL_CTX_set_quiet_shutdown(3)
 */
export const SSL_CTX_set_quiet_shutdown = fn<(ctx: SSL_CTX, mode: number) => void>('SSL_CTX_set_quiet_shutdown')

/**
 * Returns 1 when shutdowns are quiet, else 0.
 * @see SSL_CTX_get_quiet_shutdown(3)
 */
export const SSL_CTX_get_quiet_shutdown = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_quiet_shutdown')

/**
 * Called with each secret of a connection as a line in the key log format that Wireshark reads, without a line end.
 * With these lines anybody can decrypt the connection.
 * @see SSL_CTX_set_keylog_callback(3)
 */
export type KeylogCallback = (ssl: SSL, line: string) => void

/**
 * Sets the function that receives key log lines, or none with null.
 * @see SSL_CTX_set_keylog_callback(3)
 */
export const SSL_CTX_set_keylog_callback =
  fn<(ctx: SSL_CTX, callback: KeylogCallback | null) => void>('SSL_CTX_set_keylog_callback')

/**
 * Returns the function that was set, or null.
 * @see SSL_CTX_get_keylog_callback(3)
 */
export const SSL_CTX_get_keylog_callback = fn<(ctx: SSL_CTX) => KeylogCallback | null>('SSL_CTX_get_keylog_callback')
