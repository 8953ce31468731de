// SSL_CTX as a cache of sessions: the cache and its callbacks, its counters, and tickets. Other settings are in
// ssl_ctx.ts.

import { fn, optional, type SSL, type SSL_CTX, type SSL_SESSION } from './bind.js'

// The cache

/**
 * Chooses, in `SSL_SESS_CACHE_*` bits, for which role sessions are cached and how. The default is
 * `SSL_SESS_CACHE_SERVER`. Returns the previous mode.
 * @see SSL_CTX_set_session_cache_mode(3)
 */
export const SSL_CTX_set_session_cache_mode = fn<(ctx: SSL_CTX, mode: number) => number>(
  'SSL_CTX_set_session_cache_mode',
)

/**
 * Returns the `SSL_SESS_CACHE_*` bits.
 * @see SSL_CTX_get_session_cache_mode(3)
 */
export const SSL_CTX_get_session_cache_mode = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_session_cache_mode')

/**
 * Sets how many sessions the internal cache holds, by default `SSL_SESSION_CACHE_MAX_SIZE_DEFAULT`; 0 is without
 * limit. A smaller size takes effect when the next session is added. Returns the previous size.
 * @see SSL_CTX_sess_set_cache_size(3)
 */
export const SSL_CTX_sess_set_cache_size = fn<(ctx: SSL_CTX, size: number) => number>('SSL_CTX_sess_set_cache_size')

/**
 * Returns how many sessions the internal cache may hold, 0 for no limit.
 * @see SSL_CTX_sess_get_cache_size(3)
 */
export const SSL_CTX_sess_get_cache_size = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_get_cache_size')

/**
 * Sets how many seconds sessions created from now on can be resumed; existing ones keep theirs. Also the lifetime hint
 * of tickets, which TLS 1.3 cuts at a week. The default is 7200, whatever the man page says. Returns the previous
 * value.
 * @see SSL_CTX_set_timeout(3)
 */
export const SSL_CTX_set_timeout = fn<(ctx: SSL_CTX, seconds: number) => number>('SSL_CTX_set_timeout')

/**
 * Returns the lifetime of new sessions in seconds.
 * @see SSL_CTX_get_timeout(3)
 */
export const SSL_CTX_get_timeout = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_timeout')

/**
 * Sets the name of the application or service that sessions belong to, at most `SSL_MAX_SID_CTX_LENGTH` bytes. A
 * server that asks for client certificates resumes nothing without one. Set it before the handshake. Returns 1, or 0
 * when it is too long.
 * @see SSL_CTX_set_session_id_context(3)
 */
export const SSL_CTX_set_session_id_context = fn<(ctx: SSL_CTX, context: Uint8Array) => number>(
  'SSL_CTX_set_session_id_context',
)

/**
 * Puts a session into the internal cache, which takes its own reference and replaces another session with the same id
 * without calling the remove callback. Returns 1, or 0 when this very object is there already. Throws
 * `ERR_WRONG_CONTEXT` for a session of another context: pass `SSL_SESSION_dup(session)`.
 * @see SSL_CTX_add_session(3)
 */
export const SSL_CTX_add_session = fn<(ctx: SSL_CTX, session: SSL_SESSION) => number>('SSL_CTX_add_session')

/**
 * Takes a session out of the internal cache, marks it as not resumable and calls the remove callback, even when it was
 * not cached. Returns 1, or 0 when it was not there.
 * @see SSL_CTX_remove_session(3)
 */
export const SSL_CTX_remove_session = fn<(ctx: SSL_CTX, session: SSL_SESSION) => number>('SSL_CTX_remove_session')

/**
 * Removes every session that has expired at the time `time`, in seconds since 1970, from the internal cache and calls
 * the remove callback for each; 0 removes all. libssl does it by itself every 255 connections unless
 * `SSL_SESS_CACHE_NO_AUTO_CLEAR` is set.
 * @see SSL_CTX_flush_sessions(3)
 */
export const SSL_CTX_flush_sessions = fn<(ctx: SSL_CTX, time: number) => void>('SSL_CTX_flush_sessions')

/**
 * `SSL_CTX_flush_sessions` with a `time_t` in C, seconds since 1970; 0 removes all. Absent before 3.4.
 * @see SSL_CTX_flush_sessions(3)
 */
export const SSL_CTX_flush_sessions_ex = optional<(ctx: SSL_CTX, time: number) => void>('SSL_CTX_flush_sessions_ex')

// The callbacks

