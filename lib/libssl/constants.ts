// Numbers that the functions of SSL_CTX, SSL and SSL_SESSION take and return. Options are in options.ts, results of
// verification in x509_errors.ts.

import { constant, optionalConstant } from './bind.js'

// Session cache modes

/** No sessions are cached, and the new callback is not called. @see SSL_CTX_set_session_cache_mode(3) */
export const SSL_SESS_CACHE_OFF: number = constant('SSL_SESS_CACHE_OFF')
/** Sessions of client connections are cached and given to the new callback. @see SSL_CTX_set_session_cache_mode(3) */
export const SSL_SESS_CACHE_CLIENT: number = constant('SSL_SESS_CACHE_CLIENT')
/**
 * Sessions of server connections are cached, given to the new callback and looked up. The default.
 * @see SSL_CTX_set_session_cache_mode(3)
 */
export const SSL_SESS_CACHE_SERVER: number = constant('SSL_SESS_CACHE_SERVER')
/** Both of the above. @see SSL_CTX_set_session_cache_mode(3) */
export const SSL_SESS_CACHE_BOTH: number = constant('SSL_SESS_CACHE_BOTH')
/**
 * Expired sessions stay in the internal cache until `SSL_CTX_flush_sessions` is called.
 * @see SSL_CTX_set_session_cache_mode(3)
 */
export const SSL_SESS_CACHE_NO_AUTO_CLEAR: number = constant('SSL_SESS_CACHE_NO_AUTO_CLEAR')
/** Servers ask the get callback only, not the internal cache. @see SSL_CTX_set_session_cache_mode(3) */
export const SSL_SESS_CACHE_NO_INTERNAL_LOOKUP: number = constant('SSL_SESS_CACHE_NO_INTERNAL_LOOKUP')
/**
 * Sessions go to the new callback only, not into the internal cache; `SSL_CTX_add_session` still adds.
 * @see SSL_CTX_set_session_cache_mode(3)
 */
export const SSL_SESS_CACHE_NO_INTERNAL_STORE: number = constant('SSL_SESS_CACHE_NO_INTERNAL_STORE')
/** Both of the above: the internal cache is out of the game. @see SSL_CTX_set_session_cache_mode(3) */
export const SSL_SESS_CACHE_NO_INTERNAL: number = constant('SSL_SESS_CACHE_NO_INTERNAL')
/**
 * A resumed session's time starts anew, so that its timeout counts from the last use. Since 3.0.
 * @see SSL_CTX_set_session_cache_mode(3)
 */
export const SSL_SESS_CACHE_UPDATE_TIME: number | undefined = optionalConstant('SSL_SESS_CACHE_UPDATE_TIME')
/** How many sessions the internal cache holds unless told otherwise. @see SSL_CTX_sess_set_cache_size(3) */
export const SSL_SESSION_CACHE_MAX_SIZE_DEFAULT: number = constant('SSL_SESSION_CACHE_MAX_SIZE_DEFAULT')
/** The longest session id, in bytes. @see SSL_SESSION_set1_id(3) */
export const SSL_MAX_SSL_SESSION_ID_LENGTH: number = constant('SSL_MAX_SSL_SESSION_ID_LENGTH')
/** The longest session id context, in bytes. @see SSL_CTX_set_session_id_context(3) */
export const SSL_MAX_SID_CTX_LENGTH: number = constant('SSL_MAX_SID_CTX_LENGTH')

// Results of SSL_get_error

/** The call did its work. @see SSL_get_error(3) */
export const SSL_ERROR_NONE: number = constant('SSL_ERROR_NONE')
/**
 * A fatal error, usually of the protocol; the error queue tells which. Nothing more can be done on the connection.
 * @see SSL_get_error(3)
 */
export const SSL_ERROR_SSL: number = constant('SSL_ERROR_SSL')
/** Call again when more bytes have come from the peer. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_READ: number = constant('SSL_ERROR_WANT_READ')
/** Call again when the BIO can take bytes. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_WRITE: number = constant('SSL_ERROR_WANT_WRITE')
/**
 * The cert callback answered with a promise: call again once `SSL_waiting_session` has resolved.
 * @see SSL_get_error(3)
 */
