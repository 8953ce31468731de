// SSL as something to be set up and asked: sessions, names, ciphers, certificates, options. What moves bytes is in
// ssl.ts.

import { fn, optional, type SSL, type SSL_CIPHER, type SSL_SESSION, type X509 } from './bind.js'

// Sessions

/**
 * Proposes a session to the server, on a client before the handshake; the connection takes its own reference. Null
 * proposes none. Returns 1, or 0 on failure. A session that cannot be resumed costs nothing but a full handshake.
 * Throws `ERR_SSL_BUSY` once the handshake has begun.
 * @see SSL_set_session(3)
 */
export const SSL_set_session = fn<(ssl: SSL, session: SSL_SESSION | null) => number>('SSL_set_session')

/**
 * Returns the session in use, borrowed until `SSL_free` or `SSL_clear`, or null. A TLS 1.3 client has one to resume
 * only after a ticket has come; the last ticket counts.
 * @see SSL_get_session(3)
 */
export const SSL_get_session = fn<(ssl: SSL) => SSL_SESSION | null>('SSL_get_session')

/**
 * The same function as `SSL_get_session`, under the name that says the session is borrowed.
 * @see SSL_get0_session(3)
 */
export const SSL_get0_session = fn<(ssl: SSL) => SSL_SESSION | null>('SSL_get0_session')

/**
 * As `SSL_get_session`, with a reference that is owned and has to be given back with `SSL_SESSION_free`.
 * @see SSL_get1_session(3)
 */
export const SSL_get1_session = fn<(ssl: SSL) => SSL_SESSION | null>('SSL_get1_session')

/**
 * Returns 1 when the handshake resumed a session, 0 when it was a full one.
 * @see SSL_session_reused(3)
 */
export const SSL_session_reused = fn<(ssl: SSL) => number>('SSL_session_reused')

/**
 * Sets the session id context of this server connection, at most `SSL_MAX_SID_CTX_LENGTH` bytes, in place of its
 * context's. Returns 1, or 0 when it is too long.
 * @see SSL_set_session_id_context(3)
 */
export const SSL_set_session_id_context = fn<(ssl: SSL, context: Uint8Array) => number>('SSL_set_session_id_context')

/**
 * Returns 1 when the internal cache has a session with this id and the connection's protocol version, else 0; also 0
 * for ids that are too long.
 * @see SSL_has_matching_session_id(3)
 */
export const SSL_has_matching_session_id = fn<(ssl: SSL, id: Uint8Array) => number>('SSL_has_matching_session_id')

/**
 * Sets how many TLS 1.3 tickets this server connection sends after a full handshake. Before the handshake. Returns 1.
 * @see SSL_set_num_tickets(3)
 */
export const SSL_set_num_tickets = fn<(ssl: SSL, count: number) => number>('SSL_set_num_tickets')

/**
 * Returns how many TLS 1.3 tickets this server connection sends after a full handshake.
 * @see SSL_get_num_tickets(3)
 */
export const SSL_get_num_tickets = fn<(ssl: SSL) => number>('SSL_get_num_tickets')

// Where the connection stands

/**
 * Returns the protocol version as a number, `TLS1_3_VERSION` and so on. Before the handshake it is the highest that
 * may come out.
 * @see SSL_version(3)
 */
export const SSL_version = fn<(ssl: SSL) => number>('SSL_version')

/**
 * Returns the protocol version as text, `TLSv1.3` and so on.
 * @see SSL_get_version(3)
 */
export const SSL_get_version = fn<(ssl: SSL) => string>('SSL_get_version')

/**
 * Returns 1 for a server, else 0.
 * @see SSL_is_server(3)
 */
export const SSL_is_server = fn<(ssl: SSL) => number>('SSL_is_server')

/**
 * Returns 1 when the handshake is complete and no other has begun, else 0.
 * @see SSL_is_init_finished(3)
 */
export const SSL_is_init_finished = fn<(ssl: SSL) => number>('SSL_is_init_finished')