/**
 * Called when a connection has a new session to cache: during the handshake in TLS 1.2, after it in TLS 1.3 and then
 * once for each ticket. On clients too, if the mode says so. 1 or true keeps the reference that comes with `session`,
 * to be given back later with `SSL_SESSION_free`; anything else gives it back now.
 * @see SSL_CTX_sess_set_new_cb(3)
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a callback without a return statement is a valid one
export type NewSessionCallback = (ssl: SSL, session: SSL_SESSION) => number | boolean | undefined | void

/**
 * Called when a session leaves the internal cache or is declared not resumable: it expired, was removed, was pushed
 * out of a full cache, its connection ended badly, or the context is freed. `session` is borrowed: it is dead after
 * the call unless `SSL_SESSION_up_ref` keeps it.
 * @see SSL_CTX_sess_set_remove_cb(3)
 */
export type RemoveSessionCallback = (ctx: SSL_CTX, session: SSL_SESSION) => void

/**
 * Called on a server when a client proposes the session `id` and the internal cache has not got it (TLS 1.3: stateful
 * tickets only, that is with `SSL_OP_NO_TICKET` or anti-replay on). Null is a full handshake. `copy.value` is 1 on
 * entry: OpenSSL takes its own reference, and yours stays yours to free; set it to 0 to hand your reference over. A
 * promise pauses the handshake: the call answers -1 with `SSL_ERROR_WANT_ASYNC`; call again after
 * `SSL_waiting_session(ssl)`.
 * @see SSL_CTX_sess_set_get_cb(3)
 */
export type GetSessionCallback = (
  ssl: SSL,
  id: Buffer,
  copy: { value: number },
) => GetSessionAnswer | Promise<GetSessionAnswer>

type GetSessionAnswer = SSL_SESSION | null | undefined

/**
 * Sets the function to be told of new sessions, or none with null. An exception in it comes out of the call that was
 * made.
 * @see SSL_CTX_sess_set_new_cb(3)
 */
export const SSL_CTX_sess_set_new_cb =
  fn<(ctx: SSL_CTX, callback: NewSessionCallback | null) => void>('SSL_CTX_sess_set_new_cb')

/**
 * Returns the function that was set, or null.
 * @see SSL_CTX_sess_get_new_cb(3)
 */
export const SSL_CTX_sess_get_new_cb = fn<(ctx: SSL_CTX) => NewSessionCallback | null>('SSL_CTX_sess_get_new_cb')

/**
 * Sets the function to be told of removed sessions, or none with null. OpenSSL's locks are released by the time it
 * runs: it may use the cache. Setting one makes TLS 1.3 servers fill the internal cache with the sessions of stateless
 * tickets too.
 * @see SSL_CTX_sess_set_remove_cb(3)
 */
export const SSL_CTX_sess_set_remove_cb =
  fn<(ctx: SSL_CTX, callback: RemoveSessionCallback | null) => void>('SSL_CTX_sess_set_remove_cb')

/**
 * Returns the function that was set, or null.
 * @see SSL_CTX_sess_get_remove_cb(3)
 */
export const SSL_CTX_sess_get_remove_cb =
  fn<(ctx: SSL_CTX) => RemoveSessionCallback | null>('SSL_CTX_sess_get_remove_cb')

/**
 * Sets the function that finds sessions in an external cache, or none with null. When it throws, rejects, or answers
 * something that is no usable session of this context, the lookup counts as a miss: the exception comes out of this or
 * the next I/O call on the connection, and calling again goes on with a full handshake.
 * @see SSL_CTX_sess_set_get_cb(3)
 */
export const SSL_CTX_sess_set_get_cb =
  fn<(ctx: SSL_CTX, callback: GetSessionCallback | null) => void>('SSL_CTX_sess_set_get_cb')

/**
 * Returns the function that was set, or null.
 * @see SSL_CTX_sess_get_get_cb(3)
 */
export const SSL_CTX_sess_get_get_cb = fn<(ctx: SSL_CTX) => GetSessionCallback | null>('SSL_CTX_sess_get_get_cb')

// The counters

/**
 * Returns how many sessions are in the internal cache now.
 * @see SSL_CTX_sess_number(3)
 */
export const SSL_CTX_sess_number = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_number')

/**
 * Returns how many handshakes were started as a client.
 * @see SSL_CTX_sess_connect(3)
 */
export const SSL_CTX_sess_connect = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_connect')

/**
 * Returns how many handshakes were completed as a client.
 * @see SSL_CTX_sess_connect_good(3)
 */
export const SSL_CTX_sess_connect_good = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_connect_good')

/**
 * Returns how many renegotiations were started as a client.
 * @see SSL_CTX_sess_connect_renegotiate(3)
 */
export const SSL_CTX_sess_connect_renegotiate = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_connect_renegotiate')