export const SSL_ERROR_WANT_X509_LOOKUP: number = constant('SSL_ERROR_WANT_X509_LOOKUP')
/**
 * The BIO failed, or ended without warning (before 3.0). Nothing more can be done on the connection.
 * @see SSL_get_error(3)
 */
export const SSL_ERROR_SYSCALL: number = constant('SSL_ERROR_SYSCALL')
/** The peer has closed its side cleanly. @see SSL_get_error(3) */
export const SSL_ERROR_ZERO_RETURN: number = constant('SSL_ERROR_ZERO_RETURN')
/** The BIO is not connected yet. Never with memory BIOs. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_CONNECT: number = constant('SSL_ERROR_WANT_CONNECT')
/** The BIO has not accepted yet. Never with memory BIOs. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_ACCEPT: number = constant('SSL_ERROR_WANT_ACCEPT')
/**
 * The get callback answered with a promise: call again once `SSL_waiting_session` has resolved.
 * @see SSL_get_error(3)
 */
export const SSL_ERROR_WANT_ASYNC: number = constant('SSL_ERROR_WANT_ASYNC')
/** No async job was free: call again when another connection has ended its wait. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_ASYNC_JOB: number = constant('SSL_ERROR_WANT_ASYNC_JOB')
/** A client hello callback asked to be called again. This package sets none. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_CLIENT_HELLO_CB: number = constant('SSL_ERROR_WANT_CLIENT_HELLO_CB')
/** A verify callback asked to be called again. This package sets none. Since 3.0. @see SSL_get_error(3) */
export const SSL_ERROR_WANT_RETRY_VERIFY: number | undefined = optionalConstant('SSL_ERROR_WANT_RETRY_VERIFY')

// Results of SSL_want

/** The connection waits for nothing. @see SSL_want(3) */
export const SSL_NOTHING: number = constant('SSL_NOTHING')
/** It waits for the BIO to take bytes. @see SSL_want(3) */
export const SSL_WRITING: number = constant('SSL_WRITING')
/** It waits for bytes from the peer. @see SSL_want(3) */
export const SSL_READING: number = constant('SSL_READING')
/** It waits for the cert callback. @see SSL_want(3) */
export const SSL_X509_LOOKUP: number = constant('SSL_X509_LOOKUP')
/** It waits for the get callback. @see SSL_want(3) */
export const SSL_ASYNC_PAUSED: number = constant('SSL_ASYNC_PAUSED')
/** It waits for a free async job. @see SSL_want(3) */
export const SSL_ASYNC_NO_JOBS: number = constant('SSL_ASYNC_NO_JOBS')
/** It waits for a client hello callback. @see SSL_want(3) */
export const SSL_CLIENT_HELLO_CB: number = constant('SSL_CLIENT_HELLO_CB')
/** It waits for a verify callback. Since 3.0. @see SSL_want(3) */
export const SSL_RETRY_VERIFY: number | undefined = optionalConstant('SSL_RETRY_VERIFY')

// Shutdown

/** We have sent close_notify. @see SSL_set_shutdown(3) */
export const SSL_SENT_SHUTDOWN: number = constant('SSL_SENT_SHUTDOWN')
/** The peer has sent close_notify. @see SSL_set_shutdown(3) */
export const SSL_RECEIVED_SHUTDOWN: number = constant('SSL_RECEIVED_SHUTDOWN')

// Verification

/** A server asks for no certificate; a client goes on whatever the server's is worth. @see SSL_CTX_set_verify(3) */
export const SSL_VERIFY_NONE: number = constant('SSL_VERIFY_NONE')
/** A server asks for a certificate; in both roles a bad one fails the handshake. @see SSL_CTX_set_verify(3) */
export const SSL_VERIFY_PEER: number = constant('SSL_VERIFY_PEER')
/**
 * With `SSL_VERIFY_PEER`, on a server: a client without a certificate fails the handshake.
 * @see SSL_CTX_set_verify(3)
 */
