// Certificates, keys and trust: reads what users of node:tls pass (PEM, PKCS#12; alone or in arrays) into an SSL_CTX.
// Protocol settings and sessions are not set here.

import { invalidType, invalidValue, opensslError } from './errors.js'
import * as libssl from './libssl.js'

/** Text in PEM form, or bytes. */
export type Bytes = string | NodeJS.ArrayBufferView

/** A private key with a passphrase of its own. */
export interface KeyObject {
  /** The key in PEM form. */
  pem: Bytes
  /** Its passphrase; without one, the option `passphrase` is tried. */
  passphrase?: string | undefined
}

/** A PKCS#12 file with a passphrase of its own. */
export interface PfxObject {
  /** The file's content. */
  buf: Bytes
  /** Its passphrase; without one, the option `passphrase` is tried. */
  passphrase?: string | undefined
}

/** What a connection shows to its peer, and whom it trusts. */
export interface CredentialOptions {
  /**
   * Private keys in PEM form, one for each certificate in `cert`.
   * @see PEM_read_bio_PrivateKey(3)
   */
  key?: Bytes | (Bytes | KeyObject)[] | undefined
  /**
   * Certificates in PEM form, each followed by the chain that leads towards its root. Several of different key types may
   * be given; the peer's abilities decide.
   * @see SSL_CTX_use_certificate(3)
   */
  cert?: Bytes | Bytes[] | undefined
  /**
   * PKCS#12 files, an alternative to `key` and `cert`. Further certificates in them are sent as chain and trusted.
   * @see PKCS12_parse(3)
   */
  pfx?: Bytes | (Bytes | PfxObject)[] | undefined
  /** The passphrase for `key` and `pfx`. */
  passphrase?: string | undefined
  /**
   * Certificates in PEM form to trust instead of the default ones. The default is the system's own store, where node:tls has a list built in.
   * @see SSL_CTX_set_default_verify_paths(3)
   */
  ca?: Bytes | Bytes[] | undefined
}

const PEM_R_NO_START_LINE = 108
const ERR_LIB_PEM = 9

/** The value as bytes; throws for anything but text and views of bytes. */
export function toBytes(value: unknown, name: string): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value)
  if (value instanceof Uint8Array) return value
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  throw invalidType(name, 'a string, Buffer, TypedArray or DataView', value)
}

function listOf<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value]
}

/** Lends a read-only BIO over `bytes` to `use`. */
function withBio<T>(bytes: Uint8Array, use: (bio: libssl.BIO) => T): T {
  libssl.ERR_clear_error()
  const bio = libssl.BIO_new_mem_buf(bytes)
  if (bio === null) throw opensslError('Out of memory')
  try {
    return use(bio)
  } finally {
    libssl.BIO_free(bio)
  }
}

/** Hands each certificate that is left in the BIO to `use`, and throws unless the text ends there. */
function eachCertificate(bio: libssl.BIO, name: string, use: (x509: libssl.X509) => void): void {
  for (let x509 = libssl.PEM_read_bio_X509(bio); x509 !== null; x509 = libssl.PEM_read_bio_X509(bio)) {
    try {
      use(x509)
    } finally {
      libssl.X509_free(x509)
    }
  }
  const last = libssl.ERR_peek_last_error()
  if (libssl.ERR_GET_LIB(last) !== ERR_LIB_PEM || libssl.ERR_GET_REASON(last) !== PEM_R_NO_START_LINE) {
    throw opensslError(`"${name}" holds a damaged certificate`)
  }
  libssl.ERR_clear_error()
}

/** The certificates of a text in PEM form, which are the caller's to free. `name` is the text's for errors. */
export function certificatesOf(pem: Uint8Array, name: string): libssl.X509[] {
  const certificates: libssl.X509[] = []
  return withBio(pem, (bio) => {
    eachCertificate(bio, name, (x509) => {
      libssl.X509_up_ref(x509)
      certificates.push(x509)
    })
    return certificates
  })
}

/** Trusts a certificate, and names it to clients when one of theirs is asked for. */
function trust(ctx: libssl.SSL_CTX, x509: libssl.X509): void {
  const store = libssl.SSL_CTX_get_cert_store(ctx)
  if (
    store === null ||
    libssl.X509_STORE_add_cert(store, x509) !== 1 ||
    libssl.SSL_CTX_add_client_CA(ctx, x509) !== 1
  ) {
    throw opensslError('Cannot trust this certificate')
  }
}

function useCertificate(ctx: libssl.SSL_CTX, x509: libssl.X509): void {
  if (libssl.SSL_CTX_use_certificate(ctx, x509) !== 1) throw opensslError('Cannot use this certificate')
}

