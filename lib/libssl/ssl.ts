// SSL as a connection that works: lifetime, BIOs, handshake, reading, writing, closing. Settings and questions are in
// ssl_state.ts.
//
// Functions that do I/O may pause for a session lookup; then they answer -1, SSL_get_error gives SSL_ERROR_WANT_ASYNC,
// and the same call is to be made again once SSL_waiting_session has resolved.

import { type BIO, fn, optional, type SSL, type SSL_CTX } from './bind.js'

/**
 * Creates a connection with the settings of a context, of which it takes a reference; to be freed with `SSL_free`.
 * Returns null on failure.
 * @see SSL_new(3)
 */
export const SSL_new = fn<(ctx: SSL_CTX) => SSL | null>('SSL_new')

/**
 * Frees a connection, its BIOs and its hold on its session. A session whose connection was not shut down stays
 * resumable only if nothing went wrong on it. A paused lookup is cancelled first. Null is ignored.
 * @see SSL_free(3)
 */
export const SSL_free = fn<(ssl: SSL | null) => void>('SSL_free')

/**
 * Makes a connection ready for another one with the same role, settings and session; BIOs stay. Without a shutdown
 * before it, the session is removed from the cache. Cancels a paused lookup. Returns 1, or 0 on failure. Throws
 * `ERR_SSL_BUSY` inside a call on this connection.
 * @see SSL_clear(3)
 */
export const SSL_clear = fn<(ssl: SSL) => number>('SSL_clear')

/**
 * Connects a connection to what it reads from and writes to, and takes over one owned reference of each BIO (one, when
 * both are the same). BIOs that were set before are freed.
 * @see SSL_set_bio(3)
 */
export const SSL_set_bio = fn<(ssl: SSL, rbio: BIO | null, wbio: BIO | null) => void>('SSL_set_bio')

/**
 * Returns the BIO that the connection reads from, borrowed, or null.
 * @see SSL_get_rbio(3)
 */
export const SSL_get_rbio = fn<(ssl: SSL) => BIO | null>('SSL_get_rbio')

/**
 * Returns the BIO that the connection writes to, borrowed, or null.
 * @see SSL_get_wbio(3)
 */
export const SSL_get_wbio = fn<(ssl: SSL) => BIO | null>('SSL_get_wbio')

/**
 * Returns the context of the connection, borrowed from it.
 * @see SSL_get_SSL_CTX(3)
 */
export const SSL_get_SSL_CTX = fn<(ssl: SSL) => SSL_CTX | null>('SSL_get_SSL_CTX')

/**
 * Gives the connection the certificates of another context, as a server does once it knows the name the client asks
 * for. The session cache stays that of the first context. Call it from the cert callback. Returns the context now in
 * use, borrowed, or null on failure.
 * @see SSL_get_SSL_CTX(3)
 */
export const SSL_set_SSL_CTX = fn<(ssl: SSL, ctx: SSL_CTX) => SSL_CTX | null>('SSL_set_SSL_CTX')

// The handshake

/**
 * Makes the connection a server; the handshake comes with `SSL_do_handshake` or the first read or write.
 * @see SSL_set_accept_state(3)
 */
export const SSL_set_accept_state = fn<(ssl: SSL) => void>('SSL_set_accept_state')

/**
 * Makes the connection a client; the handshake comes with `SSL_do_handshake` or the first read or write.
 * @see SSL_set_connect_state(3)
 */
export const SSL_set_connect_state = fn<(ssl: SSL) => void>('SSL_set_connect_state')

/**
 * Takes the handshake as far as the bytes at hand allow. Returns 1 when it is complete; 0 or less when not, and then
 * `SSL_get_error` says whether to come back with more bytes.
 * @see SSL_do_handshake(3)
 */
export const SSL_do_handshake = fn<(ssl: SSL) => number>('SSL_do_handshake')

/**
 * As `SSL_set_accept_state` and `SSL_do_handshake`.
 * @see SSL_accept(3)
 */
export const SSL_accept = fn<(ssl: SSL) => number>('SSL_accept')

/**
 * As `SSL_set_connect_state` and `SSL_do_handshake`.
 * @see SSL_connect(3)
 */
