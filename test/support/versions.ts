// What the versions of OpenSSL do differently, as far as tests can see it: each difference has one name here, and a row
// in docs/conformance.md.

import { OpenSSL_version_num } from 'openssl-session/libssl'

/** Whether the libssl at hand is of this version or of a later one. */
export const atLeast = (major: number, minor: number) => OpenSSL_version_num() >= major * 2 ** 28 + minor * 2 ** 20

/**
 * The order in which the remove callback is told of sessions that one call removes. `byExpiry` begins with the one that
 * expires first. Since 4.0 libssl collects them and tells when it has given the cache's lock back, the last first.
 */
export const toldOfRemoval = <T>(byExpiry: readonly T[]): T[] => (atLeast(4, 0) ? byExpiry.toReversed() : [...byExpiry])

/** Whether a TLS 1.2 server looks at the id of the session that the get callback answers. */
export const checksAnsweredId = atLeast(3, 6)

/** The code of the error for an alert that there was in SSL 3.0 already. Its name has changed twice since. */
export function alertCode(alert: string): string {
  if (atLeast(4, 0)) return `ERR_SSL_TLS_ALERT_${alert}`
  return atLeast(3, 2) ? `ERR_SSL_SSL/TLS_ALERT_${alert}` : `ERR_SSL_SSLV3_ALERT_${alert}`
}
