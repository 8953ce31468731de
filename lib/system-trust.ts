// The system's certificates, for contexts whose owner named none. Reading them takes some fifty milliseconds, which a
// client would spend on each connection: they are read once, and again when their file has changed.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { certificatesOf } from './credentials.js'
import * as libssl from './libssl.js'

/** Where Debian, Ubuntu and Alpine, then Fedora and RHEL, then others keep all that they trust in one file. */
const bundles = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']

/** Where OpenSSL looks for the file and the folder that are trusted by default. */
interface Places {
  readonly file: string
  readonly folder: string
}

/**
 * OpenSSL's own places, or those of the environment. An OpenSSL inside the addon looks where Debian's does, because it was built
 * there, whatever the system is: it is shown the system's file where it would find nothing.
 */
function defaultPlaces(): Places {
  const { SSL_CERT_FILE, SSL_CERT_DIR } = process.env
  const home = libssl.OpenSSL_version(libssl.OPENSSL_DIR).match(/"(.*)"/)?.[1] ?? ''
  const own = { file: join(home, 'cert.pem'), folder: join(home, 'certs') }
  const isAtHome = libssl.runtime().linkage === 'shared' || existsSync(own.file) || existsSync(own.folder)
  const isTold = SSL_CERT_FILE !== undefined || SSL_CERT_DIR !== undefined
  const bundle = isAtHome || isTold ? undefined : bundles.find((bundle) => existsSync(bundle))
  return { file: SSL_CERT_FILE ?? bundle ?? own.file, folder: SSL_CERT_DIR ?? own.folder }
}

/** A file's certificates, and what tells whether it is still the same. */
interface Reading {
  readonly file: string
  readonly state: string
  readonly certificates: readonly libssl.X509[]
}

let latest: Reading | null = null

/** What a file holds; null when that is not certificates alone, or it is not there: some distributions have OpenSSL look elsewhere then. */
function read(file: string): readonly libssl.X509[] | null {
  const { mtimeMs, ctimeMs, size, ino } = statSync(file, { throwIfNoEntry: false }) ?? {}
  if (size === undefined) return null
  const state = [mtimeMs, ctimeMs, size, ino].join()
  if (latest?.file === file && latest.state === state) return latest.certificates
  const pem = readFileSync(file)
  if (/-----BEGIN (?!CERTIFICATE-----)/.test(pem.toString('latin1'))) return null
  const certificates = certificatesOf(pem, file)
  for (const x509 of latest?.certificates ?? []) libssl.X509_free(x509)
  latest = { file, state, certificates }
  return certificates
}

function readOrLeave(file: string): readonly libssl.X509[] | null {
  try {
    return read(file)
  } catch {
    // Nothing there can be read, or not all of it. What OpenSSL makes of that is for OpenSSL to say.
    return null
  }
}

/** Has a context trust what the system trusts. A system without a store is no error: verifications fail, each with a reason. */
export function trustSystem(context: libssl.SSL_CTX): void {
  const { file, folder } = defaultPlaces()
  const certificates = readOrLeave(file)
  const store = libssl.SSL_CTX_get_cert_store(context)
  if (certificates === null || store === null) {
    libssl.SSL_CTX_set_default_verify_paths(context)
    if (libssl.SSL_CTX_load_verify_locations(context, file, null) !== 1) libssl.ERR_clear_error()
    return
  }
  for (const x509 of certificates) libssl.X509_STORE_add_cert(store, x509)
  // Nothing is read of it until a certificate is looked for.
  if (folder !== '') libssl.SSL_CTX_load_verify_locations(context, null, folder)
}