/**
 * Returns how many handshakes were started as a server.
 * @see SSL_CTX_sess_accept(3)
 */
export const SSL_CTX_sess_accept = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_accept')

/**
 * Returns how many handshakes were completed as a server.
 * @see SSL_CTX_sess_accept_good(3)
 */
export const SSL_CTX_sess_accept_good = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_accept_good')

/**
 * Returns how many renegotiations were started as a server.
 * @see SSL_CTX_sess_accept_renegotiate(3)
 */
export const SSL_CTX_sess_accept_renegotiate = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_accept_renegotiate')

/**
 * Returns how many sessions were resumed: as a client, of those set with `SSL_set_session`; as a server, of those
 * found in either cache.
 * @see SSL_CTX_sess_hits(3)
 */
export const SSL_CTX_sess_hits = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_hits')

/**
 * Returns how many sessions the get callback found.
 * @see SSL_CTX_sess_cb_hits(3)
 */
export const SSL_CTX_sess_cb_hits = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_cb_hits')

/**
 * Returns how many sessions that clients proposed were not in the internal cache; those the get callback then found
 * count too.
 * @see SSL_CTX_sess_misses(3)
 */
export const SSL_CTX_sess_misses = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_misses')

/**
 * Returns how many sessions that clients proposed were found, but had expired. They are no hits.
 * @see SSL_CTX_sess_timeouts(3)
 */
export const SSL_CTX_sess_timeouts = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_timeouts')

/**
 * Returns how many sessions were pushed out because the internal cache was full.
 * @see SSL_CTX_sess_cache_full(3)
 */
export const SSL_CTX_sess_cache_full = fn<(ctx: SSL_CTX) => number>('SSL_CTX_sess_cache_full')

// Tickets and early data

/**
 * Sets how many TLS 1.3 tickets, and so sessions, a server sends after a full handshake: 2 by default, 0 for none.
 * After a resumption it is one at most. Returns 1.
 * @see SSL_CTX_set_num_tickets(3)
 */
export const SSL_CTX_set_num_tickets = fn<(ctx: SSL_CTX, count: number) => number>('SSL_CTX_set_num_tickets')

/**
 * Returns how many TLS 1.3 tickets a server sends after a full handshake.
 * @see SSL_CTX_get_num_tickets(3)
 */
export const SSL_CTX_get_num_tickets = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_num_tickets')

/**
 * Sets the keys that seal stateless tickets: 80 bytes, of which the first 16 name the key. Servers that share them
 * resume each other's sessions. Returns 1, or 0 for another length.
 * @see SSL_CTX_set_tlsext_ticket_key_cb(3)
 */
export const SSL_CTX_set_tlsext_ticket_keys = fn<(ctx: SSL_CTX, keys: Uint8Array) => number>(
  'SSL_CTX_set_tlsext_ticket_keys',
)

/**
 * Returns the keys that seal stateless tickets, random ones unless they were set; null on failure. Keep them secret.
 * @see SSL_CTX_set_tlsext_ticket_key_cb(3)
 */
export const SSL_CTX_get_tlsext_ticket_keys = fn<(ctx: SSL_CTX) => Buffer | null>('SSL_CTX_get_tlsext_ticket_keys')

/**
 * Sets how many bytes of early data a server lets clients send when they resume one of its sessions; 0, the default,
 * is none. Anything else makes tickets stateful and single use, unless `SSL_OP_NO_ANTI_REPLAY` is set. Returns 1.
 * @see SSL_CTX_set_max_early_data(3)
 */
export const SSL_CTX_set_max_early_data = fn<(ctx: SSL_CTX, bytes: number) => number>('SSL_CTX_set_max_early_data')

/**
 * Returns how many bytes of early data a server announces.
 * @see SSL_CTX_get_max_early_data(3)
 */
export const SSL_CTX_get_max_early_data = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_max_early_data')

/**
 * Sets how many bytes of early data a server takes or skips before it gives up on a connection; 16384 by default. Not
 * below what was announced lately with `SSL_CTX_set_max_early_data`. Returns 1.
 * @see SSL_CTX_set_recv_max_early_data(3)
 */
export const SSL_CTX_set_recv_max_early_data = fn<(ctx: SSL_CTX, bytes: number) => number>(
  'SSL_CTX_set_recv_max_early_data',
)

/**
 * Returns how many bytes of early data a server takes or skips.
 * @see SSL_CTX_get_recv_max_early_data(3)
 */
export const SSL_CTX_get_recv_max_early_data = fn<(ctx: SSL_CTX) => number>('SSL_CTX_get_recv_max_early_data')
