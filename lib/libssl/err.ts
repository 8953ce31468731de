// The error queue of the calling thread, and questions about the library as a whole.

import { constant, fn, optionalConstant } from './bind.js'

/**
 * One entry of the error queue with all that OpenSSL noted about it.
 * @see ERR_get_error_all(3)
 */
export interface ErrorEntry {
  /** Packed library and reason; see `ERR_GET_LIB`, `ERR_GET_REASON` and `ERR_error_string`. */
  readonly code: number
  /** C source file that raised the error, as compiled into the library. */
  readonly file: string
  /** Line in that file. */
  readonly line: number
  /** C function that raised the error, or empty where OpenSSL does not know it. */
  readonly func: string
  /** Free text that goes with the error, or empty. */
  readonly data: string
  /** C's `ERR_TXT_*` bits about `data`. */
  readonly flags: number
}

/**
 * Removes the oldest error from the queue and returns its code; 0 when the queue is empty. Call it, or
 * `ERR_get_error_all`, after a function has returned its failure value, until it answers 0.
 * @see ERR_get_error(3)
 */
export const ERR_get_error = fn<() => number>('ERR_get_error')

/**
 * Returns the code of the oldest error and leaves it in the queue; 0 when the queue is empty.
 * @see ERR_peek_error(3)
 */
export const ERR_peek_error = fn<() => number>('ERR_peek_error')

/**
 * Returns the code of the newest error and leaves it in the queue; 0 when the queue is empty.
 * @see ERR_peek_last_error(3)
 */
export const ERR_peek_last_error = fn<() => number>('ERR_peek_last_error')

/**
 * Empties the queue. Call it before an I/O function whose result goes to `SSL_get_error`: a leftover error there would
 * be taken for one of that call.
 * @see ERR_clear_error(3)
 */
export const ERR_clear_error = fn<() => void>('ERR_clear_error')

/**
 * Removes the oldest error and returns everything known about it; null when the queue is empty. Named as in 3.0; works
 * on 1.1.1 too.
 * @see ERR_get_error_all(3)
 */
export const ERR_get_error_all = fn<() => ErrorEntry | null>('ERR_get_error_all')

/**
 * Returns the usual one-line form of an error code, `error:0A000086:SSL routines::certificate verify failed`. Unknown
 * codes are printed as numbers.
 * @see ERR_error_string(3)
 */
export const ERR_error_string = fn<(code: number) => string>('ERR_error_string')

/**
 * Returns the name of the library that an error code belongs to, or null when it has none.
 * @see ERR_lib_error_string(3)
 */
export const ERR_lib_error_string = fn<(code: number) => string | null>('ERR_lib_error_string')

/**
 * Returns the text of the reason in an error code, or null when it has none.
 * @see ERR_reason_error_string(3)
 */
export const ERR_reason_error_string = fn<(code: number) => string | null>('ERR_reason_error_string')

/**
 * Returns the library number in an error code: compare it with `ERR_LIB_SSL` before looking at the reason.
 * @see ERR_GET_LIB(3)
 */
export const ERR_GET_LIB = fn<(code: number) => number>('ERR_GET_LIB')

/**
 * Returns the reason number in an error code. Reasons are numbered separately in each library.
 * @see ERR_GET_REASON(3)
 */
export const ERR_GET_REASON = fn<(code: number) => number>('ERR_GET_REASON')

/**
 * Returns a text about the loaded library: `OPENSSL_VERSION`, `OPENSSL_PLATFORM`, `OPENSSL_DIR` and so on choose
 * which. An unknown `type` gives `not available`.
 * @see OpenSSL_version(3)
 */
export const OpenSSL_version = fn<(type: number) => string>('OpenSSL_version')

/**
 * Returns the version of the loaded library as one number, 0xMNNFFPPS: 0x1010117f is 1.1.1w, 0x30000130 is 3.0.19.
 * @see OpenSSL_version_num(3)
 */
export const OpenSSL_version_num = fn<() => number>('OpenSSL_version_num')

/**
 * Returns 1 when this platform can pause a handshake inside a callback, 0 when it cannot (musl, for one).
 * `runtime().asyncJobs` says whether this process does.
 * @see ASYNC_is_capable(3)
 */
export const ASYNC_is_capable = fn<() => number>('ASYNC_is_capable')

// What OpenSSL_version can be asked for

/** Name, version and date of the library. @see OpenSSL_version(3) */
export const OPENSSL_VERSION: number = constant('OPENSSL_VERSION')
/** The compiler's flags. @see OpenSSL_version(3) */
export const OPENSSL_CFLAGS: number = constant('OPENSSL_CFLAGS')
/** When it was built. @see OpenSSL_version(3) */
export const OPENSSL_BUILT_ON: number = constant('OPENSSL_BUILT_ON')
/** The platform it was built for. @see OpenSSL_version(3) */
export const OPENSSL_PLATFORM: number = constant('OPENSSL_PLATFORM')
/** The folder of its configuration. @see OpenSSL_version(3) */
export const OPENSSL_DIR: number = constant('OPENSSL_DIR')
/** The folder of its engines. @see OpenSSL_version(3) */
export const OPENSSL_ENGINES_DIR: number = constant('OPENSSL_ENGINES_DIR')
/** Its version as digits and dots. Since 3.0. @see OpenSSL_version(3) */
export const OPENSSL_VERSION_STRING: number | undefined = optionalConstant('OPENSSL_VERSION_STRING')
/** Its version with pre-release and build parts. Since 3.0. @see OpenSSL_version(3) */
export const OPENSSL_FULL_VERSION_STRING: number | undefined = optionalConstant('OPENSSL_FULL_VERSION_STRING')
/** The folder of its providers. Since 3.0. @see OpenSSL_version(3) */
export const OPENSSL_MODULES_DIR: number | undefined = optionalConstant('OPENSSL_MODULES_DIR')
/** What it found out about the processor. Since 3.0. @see OpenSSL_version(3) */
export const OPENSSL_CPU_INFO: number | undefined = optionalConstant('OPENSSL_CPU_INFO')
/** The registry key of its Windows build. Since 3.4. @see OpenSSL_version(3) */
export const OPENSSL_WINCTX: number | undefined = optionalConstant('OPENSSL_WINCTX')

// Libraries in error codes

/** The library number of errors raised by libssl. @see ERR_GET_LIB(3) */
export const ERR_LIB_SSL: number = constant('ERR_LIB_SSL')
