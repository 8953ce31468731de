// What every file of lib/libssl is made with: the handle classes, and the helpers that take a name out of the addon.
// One line here or there declares; nothing in this folder computes.

import { native } from '../native.js'

/** An OpenSSL object behind an opaque JavaScript object. It has no members: the C functions are its methods. */
declare abstract class Handle<Name extends string> {
  private readonly opaque: Name
}

/**
 * The class of a kind of handle, good for `instanceof` and for types. `new` throws a `TypeError`: handles come out of
 * the functions that create or return the object.
 * @see SSL_CTX_new(3)
 */
export type HandleClass<Name extends string> = abstract new (...args: never) => Handle<Name>

function exported(name: string): unknown {
  const value = native[name]
  if (value === undefined) {
    const error = new Error(
      `The openssl-session addon has no '${name}': it was built from other sources than this JavaScript. ` +
        'Rebuild it in the package folder with `npm run build`, or reinstall the package.',
    )
    throw Object.assign(error, { code: 'ERR_ADDON_MISMATCH' })
  }
  return value
}

/** A C function that every supported libssl has. Importing fails when the addon lacks it. */
export function fn<F extends (...args: never) => unknown>(name: string): F {
  return exported(name) as F
}

/** A C function that only newer versions of libssl have: `undefined` on the others. */
export function optional<F extends (...args: never) => unknown>(name: string): F | undefined {
  return native[name] as F | undefined
}

/** A constant that every supported libssl has. Importing fails when the addon lacks it. */
export function constant(name: string): number {
  return exported(name) as number
}

/** A constant that only some versions of libssl have: `undefined` on the others. */
export function optionalConstant(name: string): number | undefined {
  return native[name] as number | undefined
}

function handle<Name extends string>(name: Name): HandleClass<Name> {
  return exported(name) as HandleClass<Name>
}

/**
 * What connections share: certificates, protocol settings and the session cache. Owned through `SSL_CTX_new` and
 * `SSL_CTX_up_ref`; borrowed from `SSL_get_SSL_CTX`.
 * @see SSL_CTX_new(3)
 */
export const SSL_CTX = handle('SSL_CTX')
export type SSL_CTX = Handle<'SSL_CTX'>

/**
 * One connection. Owned through `SSL_new`, given back with `SSL_free`.
 * @see SSL_new(3)
 */
export const SSL = handle('SSL')
export type SSL = Handle<'SSL'>

/**
 * What a later connection needs to resume an earlier one. The same C object is the same JavaScript object while that
 * lives, so `===` compares sessions as `==` does in C.
 * @see SSL_SESSION_new(3)
 */
export const SSL_SESSION = handle('SSL_SESSION')
export type SSL_SESSION = Handle<'SSL_SESSION'>

/**
 * A stream of bytes that OpenSSL reads or writes; here always one in memory.
 * @see BIO_new(3)
 */
export const BIO = handle('BIO')
export type BIO = Handle<'BIO'>

/**
 * A certificate.
 * @see X509_new(3)
 */
export const X509 = handle('X509')
export type X509 = Handle<'X509'>

/**
 * The certificates that a context trusts. Only ever borrowed, from `SSL_CTX_get_cert_store`.
 * @see X509_STORE_new(3)
 */
export const X509_STORE = handle('X509_STORE')
export type X509_STORE = Handle<'X509_STORE'>

/**
 * A private or public key.
 * @see EVP_PKEY_new(3)
 */
export const EVP_PKEY = handle('EVP_PKEY')
export type EVP_PKEY = Handle<'EVP_PKEY'>

/**
 * A PKCS#12 file (`.p12`, `.pfx`) as read by `d2i_PKCS12`, still sealed by its passphrase.
 * @see PKCS12_parse(3)
 */
export const PKCS12 = handle('PKCS12')
export type PKCS12 = Handle<'PKCS12'>

/**
 * The protocol family of a context. Static in libssl: never freed.
 * @see TLS_method(3)
 */
export const SSL_METHOD = handle('SSL_METHOD')
export type SSL_METHOD = Handle<'SSL_METHOD'>

/**
 * A kind of BIO. Static in libcrypto: never freed.
 * @see BIO_new(3)
 */
export const BIO_METHOD = handle('BIO_METHOD')
export type BIO_METHOD = Handle<'BIO_METHOD'>

/**
 * A cipher suite. Static in libssl: never freed.
 * @see SSL_CIPHER_get_name(3)
 */
export const SSL_CIPHER = handle('SSL_CIPHER')
export type SSL_CIPHER = Handle<'SSL_CIPHER'>
