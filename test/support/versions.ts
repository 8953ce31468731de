// What the versions of OpenSSL do differently, as far as tests can see it: each difference has one name here, and a row
// in docs/conformance.md.

import assert from 'node:assert/strict'
import { OpenSSL_version_num, runtime } from 'openssl-session/libssl'

/** Whether the addon is one that the package carries: built with headers that may be older than those of this machine. */
export const isPrebuilt = /\/prebuilds\//.test(runtime().addon)

/** Whether the libssl at hand is of this version or of a later one. */
export const atLeast = (major: number, minor: number) => OpenSSL_version_num() >= major * 2 ** 28 + minor * 2 ** 20

/**
 * Asserts what the remove callback was told of sessions that one call removes. `byExpiry` begins with the one that expires
 * first. That is the order from 3.0 to 3.5; since 3.6 it is the other way round, and in 1.1.1 it is that of a hash table.
 */
export function assertRemoved<T>(told: readonly T[], byExpiry: readonly T[]): void {
  if (!atLeast(3, 0)) assert.deepEqual(told.toSorted(), byExpiry.toSorted())
  else assert.deepEqual(told, atLeast(3, 6) ? byExpiry.toReversed() : byExpiry)
}

/** Whether a server asks of the session that the get callback answers whether it is resumable. */
export const checksAnsweredIsResumable = atLeast(3, 0)

/** Whether sessions of 3.0 and later, in tickets and elsewhere, can be read. */
export const readsLaterSessions = atLeast(3, 0)

/** Whether SSL_clear makes a connection good for another handshake wherever the last one broke off. */
export const clearRestores = atLeast(3, 0)

/** What a client says of the alert no_application_protocol: 1.1.1 has no words for it. */
export const noApplicationProtocol = atLeast(3, 0)
  ? { reason: 'tlsv1 alert no application protocol', code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' }
  : { reason: '', code: 'ERR_SSL_FAILED' }

/** Whether a TLS 1.2 server looks at the id of the session that the get callback answers. */
export const checksAnsweredId = atLeast(3, 6)

/** The code of the error for an alert that there was in SSL 3.0 already. Its name has changed twice since. */
export function alertCode(alert: string): string {
  if (atLeast(4, 0)) return `ERR_SSL_TLS_ALERT_${alert}`
  return atLeast(3, 2) ? `ERR_SSL_SSL/TLS_ALERT_${alert}` : `ERR_SSL_SSLV3_ALERT_${alert}`
}
