// Certificates of a connection as node:tls shows them. The parsing is Node's own X509Certificate; what crosses over
// is DER.

import { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls'
import * as libssl from './libssl.js'

/** Frees handles that the caller owns, after `use`. */
function lend<T>(handles: readonly libssl.X509[], use: () => T): T {
  try {
    return use()
  } finally {
    for (const x509 of handles) libssl.X509_free(x509)
  }
}

function parse(x509: libssl.X509): X509Certificate {
  return new X509Certificate(libssl.i2d_X509(x509) ?? Buffer.alloc(0))
}

function isIssuer(issuer: libssl.X509, subject: libssl.X509): boolean {
  return libssl.X509_check_issued(issuer, subject) === libssl.X509_V_OK
}

/** The certificate that the connection's peer has shown, parsed; null when it has shown none. */
export function peerX509(ssl: libssl.SSL): X509Certificate | null {
  const x509 = libssl.SSL_get1_peer_certificate(ssl)
  return x509 && lend([x509], () => parse(x509))
}

/** The certificate that this side shows, parsed; null when it has none. */
export function ownX509(ssl: libssl.SSL): X509Certificate | null {
  const x509 = libssl.SSL_get_certificate(ssl)
  return x509 && parse(x509)
}

/** Whether the peer has shown a certificate. */
export function hasPeerCertificate(ssl: libssl.SSL): boolean {
  const x509 = libssl.SSL_get1_peer_certificate(ssl)
  libssl.X509_free(x509)
  return x509 !== null
}

/**
 * The peer's certificate in node:tls's form; `detailed` follows `issuerCertificate` as far as certificates are known: a root
 * is its own issuer. Null when the peer has shown none.
 */
export function peerCertificate(ssl: libssl.SSL, detailed: boolean): PeerCertificate | DetailedPeerCertificate | null {
  const leaf = libssl.SSL_get1_peer_certificate(ssl)
  if (leaf === null) return null
  // The verified chain ends with the root that this side trusts. After a resumption there is only what the session kept.
  const others = detailed ? (libssl.SSL_get0_verified_chain(ssl) ?? libssl.SSL_get_peer_cert_chain(ssl) ?? []) : []
  return lend([leaf, ...others], () => {
    const certificate = parse(leaf).toLegacyObject()
    if (detailed) linkIssuers(leaf, certificate as DetailedPeerCertificate, others)
    return certificate
  })
}

/** The certificate of the peer that a session began with, in node:tls's form. Null when it had shown none. */
export function sessionCertificate(session: libssl.SSL_SESSION): PeerCertificate | null {
  const x509 = libssl.SSL_SESSION_get0_peer(session)
  return x509 && parse(x509).toLegacyObject()
}

function linkIssuers(leaf: libssl.X509, certificate: DetailedPeerCertificate, others: readonly libssl.X509[]): void {
  const left = new Set(others)
  let subject = leaf
  let last = certificate
  while (!isIssuer(subject, subject)) {
    const issuer = [...left].find((candidate) => isIssuer(candidate, subject))
    if (issuer === undefined) return
    left.delete(issuer)
    last.issuerCertificate = parse(issuer).toLegacyObject() as DetailedPeerCertificate
    last = last.issuerCertificate
    subject = issuer
  }
  last.issuerCertificate = last
}
