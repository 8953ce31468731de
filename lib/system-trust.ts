// The system's certificates, for contexts whose owner named none.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as libssl from './libssl.js'

/** Where Debian, Ubuntu and Alpine, then Fedora and RHEL, then others keep all that they trust in one file. */
const bundles = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']

/**
 * The system's file, where an OpenSSL inside the addon would not find it: that one looks where Debian's does, because it was
 * built there, whatever the system is. Null when it looks in a place that exists, or where the environment tells it to.
 */
function missedBundle(): string | null {
  if (libssl.runtime().linkage === 'shared') return null
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: folder } = process.env
  if (file !== undefined || folder !== undefined) return null
  const home = libssl.OpenSSL_version(libssl.OPENSSL_DIR).match(/"(.*)"/)?.[1]
  if (home && ['cert.pem', 'certs'].some((name) => existsSync(join(home, name)))) return null
  return bundles.find((bundle) => existsSync(bundle)) ?? null
}

/** Has a context trust what the system trusts. A system without a store is no error: verifications fail, each with a reason. */
export function trustSystem(context: libssl.SSL_CTX): void {
  libssl.SSL_CTX_set_default_verify_paths(context)
  const bundle = missedBundle()
  if (bundle !== null && libssl.SSL_CTX_load_verify_locations(context, bundle, null) !== 1) libssl.ERR_clear_error()
}
