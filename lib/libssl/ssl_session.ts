// SSL_SESSION: a session by itself, made, stored, read and changed. The cache it may live in is in ssl_ctx_session.ts.

import { type BIO, fn, optional, type SSL_CIPHER, type SSL_SESSION, type X509 } from './bind.js'

/**
 * Creates an empty session, owned. Returns null when memory is short. Useful with the setters below, for pre-shared
 * keys.
 * @see SSL_SESSION_new(3)
 */
export const SSL_SESSION_new = fn<() => SSL_SESSION | null>('SSL_SESSION_new')

/**
 * Gives back one owned reference; the last one frees the session. Null is ignored. Throws `ERR_NOT_OWNED` for a
 * borrowed session.
 * @see SSL_SESSION_free(3)
 */
export const SSL_SESSION_free = fn<(session: SSL_SESSION | null) => void>('SSL_SESSION_free')

/**
 * Takes one more reference, to be given back with `SSL_SESSION_free`: what keeps a borrowed session. Returns 1, or 0
 * on failure.
 * @see SSL_SESSION_up_ref(3)
 */
export const SSL_SESSION_up_ref = fn<(session: SSL_SESSION) => number>('SSL_SESSION_up_ref')

/**
 * Copies a session. The copy is owned and belongs to no context yet: it may be added to one that the original may not.
 * Returns null when memory is short.
 * @see SSL_SESSION_dup(3)
 */
export const SSL_SESSION_dup = fn<(session: SSL_SESSION) => SSL_SESSION | null>('SSL_SESSION_dup')

// Storing

/**
 * Decodes a session from DER, as `i2d_SSL_SESSION` or `openssl sess_id` wrote it; bytes after it are ignored. Returns
 * an owned session, or null with the reason on the queue.
 * @see d2i_SSL_SESSION(3)
 */
export const d2i_SSL_SESSION = fn<(der: Uint8Array) => SSL_SESSION | null>('d2i_SSL_SESSION')

/**
 * Encodes a session in DER, master secret included: keep it safe. Returns null when the session has nothing to store
 * yet (no cipher).
 * @see i2d_SSL_SESSION(3)
 */
export const i2d_SSL_SESSION = fn<(session: SSL_SESSION) => Buffer | null>('i2d_SSL_SESSION')

/**
 * Reads a session in PEM from a BIO. Returns an owned session, or null with the reason on the queue.
 * @see PEM_read_bio_SSL_SESSION(3)
 */
export const PEM_read_bio_SSL_SESSION = fn<(bio: BIO) => SSL_SESSION | null>('PEM_read_bio_SSL_SESSION')

/**
 * Writes a session to a BIO in PEM, master secret included: keep it safe. Returns 1, or 0 on failure.
 * @see PEM_write_bio_SSL_SESSION(3)
 */
export const PEM_write_bio_SSL_SESSION = fn<(bio: BIO, session: SSL_SESSION) => number>('PEM_write_bio_SSL_SESSION')

/**
 * Writes a session to a BIO as text for people, master secret included. Returns 1, or 0 on failure.
 * @see SSL_SESSION_print(3)
 */
export const SSL_SESSION_print = fn<(bio: BIO, session: SSL_SESSION) => number>('SSL_SESSION_print')

/**
 * Writes a session's id and master secret to a BIO as a line of a key log. Returns 1, or 0 when it has none.
 * @see SSL_SESSION_print_keylog(3)
 */
export const SSL_SESSION_print_keylog = fn<(bio: BIO, session: SSL_SESSION) => number>('SSL_SESSION_print_keylog')

// Identity

/**
 * Returns the session id, at most `SSL_MAX_SSL_SESSION_ID_LENGTH` bytes and possibly empty. In TLS 1.3, and on clients
 * with a ticket, libssl makes it up.
 * @see SSL_SESSION_get_id(3)
 */
export const SSL_SESSION_get_id = fn<(session: SSL_SESSION) => Buffer>('SSL_SESSION_get_id')

/**
 * Sets the session id; not on a session that is in a cache, which would not find it any more. Returns 1, or 0 when it
 * is longer than `SSL_MAX_SSL_SESSION_ID_LENGTH`.
 * @see SSL_SESSION_set1_id(3)
 */
export const SSL_SESSION_set1_id = fn<(session: SSL_SESSION, id: Uint8Array) => number>('SSL_SESSION_set1_id')

/**
 * Returns the session id context that the session was made under, possibly empty.
 * @see SSL_SESSION_get0_id_context(3)
 */