export const SSL_VERIFY_FAIL_IF_NO_PEER_CERT: number = constant('SSL_VERIFY_FAIL_IF_NO_PEER_CERT')
/** With `SSL_VERIFY_PEER`, on a server: renegotiations do not ask again. @see SSL_CTX_set_verify(3) */
export const SSL_VERIFY_CLIENT_ONCE: number = constant('SSL_VERIFY_CLIENT_ONCE')
/**
 * With `SSL_VERIFY_PEER`, on a TLS 1.3 server: the handshake does not ask, a later request may.
 * @see SSL_CTX_set_verify(3)
 */
export const SSL_VERIFY_POST_HANDSHAKE: number = constant('SSL_VERIFY_POST_HANDSHAKE')

// Protocol versions

/** SSL 3.0: broken, and missing from most builds of libssl. @see SSL_CTX_set_min_proto_version(3) */
export const SSL3_VERSION: number = constant('SSL3_VERSION')
/** The protocol TLS 1.0. @see SSL_CTX_set_min_proto_version(3) */
export const TLS1_VERSION: number = constant('TLS1_VERSION')
/** The protocol TLS 1.1. @see SSL_CTX_set_min_proto_version(3) */
export const TLS1_1_VERSION: number = constant('TLS1_1_VERSION')
/** The protocol TLS 1.2. @see SSL_CTX_set_min_proto_version(3) */
export const TLS1_2_VERSION: number = constant('TLS1_2_VERSION')
/** The protocol TLS 1.3. @see SSL_CTX_set_min_proto_version(3) */
export const TLS1_3_VERSION: number = constant('TLS1_3_VERSION')

// File types

/** PEM, text. @see SSL_CTX_use_certificate_file(3) */
export const SSL_FILETYPE_PEM: number = constant('SSL_FILETYPE_PEM')
/** DER, binary. @see SSL_CTX_use_certificate_file(3) */
export const SSL_FILETYPE_ASN1: number = constant('SSL_FILETYPE_ASN1')

// Early data and key updates

/** No early data was sent. @see SSL_read_early_data(3) */
export const SSL_EARLY_DATA_NOT_SENT: number = constant('SSL_EARLY_DATA_NOT_SENT')
/** The server did not take the early data. @see SSL_read_early_data(3) */
export const SSL_EARLY_DATA_REJECTED: number = constant('SSL_EARLY_DATA_REJECTED')
/** The server took the early data. @see SSL_read_early_data(3) */
export const SSL_EARLY_DATA_ACCEPTED: number = constant('SSL_EARLY_DATA_ACCEPTED')
/** Reading failed or is not finished: ask `SSL_get_error`. @see SSL_read_early_data(3) */
export const SSL_READ_EARLY_DATA_ERROR: number = constant('SSL_READ_EARLY_DATA_ERROR')
/** Data was read, and there may be more. @see SSL_read_early_data(3) */
export const SSL_READ_EARLY_DATA_SUCCESS: number = constant('SSL_READ_EARLY_DATA_SUCCESS')
/** There is no more early data: go on with the handshake. @see SSL_read_early_data(3) */
export const SSL_READ_EARLY_DATA_FINISH: number = constant('SSL_READ_EARLY_DATA_FINISH')
/** No key update is pending. @see SSL_key_update(3) */
export const SSL_KEY_UPDATE_NONE: number = constant('SSL_KEY_UPDATE_NONE')
/** Update our keys only. @see SSL_key_update(3) */
export const SSL_KEY_UPDATE_NOT_REQUESTED: number = constant('SSL_KEY_UPDATE_NOT_REQUESTED')
/** Update our keys and ask the peer to do the same. @see SSL_key_update(3) */
export const SSL_KEY_UPDATE_REQUESTED: number = constant('SSL_KEY_UPDATE_REQUESTED')
/** The only kind of name in SNI: a host name. @see SSL_get_servername(3) */
export const TLSEXT_NAMETYPE_host_name: number = constant('TLSEXT_NAMETYPE_host_name')