/**
 * Returns 1 while a handshake is going on or still to come, else 0.
 * @see SSL_in_init(3)
 */
export const SSL_in_init = fn<(ssl: SSL) => number>('SSL_in_init')

/**
 * Returns 1 before the first handshake message, else 0.
 * @see SSL_in_before(3)
 */
export const SSL_in_before = fn<(ssl: SSL) => number>('SSL_in_before')

/**
 * Returns a text about the state of the handshake, for logs.
 * @see SSL_state_string_long(3)
 */
export const SSL_state_string_long = fn<(ssl: SSL) => string>('SSL_state_string_long')

/**
 * Returns the name of the group that the key exchange of the handshake was done in, or null before there is one.
 * Absent before 3.2.
 * @see SSL_get0_group_name(3)
 */
export const SSL_get0_group_name = optional<(ssl: SSL) => string | null>('SSL_get0_group_name')

// Ciphers

/**
 * Returns the cipher suite in use, or null before there is one. It is static: nothing to free.
 * @see SSL_get_current_cipher(3)
 */
export const SSL_get_current_cipher = fn<(ssl: SSL) => SSL_CIPHER | null>('SSL_get_current_cipher')

/**
 * Returns OpenSSL's name of a cipher suite, `ECDHE-RSA-AES128-GCM-SHA256`.
 * @see SSL_CIPHER_get_name(3)
 */
export const SSL_CIPHER_get_name = fn<(cipher: SSL_CIPHER) => string>('SSL_CIPHER_get_name')

/**
 * Returns the RFC's name of a cipher suite, `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`; null when it has none.
 * @see SSL_CIPHER_standard_name(3)
 */
export const SSL_CIPHER_standard_name = fn<(cipher: SSL_CIPHER) => string | null>('SSL_CIPHER_standard_name')

/**
 * Returns the protocol version that brought a cipher suite, as text; not the version of a connection.
 * @see SSL_CIPHER_get_version(3)
 */
export const SSL_CIPHER_get_version = fn<(cipher: SSL_CIPHER) => string>('SSL_CIPHER_get_version')

/**
 * Returns the number of secret bits of a cipher suite's key.
 * @see SSL_CIPHER_get_bits(3)
 */
export const SSL_CIPHER_get_bits = fn<(cipher: SSL_CIPHER) => number>('SSL_CIPHER_get_bits')

/**
 * Returns OpenSSL's number of a cipher suite: 0x03000000 and the RFC's number in the low 16 bits.
 * @see SSL_CIPHER_get_id(3)
 */
export const SSL_CIPHER_get_id = fn<(cipher: SSL_CIPHER) => number>('SSL_CIPHER_get_id')

/**
 * Returns the RFC's number of a cipher suite, 0x1301 for `TLS_AES_128_GCM_SHA256`.
 * @see SSL_CIPHER_get_protocol_id(3)
 */
export const SSL_CIPHER_get_protocol_id = fn<(cipher: SSL_CIPHER) => number>('SSL_CIPHER_get_protocol_id')

/**
 * Sets this connection's cipher suites for TLS 1.2 and below. Returns 1, or 0 when none is left.
 * @see SSL_set_cipher_list(3)
 */
export const SSL_set_cipher_list = fn<(ssl: SSL, list: string) => number>('SSL_set_cipher_list')

/**
 * Sets this connection's cipher suites for TLS 1.3. Returns 1, or 0 when the list cannot be read.
 * @see SSL_set_ciphersuites(3)
 */
export const SSL_set_ciphersuites = fn<(ssl: SSL, list: string) => number>('SSL_set_ciphersuites')

// Names: SNI and ALPN

/**
 * Returns the host name of the connection, or null: on a server what the client asked for, on a client what it asks
 * for. `type` is `TLSEXT_NAMETYPE_host_name`. In TLS 1.2 a resumed session may bring its own.
 * @see SSL_get_servername(3)
 */