export const SSL_connect = fn<(ssl: SSL) => number>('SSL_connect')

/**
 * Asks for a renegotiation, TLS 1.2 and below; the next I/O does it. Returns 1, or 0 when the protocol or the options
 * forbid it.
 * @see SSL_renegotiate(3)
 */
export const SSL_renegotiate = fn<(ssl: SSL) => number>('SSL_renegotiate')

/**
 * Asks for new traffic keys, TLS 1.3 only, after the handshake; the next I/O does it. `type` is
 * `SSL_KEY_UPDATE_REQUESTED` to make the peer follow, or `SSL_KEY_UPDATE_NOT_REQUESTED`. Returns 1, or 0 with the
 * reason on the queue.
 * @see SSL_key_update(3)
 */
export const SSL_key_update = fn<(ssl: SSL, type: number) => number>('SSL_key_update')

/**
 * Asks for one more TLS 1.3 ticket, on a server after the handshake; the next write or `SSL_do_handshake` sends it and
 * calls the new callback. Returns 1, or 0 when the connection is none that could. Absent before 3.0.
 * @see SSL_new_session_ticket(3)
 */
export const SSL_new_session_ticket = optional<(ssl: SSL) => number>('SSL_new_session_ticket')

/**
 * Returns 1 while an I/O call on the connection is paused, waiting for a session lookup, else 0.
 * @see SSL_waiting_for_async(3)
 */
export const SSL_waiting_for_async = fn<(ssl: SSL) => number>('SSL_waiting_for_async')

/**
 * Resolves when it makes sense to repeat a call that a get or cert callback has paused: the answer is there, or the
 * wait was cancelled, or there was none. It never rejects; a bad answer shows in the repeated call. An addition of
 * this package.
 * @see SSL_waiting_for_async(3)
 */
export const SSL_waiting_session = fn<(ssl: SSL) => Promise<void>>('SSL_waiting_session')

// Reading and writing

/**
 * Fills `buffer` with decrypted data, doing the handshake first if need be. Returns the number of bytes, at most those
 * of one record (16384); 0 or less when there was nothing to give, and then `SSL_get_error` tells why. A read that was
 * paused has to be repeated with a buffer at least as long, or throws `ERR_OUT_OF_RANGE`.
 * @see SSL_read(3)
 */
export const SSL_read = fn<(ssl: SSL, buffer: Uint8Array) => number>('SSL_read')

/**
 * As `SSL_read`, and the data can be read again.
 * @see SSL_peek(3)
 */
export const SSL_peek = fn<(ssl: SSL, buffer: Uint8Array) => number>('SSL_peek')

/**
 * Encrypts and writes `bytes`, doing the handshake first if need be. Returns the number of bytes taken; 0 or less when
 * none were, and then `SSL_get_error` tells why. A call that was told to come back must come back with the same bytes.
 * @see SSL_write(3)
 */
export const SSL_write = fn<(ssl: SSL, bytes: Uint8Array) => number>('SSL_write')

/**
 * Returns the number of decrypted bytes ready to be read without touching the BIO.
 * @see SSL_pending(3)
 */
export const SSL_pending = fn<(ssl: SSL) => number>('SSL_pending')

/**
 * Returns 1 when the connection holds bytes, decrypted or not, that a read would look at, else 0.
 * @see SSL_has_pending(3)
 */
export const SSL_has_pending = fn<(ssl: SSL) => number>('SSL_has_pending')

/**
 * Tells what the result `ret` of the I/O call just made on this connection means: an `SSL_ERROR_*` number. Looks at
 * the error queue too: call it at once, and `ERR_clear_error` before the I/O.
 * @see SSL_get_error(3)
 */
export const SSL_get_error = fn<(ssl: SSL, ret: number) => number>('SSL_get_error')

/**
 * Returns what the connection waits for, `SSL_NOTHING`, `SSL_READING`, `SSL_ASYNC_PAUSED` and so on, without looking
 * at the error queue.
 * @see SSL_want(3)
 */
export const SSL_want = fn<(ssl: SSL) => number>('SSL_want')

// Closing