export const SSL_SESSION_get0_id_context = fn<(session: SSL_SESSION) => Buffer>('SSL_SESSION_get0_id_context')

/**
 * Sets the session id context. Returns 1, or 0 when it is longer than `SSL_MAX_SID_CTX_LENGTH`.
 * @see SSL_SESSION_set1_id_context(3)
 */
export const SSL_SESSION_set1_id_context =
  fn<(session: SSL_SESSION, context: Uint8Array) => number>('SSL_SESSION_set1_id_context')

// Lifetime

/**
 * Returns when the session was made, in seconds since 1970.
 * @see SSL_SESSION_get_time(3)
 */
export const SSL_SESSION_get_time = fn<(session: SSL_SESSION) => number>('SSL_SESSION_get_time')

/**
 * Sets when the session was made, in seconds since 1970. Returns the time that was set.
 * @see SSL_SESSION_set_time(3)
 */
export const SSL_SESSION_set_time = fn<(session: SSL_SESSION, time: number) => number>('SSL_SESSION_set_time')

/**
 * `SSL_SESSION_get_time` with a `time_t` in C, which is good beyond 2038 everywhere. Seconds since 1970. Absent before 3.3.
 * @see SSL_SESSION_get_time(3)
 */
export const SSL_SESSION_get_time_ex = optional<(session: SSL_SESSION) => number>('SSL_SESSION_get_time_ex')

/**
 * `SSL_SESSION_set_time` with a `time_t` in C. Seconds since 1970; returns the time that was set. Absent before 3.3.
 * @see SSL_SESSION_set_time(3)
 */
export const SSL_SESSION_set_time_ex =
  optional<(session: SSL_SESSION, time: number) => number>('SSL_SESSION_set_time_ex')

/**
 * Returns how many seconds after its making the session expires.
 * @see SSL_SESSION_get_timeout(3)
 */
export const SSL_SESSION_get_timeout = fn<(session: SSL_SESSION) => number>('SSL_SESSION_get_timeout')

/**
 * Sets how many seconds after its making the session expires. Returns 1; 3.0 and later return 0 for a negative number.
 * @see SSL_SESSION_set_timeout(3)
 */
export const SSL_SESSION_set_timeout = fn<(session: SSL_SESSION, seconds: number) => number>('SSL_SESSION_set_timeout')

/**
 * Returns 1 when the session can be used for a resumption, 0 when it lacks what that takes or was declared not
 * resumable. Says nothing about its age.
 * @see SSL_SESSION_is_resumable(3)
 */
export const SSL_SESSION_is_resumable = fn<(session: SSL_SESSION) => number>('SSL_SESSION_is_resumable')

// What was negotiated

/**
 * Returns the protocol version, `TLS1_2_VERSION` and so on.
 * @see SSL_SESSION_get_protocol_version(3)
 */
export const SSL_SESSION_get_protocol_version = fn<(session: SSL_SESSION) => number>('SSL_SESSION_get_protocol_version')

/**
 * Sets the protocol version. Returns 1.
 * @see SSL_SESSION_set_protocol_version(3)
 */
export const SSL_SESSION_set_protocol_version = fn<(session: SSL_SESSION, version: number) => number>(
  'SSL_SESSION_set_protocol_version',
)

/**
 * Returns the cipher suite, or null when there is none.
 * @see SSL_SESSION_get0_cipher(3)
 */
export const SSL_SESSION_get0_cipher = fn<(session: SSL_SESSION) => SSL_CIPHER | null>('SSL_SESSION_get0_cipher')

/**
 * Sets the cipher suite. Returns 1.
 * @see SSL_SESSION_set_cipher(3)
 */
export const SSL_SESSION_set_cipher = fn<(session: SSL_SESSION, cipher: SSL_CIPHER) => number>('SSL_SESSION_set_cipher')

/**
 * Returns the host name that the client asked for and the server confirmed, or null.
 * @see SSL_SESSION_get0_hostname(3)
 */
export const SSL_SESSION_get0_hostname = fn<(session: SSL_SESSION) => string | null>('SSL_SESSION_get0_hostname')

/**
 * Sets the host name; null clears it. Returns 1, or 0 when memory is short.
 * @see SSL_SESSION_set1_hostname(3)
 */
export const SSL_SESSION_set1_hostname =
  fn<(session: SSL_SESSION, hostname: string | null) => number>('SSL_SESSION_set1_hostname')