export const SSL_get_servername = fn<(ssl: SSL, type: number) => string | null>('SSL_get_servername')

/**
 * Returns `TLSEXT_NAMETYPE_host_name` when the connection has a host name, else -1.
 * @see SSL_get_servername_type(3)
 */
export const SSL_get_servername_type = fn<(ssl: SSL) => number>('SSL_get_servername_type')

/**
 * Sets the host name that a client asks for, 255 bytes at most. Before the handshake. Returns 1, or 0 when it is empty
 * or too long.
 * @see SSL_set_tlsext_host_name(3)
 */
export const SSL_set_tlsext_host_name = fn<(ssl: SSL, name: string) => number>('SSL_set_tlsext_host_name')

/**
 * Sets the application protocols that this client offers: each name after a byte with its length. Returns 0 on
 * success, and another number when the list is malformed.
 * @see SSL_set_alpn_protos(3)
 */
export const SSL_set_alpn_protos = fn<(ssl: SSL, protocols: Uint8Array) => number>('SSL_set_alpn_protos')

/**
 * Sets the application protocols that this server knows, whatever its context says: see {@link SSL_CTX_set_alpn_select_protos}; null leaves it
 * to the context. Returns 0, or another number when the list is malformed. An addition of this package.
 * @see SSL_CTX_set_alpn_select_cb(3)
 */
export const SSL_set_alpn_select_protos =
  fn<(ssl: SSL, protocols: Uint8Array | null) => number>('SSL_set_alpn_select_protos')

/**
 * Returns the application protocol agreed on, empty when there is none.
 * @see SSL_get0_alpn_selected(3)
 */
export const SSL_get0_alpn_selected = fn<(ssl: SSL) => Buffer>('SSL_get0_alpn_selected')

// Certificates

/**
 * Returns how the verification of the peer's certificate went, `X509_V_OK` or an `X509_V_ERR_*` number. It is
 * `X509_V_OK` too when the peer showed none.
 * @see SSL_get_verify_result(3)
 */
export const SSL_get_verify_result = fn<(ssl: SSL) => number>('SSL_get_verify_result')

/**
 * Sets, in `SSL_VERIFY_*` bits, whether this peer is asked for a certificate and whether a bad one fails the
 * handshake.
 * @see SSL_set_verify(3)
 */
export const SSL_set_verify = fn<(ssl: SSL, mode: number) => void>('SSL_set_verify')

/**
 * As `SSL_set_verify`, but a bad certificate does not fail the handshake: see `SSL_CTX_set_verify_continue`. An
 * addition of this package.
 * @see SSL_set_verify(3)
 */
export const SSL_set_verify_continue = fn<(ssl: SSL, mode: number) => void>('SSL_set_verify_continue')

/**
 * Returns the `SSL_VERIFY_*` bits set.
 * @see SSL_get_verify_mode(3)
 */
export const SSL_get_verify_mode = fn<(ssl: SSL) => number>('SSL_get_verify_mode')

/**
 * Returns the peer's certificate, owned, or null. The older name of `SSL_get1_peer_certificate`.
 * @see SSL_get_peer_certificate(3)
 */
export const SSL_get_peer_certificate = fn<(ssl: SSL) => X509 | null>('SSL_get_peer_certificate')

/**
 * Returns the peer's certificate, owned and to be freed with `X509_free`, or null when it showed none. Works on 1.1.1
 * too.
 * @see SSL_get1_peer_certificate(3)
 */
export const SSL_get1_peer_certificate = fn<(ssl: SSL) => X509 | null>('SSL_get1_peer_certificate')

/**
 * Returns the certificates that the peer sent, each owned and to be freed, or null when it sent none. On a server the
 * peer's own certificate is not among them; a resumed session may have lost them.
 * @see SSL_get_peer_cert_chain(3)
 */
export const SSL_get_peer_cert_chain = fn<(ssl: SSL) => X509[] | null>('SSL_get_peer_cert_chain')