/**
 * Sends close_notify. Returns 0 when the peer's has not come yet (read until it does, or call again), 1 when both
 * sides are closed, less than 0 when `SSL_get_error` has to tell. Not to be called after `SSL_ERROR_SSL` or
 * `SSL_ERROR_SYSCALL`.
 * @see SSL_shutdown(3)
 */
export const SSL_shutdown = fn<(ssl: SSL) => number>('SSL_shutdown')

/**
 * Declares which sides have closed, in `SSL_SENT_SHUTDOWN` and `SSL_RECEIVED_SHUTDOWN` bits, without sending anything:
 * it saves the session of a connection that ended by other means.
 * @see SSL_set_shutdown(3)
 */
export const SSL_set_shutdown = fn<(ssl: SSL, mode: number) => void>('SSL_set_shutdown')

/**
 * Returns which sides have closed, in `SSL_SENT_SHUTDOWN` and `SSL_RECEIVED_SHUTDOWN` bits.
 * @see SSL_get_shutdown(3)
 */
export const SSL_get_shutdown = fn<(ssl: SSL) => number>('SSL_get_shutdown')

/**
 * 1 makes the shutdown of this connection quiet: nothing is sent or awaited. 0 undoes it.
 * @see SSL_set_quiet_shutdown(3)
 */
export const SSL_set_quiet_shutdown = fn<(ssl: SSL, mode: number) => void>('SSL_set_quiet_shutdown')

/**
 * Returns 1 when the shutdown of this connection is quiet, else 0.
 * @see SSL_get_quiet_shutdown(3)
 */
export const SSL_get_quiet_shutdown = fn<(ssl: SSL) => number>('SSL_get_quiet_shutdown')

// Early data

/**
 * The outcome of `SSL_read_early_data`.
 * @see SSL_read_early_data(3)
 */
export interface EarlyDataRead {
  /** `SSL_READ_EARLY_DATA_ERROR`, `SSL_READ_EARLY_DATA_SUCCESS` or `SSL_READ_EARLY_DATA_FINISH`. */
  readonly status: number
  /** How many bytes of the buffer were filled. */
  readonly bytes: number
}

/**
 * Fills `buffer` with data that a TLS 1.3 client sent before the handshake was complete. Servers only, from their
 * first call on and until the status is `SSL_READ_EARLY_DATA_FINISH`; then `SSL_do_handshake`. Early data can be
 * replayed: act on it only if that does no harm.
 * @see SSL_read_early_data(3)
 */
export const SSL_read_early_data = fn<(ssl: SSL, buffer: Uint8Array) => EarlyDataRead>('SSL_read_early_data')

/**
 * The outcome of `SSL_write_early_data`.
 * @see SSL_write_early_data(3)
 */
export interface EarlyDataWritten {
  /** 1, or 0 when `SSL_get_error` has to tell. */
  readonly ok: number
  /** How many bytes were taken. */
  readonly written: number
}

/**
 * Sends data before the handshake is complete: as a client, as its first call, with a session set whose
 * `SSL_SESSION_get_max_early_data` allows it; as a server, to a client that is not authenticated yet.
 * @see SSL_write_early_data(3)
 */
export const SSL_write_early_data = fn<(ssl: SSL, bytes: Uint8Array) => EarlyDataWritten>('SSL_write_early_data')

/**
 * After the handshake: returns `SSL_EARLY_DATA_ACCEPTED`, `SSL_EARLY_DATA_REJECTED` (send it again) or
 * `SSL_EARLY_DATA_NOT_SENT`.
 * @see SSL_get_early_data_status(3)
 */
export const SSL_get_early_data_status = fn<(ssl: SSL) => number>('SSL_get_early_data_status')

/**
 * Sets how many bytes of early data this server connection's tickets announce. Returns 1.
 * @see SSL_set_max_early_data(3)
 */
export const SSL_set_max_early_data = fn<(ssl: SSL, bytes: number) => number>('SSL_set_max_early_data')

/**
 * Returns how many bytes of early data this server connection's tickets announce.
 * @see SSL_get_max_early_data(3)
 */
export const SSL_get_max_early_data = fn<(ssl: SSL) => number>('SSL_get_max_early_data')