/**
 * Returns the application protocol that was agreed on, empty when there was none.
 * @see SSL_SESSION_get0_alpn_selected(3)
 */
export const SSL_SESSION_get0_alpn_selected = fn<(session: SSL_SESSION) => Buffer>('SSL_SESSION_get0_alpn_selected')

/**
 * Sets the application protocol, one name without a length byte; empty clears it. Returns 1, or 0 when memory is
 * short.
 * @see SSL_SESSION_set1_alpn_selected(3)
 */
export const SSL_SESSION_set1_alpn_selected = fn<(session: SSL_SESSION, protocol: Uint8Array) => number>(
  'SSL_SESSION_set1_alpn_selected',
)

/**
 * Returns the code of the maximum fragment length that was agreed on, 1 to 4 for 512 to 4096 bytes; 0 for none.
 * @see SSL_SESSION_get_max_fragment_length(3)
 */
export const SSL_SESSION_get_max_fragment_length = fn<(session: SSL_SESSION) => number>(
  'SSL_SESSION_get_max_fragment_length',
)

/**
 * Returns the number of the compression method, 0 for none.
 * @see SSL_SESSION_get_compress_id(3)
 */
export const SSL_SESSION_get_compress_id = fn<(session: SSL_SESSION) => number>('SSL_SESSION_get_compress_id')

/**
 * Returns the peer's certificate, borrowed from the session, or null.
 * @see SSL_SESSION_get0_peer(3)
 */
export const SSL_SESSION_get0_peer = fn<(session: SSL_SESSION) => X509 | null>('SSL_SESSION_get0_peer')

/**
 * Returns the master secret (TLS 1.3: the resumption secret), empty when there is none yet. Keep it safe.
 * @see SSL_SESSION_get_master_key(3)
 */
export const SSL_SESSION_get_master_key = fn<(session: SSL_SESSION) => Buffer>('SSL_SESSION_get_master_key')

/**
 * Sets the master secret. Returns 1, or 0 when it is longer than libssl's buffer: 256 bytes in 1.1.1, 512 in 3.0.
 * @see SSL_SESSION_set1_master_key(3)
 */
export const SSL_SESSION_set1_master_key =
  fn<(session: SSL_SESSION, key: Uint8Array) => number>('SSL_SESSION_set1_master_key')

// Tickets and early data

/**
 * Returns 1 when the session came with a ticket, on a client, else 0.
 * @see SSL_SESSION_has_ticket(3)
 */
export const SSL_SESSION_has_ticket = fn<(session: SSL_SESSION) => number>('SSL_SESSION_has_ticket')

/**
 * Returns a copy of the ticket, empty when there is none.
 * @see SSL_SESSION_get0_ticket(3)
 */
export const SSL_SESSION_get0_ticket = fn<(session: SSL_SESSION) => Buffer>('SSL_SESSION_get0_ticket')

/**
 * Returns how many seconds the server promised to take the ticket, 0 when it did not say.
 * @see SSL_SESSION_get_ticket_lifetime_hint(3)
 */
export const SSL_SESSION_get_ticket_lifetime_hint = fn<(session: SSL_SESSION) => number>(
  'SSL_SESSION_get_ticket_lifetime_hint',
)

/**
 * Returns the application's own data in the session, empty when there is none.
 * @see SSL_SESSION_get0_ticket_appdata(3)
 */
export const SSL_SESSION_get0_ticket_appdata = fn<(session: SSL_SESSION) => Buffer>('SSL_SESSION_get0_ticket_appdata')

/**
 * Puts data of the application into the session; it travels inside stateless tickets and in the DER form. Empty clears
 * it. Returns 1, or 0 when memory is short.
 * @see SSL_SESSION_set1_ticket_appdata(3)
 */
export const SSL_SESSION_set1_ticket_appdata = fn<(session: SSL_SESSION, data: Uint8Array) => number>(
  'SSL_SESSION_set1_ticket_appdata',
)

/**
 * Returns how many bytes of early data may go with a resumption of this session; 0 for none.
 * @see SSL_SESSION_get_max_early_data(3)
 */
export const SSL_SESSION_get_max_early_data = fn<(session: SSL_SESSION) => number>('SSL_SESSION_get_max_early_data')

/**
 * Sets how many bytes of early data may go with a resumption; for sessions made by hand. Returns 1.
 * @see SSL_SESSION_set_max_early_data(3)
 */
export const SSL_SESSION_set_max_early_data = fn<(session: SSL_SESSION, bytes: number) => number>(
  'SSL_SESSION_set_max_early_data',
)