/**
 * The chain that verification built, from the peer's certificate to the trusted root. Call it after the handshake;
 * each certificate is owned by the caller. `null` when nothing was verified or verification failed.
 * @see SSL_get0_verified_chain(3)
 */
export const SSL_get0_verified_chain = fn<(ssl: SSL) => X509[] | null>('SSL_get0_verified_chain')

/**
 * Returns the certificate shown to the peer, borrowed from the connection, or null. Before the handshake has chosen,
 * the one set last.
 * @see SSL_get_certificate(3)
 */
export const SSL_get_certificate = fn<(ssl: SSL) => X509 | null>('SSL_get_certificate')

// Channel binding

/**
 * Returns the last Finished message sent, empty before there is one. TLS 1.2 and below use the first of a connection
 * as `tls-unique`.
 * @see RFC 5929 section 3
 */
export const SSL_get_finished = fn<(ssl: SSL) => Buffer>('SSL_get_finished')

/**
 * Returns the last Finished message received, empty before there is one.
 * @see RFC 5929 section 3
 */
export const SSL_get_peer_finished = fn<(ssl: SSL) => Buffer>('SSL_get_peer_finished')

/**
 * Derives `length` bytes of key material from the connection for use outside of it, after the handshake. In TLS 1.2 a
 * null context and an empty one differ. Returns null on failure, and throws `ERR_OUT_OF_RANGE` for more than 255 times
 * 64 bytes.
 * @see SSL_export_keying_material(3)
 */
export const SSL_export_keying_material =
  fn<(ssl: SSL, length: number, label: string, context: Uint8Array | null) => Buffer | null>(
    'SSL_export_keying_material',
  )

// Options

/**
 * Adds `SSL_OP_*` bits to this connection's options. Returns the new options, never negative.
 * @see SSL_set_options(3)
 */
export const SSL_set_options = fn<(ssl: SSL, options: number) => number>('SSL_set_options')

/**
 * Removes `SSL_OP_*` bits from this connection's options. Returns the new options.
 * @see SSL_clear_options(3)
 */
export const SSL_clear_options = fn<(ssl: SSL, options: number) => number>('SSL_clear_options')

/**
 * Returns this connection's options.
 * @see SSL_get_options(3)
 */
export const SSL_get_options = fn<(ssl: SSL) => number>('SSL_get_options')

/**
 * Bounds the plaintext of one record that this connection sends, in bytes: 512 to 16384. Returns 1, or 0 when out of
 * these bounds.
 * @see SSL_set_max_send_fragment(3)
 */
export const SSL_set_max_send_fragment = fn<(ssl: SSL, size: number) => number>('SSL_set_max_send_fragment')

/**
 * Adds `SSL_MODE_*` bits to this connection's mode. Returns the new mode.
 * @see SSL_set_mode(3)
 */
export const SSL_set_mode = fn<(ssl: SSL, mode: number) => number>('SSL_set_mode')

/**
 * Removes `SSL_MODE_*` bits from this connection's mode. Returns the new mode.
 * @see SSL_clear_mode(3)
 */
export const SSL_clear_mode = fn<(ssl: SSL, mode: number) => number>('SSL_clear_mode')

/**
 * Returns this connection's mode.
 * @see SSL_get_mode(3)
 */
export const SSL_get_mode = fn<(ssl: SSL) => number>('SSL_get_mode')

/**
 * Sets the lowest protocol version of this connection; 0 is the lowest that libssl has. Returns 1, or 0 for a version
 * it does not know.
 * @see SSL_set_min_proto_version(3)
 */
export const SSL_set_min_proto_version = fn<(ssl: SSL, version: number) => number>('SSL_set_min_proto_version')

/**
 * Sets the highest protocol version of this connection; 0 is the highest that libssl has. Returns 1, or 0 for a
 * version it does not know.
 * @see SSL_set_max_proto_version(3)
 */
export const SSL_set_max_proto_version = fn<(ssl: SSL, version: number) => number>('SSL_set_max_proto_version')
