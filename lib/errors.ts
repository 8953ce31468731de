// The errors of the node:tls-shaped layer: OpenSSL's error queue, verification results and misuse, each with the
// `code` that node:tls gives it. Nothing here knows a connection; the binding's own errors are made natively.

import * as libssl from './libssl.js'

/**
 * An error out of OpenSSL's error queue, shaped as node:tls shapes it.
 * @see ERR_get_error(3)
 */
export interface OpenSSLError extends Error {
  /** `ERR_SSL_` and the reason in capitals, such as `ERR_SSL_WRONG_VERSION_NUMBER`; `ERR_OSSL_…` for libcrypto's. */
  code: string
  /** OpenSSL's name for the library that raised the error, such as `SSL routines`. */
  library?: string
  /** OpenSSL's text for the reason, such as `wrong version number`. */
  reason?: string
  /** What else was on the queue, oldest first. Absent when there was one error only. */
  opensslErrorStack?: string[]
}

/**
 * Makes an Error with a `code` and whatever other properties it should carry.
 */
export function codedError<P extends object>(
  code: string,
  message: string,
  properties?: P,
): Error & { code: string } & P {
  return Object.assign(new Error(message), { code }, properties) as Error & { code: string } & P
}

/** A `TypeError` about an argument that is of the wrong type, with Node's code for it. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const received = value === null || value === undefined ? String(value) : `type ${typeof value}`
  const message = `The "${name}" property or argument must be ${expected}. Received ${received}`
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' })
}

/** A `TypeError` about an argument whose type is right and whose value is not, with Node's code for it. */
export function invalidValue(name: string, problem: string): TypeError {
  return Object.assign(new TypeError(`"${name}" ${problem}`), { code: 'ERR_INVALID_ARG_VALUE' })
}

/** A `RangeError` about a number, or a length, with Node's code for it. */
export function outOfRange(name: string, range: string, value: unknown): RangeError {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${String(value)}`
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' })
}

// The libcrypto libraries that node names in its codes, by ERR_LIB_* number; these never change.
const libraries = new Map([
  [2, 'SYS'],
  [3, 'BN'],
  [4, 'RSA'],
  [5, 'DH'],
  [6, 'EVP'],
  [7, 'BUF'],
  [8, 'OBJ'],
  [9, 'PEM'],
  [10, 'DSA'],
  [11, 'X509'],
  [13, 'ASN1'],
  [14, 'CONF'],
  [15, 'CRYPTO'],
  [16, 'EC'],
  [32, 'BIO'],
  [33, 'PKCS7'],
  [34, 'X509V3'],
  [35, 'PKCS12'],
  [36, 'RAND'],
  [37, 'DSO'],
  [44, 'OSSL_STORE'],
])

function queueCode(error: number, reason: string): string {
  const name = reason.replaceAll(' ', '_').toUpperCase()
  const library = libssl.ERR_GET_LIB(error)
  if (library === libssl.ERR_LIB_SSL) return `ERR_SSL_${name}`
  const prefix = libraries.get(library)
  return prefix === undefined ? `ERR_OSSL_${name}` : `ERR_OSSL_${prefix}_${name}`
}

/**
 * Takes everything off the error queue and makes one Error of it. Its message and code come from the oldest entry, which is the cause;
 * on a connection from libssl's oldest, since what libcrypto says before it ("cipher operation failed") is about the symptom. With an empty
 * queue the error says `message` and has the code `ERR_SSL_FAILED`.
 */
export function opensslError(message: string, about: 'call' | 'connection' = 'call'): OpenSSLError {
  const queue: number[] = []
  for (let next = libssl.ERR_get_error(); next !== 0; next = libssl.ERR_get_error()) queue.push(next)
  const fromLibssl = queue.find((entry) => libssl.ERR_GET_LIB(entry) === libssl.ERR_LIB_SSL)
  const cause = (about === 'connection' ? fromLibssl : undefined) ?? queue[0]
  if (cause === undefined) return codedError('ERR_SSL_FAILED', message)
  const reason = libssl.ERR_reason_error_string(cause)
  const error: OpenSSLError = codedError(
    reason === null ? 'ERR_SSL_FAILED' : queueCode(cause, reason),
    `${message}: ${libssl.ERR_error_string(cause)}`,
  )
  const library = libssl.ERR_lib_error_string(cause)
  if (library !== null) error.library = library
  if (reason !== null) error.reason = reason
  const others = queue.filter((entry) => entry !== cause)
  if (others.length > 0) error.opensslErrorStack = others.map((entry) => libssl.ERR_error_string(entry))
  return error
}

const verifyCodes = new Map<number, string>()
for (const [name, value] of Object.entries(libssl)) {
  if (name.startsWith('X509_V_ERR_') && typeof value === 'number')
    verifyCodes.set(value, name.slice('X509_V_ERR_'.length))
}

/**
 * The Error for a result of certificate verification, with codes such as `DEPTH_ZERO_SELF_SIGNED_CERT`; null for
 * `X509_V_OK`.
 * @see SSL_get_verify_result(3)
 */
export function verifyError(result: number): (Error & { code: string }) | null {
  if (result === libssl.X509_V_OK) return null
  return codedError(verifyCodes.get(result) ?? 'UNSPECIFIED', libssl.X509_verify_cert_error_string(result))
}

/** The peer went away: node's `ECONNRESET`, which the kernel has not raised. */
export function connectionReset(message: string): Error & { code: string } {
  return codedError('ECONNRESET', message)
}
