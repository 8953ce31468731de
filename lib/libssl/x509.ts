// X509, X509_STORE, EVP_PKEY and PKCS12: certificates and keys, read and written. What a context does with them is in
// ssl_ctx.ts.

import { type BIO, constant, type EVP_PKEY, fn, type PKCS12, type X509, type X509_STORE } from './bind.js'

/**
 * Gives back one owned reference; the last one frees the certificate. Null is ignored.
 * @see X509_free(3)
 */
export const X509_free = fn<(x509: X509 | null) => void>('X509_free')

/**
 * Takes one more reference, to be given back with `X509_free`: turns a borrowed certificate into an owned one. Returns
 * 1, or 0 on failure.
 * @see X509_up_ref(3)
 */
export const X509_up_ref = fn<(x509: X509) => number>('X509_up_ref')

/**
 * Reads the next certificate in PEM from a BIO, skipping other blocks. Returns an owned certificate, or null at the
 * end of the data (`PEM_R_NO_START_LINE` on the queue) or on a damaged block.
 * @see PEM_read_bio_X509(3)
 */
export const PEM_read_bio_X509 = fn<(bio: BIO) => X509 | null>('PEM_read_bio_X509')

/**
 * As `PEM_read_bio_X509`, and understands the trust settings of a `TRUSTED CERTIFICATE` block.
 * @see PEM_read_bio_X509_AUX(3)
 */
export const PEM_read_bio_X509_AUX = fn<(bio: BIO) => X509 | null>('PEM_read_bio_X509_AUX')

/**
 * Writes a certificate to a BIO in PEM. Returns 1, or 0 on failure.
 * @see PEM_write_bio_X509(3)
 */
export const PEM_write_bio_X509 = fn<(bio: BIO, x509: X509) => number>('PEM_write_bio_X509')

/**
 * Decodes a certificate in DER; bytes after it are ignored. Returns an owned certificate, or null with the reason on
 * the queue.
 * @see d2i_X509(3)
 */
export const d2i_X509 = fn<(der: Uint8Array) => X509 | null>('d2i_X509')

/**
 * Encodes a certificate in DER. Returns null on failure.
 * @see i2d_X509(3)
 */
export const i2d_X509 = fn<(x509: X509) => Buffer | null>('i2d_X509')

/**
 * Tells whether `issuer` may have issued `subject`, by names, key identifiers and key usage; no signature is checked.
 * Returns `X509_V_OK` or the `X509_V_ERR_*` that speaks against it.
 * @see X509_check_issued(3)
 */
export const X509_check_issued = fn<(issuer: X509, subject: X509) => number>('X509_check_issued')

/**
 * Compares two certificates as wholes. Returns 0 when they are equal, else a negative or positive number, or -2 on
 * failure.
 * @see X509_cmp(3)
 */
export const X509_cmp = fn<(a: X509, b: X509) => number>('X509_cmp')

/**
 * Returns the text for a verification result, an `X509_V_*` number as `SSL_get_verify_result` gives it.
 * @see X509_verify_cert_error_string(3)
 */
export const X509_verify_cert_error_string = fn<(result: number) => string>('X509_verify_cert_error_string')

/**
 * Adds a trusted certificate; the store takes its own reference. Adding one that is there already succeeds. Returns 1,
 * or 0 on failure.
 * @see X509_STORE_add_cert(3)
 */
export const X509_STORE_add_cert = fn<(store: X509_STORE, x509: X509) => number>('X509_STORE_add_cert')

/**
 * Adds `X509_V_FLAG_*` bits to the checks that the store asks for; set bits stay set. Returns 1, or 0 on failure.
 * @see X509_STORE_set_flags(3)
 */
export const X509_STORE_set_flags = fn<(store: X509_STORE, flags: number) => number>('X509_STORE_set_flags')

/**
 * Gives back one owned reference; the last one frees the key. Null is ignored.
 * @see EVP_PKEY_free(3)
 */
export const EVP_PKEY_free = fn<(pkey: EVP_PKEY | null) => void>('EVP_PKEY_free')

/**
 * Takes one more reference, to be given back with `EVP_PKEY_free`. Returns 1, or 0 on failure.
 * @see EVP_PKEY_up_ref(3)
 */
export const EVP_PKEY_up_ref = fn<(pkey: EVP_PKEY) => number>('EVP_PKEY_up_ref')

/**
 * Reads a private key in PEM, in any of the forms OpenSSL writes. `passphrase` opens an encrypted one; null never
 * prompts, it fails. Returns an owned key, or null with the reason on the queue.
 * @see PEM_read_bio_PrivateKey(3)
 */
export const PEM_read_bio_PrivateKey =
  fn<(bio: BIO, passphrase: string | null) => EVP_PKEY | null>('PEM_read_bio_PrivateKey')

/**
 * Decodes a private key in DER, of any type and unencrypted. Returns an owned key, or null with the reason on the
 * queue.
 * @see d2i_AutoPrivateKey(3)
 */
export const d2i_PrivateKey = fn<(der: Uint8Array) => EVP_PKEY | null>('d2i_PrivateKey')

/**
 * Returns the size of the key in bits (2048 for RSA-2048, 256 for P-256). Named as in 3.0; 1.1.1 calls it
 * `EVP_PKEY_bits`.
 * @see EVP_PKEY_get_bits(3)
 */
export const EVP_PKEY_get_bits = fn<(pkey: EVP_PKEY) => number>('EVP_PKEY_get_bits')

/**
 * Decodes a PKCS#12 file without opening it. Returns an owned handle for `PKCS12_parse`, or null with the reason on
 * the queue.
 * @see d2i_PKCS12(3)
 */
export const d2i_PKCS12 = fn<(der: Uint8Array) => PKCS12 | null>('d2i_PKCS12')

/**
 * Gives back the reference of `d2i_PKCS12`. Null is ignored.
 * @see PKCS12_free(3)
 */
export const PKCS12_free = fn<(p12: PKCS12 | null) => void>('PKCS12_free')

/**
 * What a PKCS#12 file held. Every handle in it is owned and has to be freed.
 * @see PKCS12_parse(3)
 */
export interface PKCS12Contents {
  /** The private key, or null when the file has none. */
  readonly pkey: EVP_PKEY | null
  /** The certificate that goes with the key, or null. */
  readonly cert: X509 | null
  /** All other certificates, in the order of the file on 3.0, reversed on 1.1.1. */
  readonly ca: X509[]
}

/**
 * Opens a PKCS#12 file. `passphrase` is the one of the file; null and the empty string both try the two ways of having
 * none. Returns null when it does not fit or the file is damaged, with the reason on the queue. Files sealed with RC2
 * or single DES need the legacy provider on 3.0.
 * @see PKCS12_parse(3)
 */
export const PKCS12_parse = fn<(p12: PKCS12, passphrase: string | null) => PKCS12Contents | null>('PKCS12_parse')

// Bits of X509_STORE_set_flags

/** Check the peer's certificate against revocation lists in the store. @see X509_STORE_set_flags(3) */
export const X509_V_FLAG_CRL_CHECK: number = constant('X509_V_FLAG_CRL_CHECK')
/** With `X509_V_FLAG_CRL_CHECK`: check the whole chain. @see X509_STORE_set_flags(3) */
export const X509_V_FLAG_CRL_CHECK_ALL: number = constant('X509_V_FLAG_CRL_CHECK_ALL')