function addToChain(ctx: libssl.SSL_CTX, x509: libssl.X509): void {
  if (libssl.SSL_CTX_add1_chain_cert(ctx, x509) !== 1) throw opensslError('Cannot add to the certificate chain')
}

function useKey(ctx: libssl.SSL_CTX, key: libssl.EVP_PKEY): void {
  if (libssl.SSL_CTX_use_PrivateKey(ctx, key) !== 1) throw opensslError('Cannot use this private key')
}

function loadCa(ctx: libssl.SSL_CTX, pem: Uint8Array, name: string): void {
  withBio(pem, (bio) => {
    let found = 0
    eachCertificate(bio, name, (x509) => {
      trust(ctx, x509)
      found += 1
    })
    if (found === 0) throw invalidValue(name, 'holds no certificate in PEM form')
  })
}

function loadCertificate(ctx: libssl.SSL_CTX, pem: Uint8Array, name: string): void {
  withBio(pem, (bio) => {
    const leaf = libssl.PEM_read_bio_X509_AUX(bio)
    if (leaf === null) throw opensslError(`"${name}" holds no certificate in PEM form`)
    try {
      useCertificate(ctx, leaf)
    } finally {
      libssl.X509_free(leaf)
    }
    libssl.SSL_CTX_clear_chain_certs(ctx)
    eachCertificate(bio, name, (x509) => addToChain(ctx, x509))
  })
}

function loadKey(ctx: libssl.SSL_CTX, pem: Uint8Array, passphrase: string | null, name: string): void {
  withBio(pem, (bio) => {
    const key = libssl.PEM_read_bio_PrivateKey(bio, passphrase)
    if (key === null) throw opensslError(`Cannot read the private key in "${name}"`)
    try {
      useKey(ctx, key)
    } finally {
      libssl.EVP_PKEY_free(key)
    }
  })
}

function loadPfx(ctx: libssl.SSL_CTX, der: Uint8Array, passphrase: string | null, name: string): void {
  libssl.ERR_clear_error()
  const p12 = libssl.d2i_PKCS12(der)
  if (p12 === null) throw opensslError(`"${name}" is not a PKCS#12 file`)
  const content = libssl.PKCS12_parse(p12, passphrase)
  libssl.PKCS12_free(p12)
  if (content === null) throw opensslError(`Cannot open the PKCS#12 file in "${name}"`)
  try {
    if (content.cert === null) throw invalidValue(name, 'holds no certificate')
    if (content.pkey === null) throw invalidValue(name, 'holds no private key')
    useCertificate(ctx, content.cert)
    useKey(ctx, content.pkey)
    libssl.SSL_CTX_clear_chain_certs(ctx)
    for (const x509 of content.ca) {
      addToChain(ctx, x509)
      trust(ctx, x509)
    }
  } finally {
    libssl.EVP_PKEY_free(content.pkey)
    for (const x509 of [content.cert, ...content.ca]) libssl.X509_free(x509)
  }
}

function phrase(value: unknown, name: string): string | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'string') throw invalidType(name, 'a string', value)
  return value
}

/**
 * Puts certificates, keys and trust into a context. Throws on the first that cannot be used; the context is then
 * of no use either.
 */
export function loadCredentials(ctx: libssl.SSL_CTX, options: CredentialOptions): void {
  const passphrase = phrase(options.passphrase, 'options.passphrase')
  if (options.ca) {
    for (const pem of listOf(options.ca)) loadCa(ctx, toBytes(pem, 'options.ca'), 'options.ca')
  }
  if (options.cert) {
    for (const pem of listOf(options.cert)) loadCertificate(ctx, toBytes(pem, 'options.cert'), 'options.cert')
  }
  if (options.key) {
    for (const entry of listOf<Bytes | KeyObject>(options.key)) {
      const own = typeof entry === 'object' && 'pem' in entry ? entry : { pem: entry, passphrase: undefined }
      const secret = phrase(own.passphrase, 'options.key.passphrase') ?? passphrase
      loadKey(ctx, toBytes(own.pem, 'options.key'), secret, 'options.key')
    }
  }
  if (options.cert && options.key && libssl.SSL_CTX_check_private_key(ctx) !== 1) {
    throw opensslError('"options.key" does not belong to "options.cert"')
  }
  if (options.pfx) {
    for (const entry of listOf<Bytes | PfxObject>(options.pfx)) {
      const own = typeof entry === 'object' && 'buf' in entry ? entry : { buf: entry, passphrase: undefined }
      const secret = phrase(own.passphrase, 'options.pfx.passphrase') ?? passphrase
      loadPfx(ctx, toBytes(own.buf, 'options.pfx'), secret, 'options.pfx')
    }
  }
}