// Ticket states of C's ticket callbacks

/** Memory was short while a ticket was opened. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_FATAL_ERR_MALLOC: number = constant('SSL_TICKET_FATAL_ERR_MALLOC')
/** Something else failed while a ticket was opened. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_FATAL_ERR_OTHER: number = constant('SSL_TICKET_FATAL_ERR_OTHER')
/** The client sent no ticket extension. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_NONE: number = constant('SSL_TICKET_NONE')
/** The client sent an empty ticket: it takes tickets but has none. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_EMPTY: number = constant('SSL_TICKET_EMPTY')
/** The ticket could not be opened. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_NO_DECRYPT: number = constant('SSL_TICKET_NO_DECRYPT')
/** The ticket was opened. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_SUCCESS: number = constant('SSL_TICKET_SUCCESS')
/** The ticket was opened and should be replaced. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_SUCCESS_RENEW: number = constant('SSL_TICKET_SUCCESS_RENEW')
/** Answer: give up the handshake. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_RETURN_ABORT: number = constant('SSL_TICKET_RETURN_ABORT')
/** Answer: full handshake, no new ticket. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_RETURN_IGNORE: number = constant('SSL_TICKET_RETURN_IGNORE')
/** Answer: full handshake and a new ticket. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_RETURN_IGNORE_RENEW: number = constant('SSL_TICKET_RETURN_IGNORE_RENEW')
/** Answer: resume. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_RETURN_USE: number = constant('SSL_TICKET_RETURN_USE')
/** Answer: resume and send a new ticket. @see SSL_CTX_set_session_ticket_cb(3) */
export const SSL_TICKET_RETURN_USE_RENEW: number = constant('SSL_TICKET_RETURN_USE_RENEW')

// Modes

/** `SSL_write` may return after one record instead of after all bytes. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_ENABLE_PARTIAL_WRITE: number = constant('SSL_MODE_ENABLE_PARTIAL_WRITE')
/**
 * A repeated `SSL_write` may bring its bytes in another buffer. This package always sets it: it copies.
 * @see SSL_CTX_set_mode(3)
 */
export const SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER: number = constant('SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER')
/**
 * A read goes on after records that carry no data, as handshake messages do. The default since 1.1.1.
 * @see SSL_CTX_set_mode(3)
 */
export const SSL_MODE_AUTO_RETRY: number = constant('SSL_MODE_AUTO_RETRY')
/** Only the chain that was set is sent; none is built from the trusted certificates. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_NO_AUTO_CHAIN: number = constant('SSL_MODE_NO_AUTO_CHAIN')
/** Idle connections give their buffers back, about 34 KiB each. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_RELEASE_BUFFERS: number = constant('SSL_MODE_RELEASE_BUFFERS')
/** Clients put the time into their random bytes. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_SEND_CLIENTHELLO_TIME: number = constant('SSL_MODE_SEND_CLIENTHELLO_TIME')
/** Servers put the time into their random bytes. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_SEND_SERVERHELLO_TIME: number = constant('SSL_MODE_SEND_SERVERHELLO_TIME')
/** Clients say that they retry with a lower version. Only for such retries. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_SEND_FALLBACK_SCSV: number = constant('SSL_MODE_SEND_FALLBACK_SCSV')
/**
 * I/O calls run as async jobs, so that a callback can pause them. This package sets it where it needs it.
 * @see SSL_CTX_set_mode(3)
 */
export const SSL_MODE_ASYNC: number = constant('SSL_MODE_ASYNC')
/** Speaks to old OpenSSL over SCTP. @see SSL_CTX_set_mode(3) */
export const SSL_MODE_DTLS_SCTP_LABEL_LENGTH_BUG: number = constant('SSL_MODE_DTLS_SCTP_LABEL_LENGTH_BUG')
