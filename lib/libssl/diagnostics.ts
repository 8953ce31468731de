// Questions about the binding itself: what it holds, and which OpenSSL it talks to.

import { fn } from './bind.js'

/**
 * What is alive, as `leaks()` counts it. Taken before and after some work, two reports that differ name what the work
 * forgot to free.
 * @see SSL_SESSION_free(3)
 */
export interface LeakReport {
  /** OpenSSL objects alive in the whole process, whoever holds them. */
  readonly live: {
    readonly SSL_CTX: number
    readonly SSL: number
    readonly SSL_SESSION: number
  }
  /**
   * References that this environment's JavaScript owns now, by handle class. `X509` counts the system's certificates too, which the
   * TLS client keeps once it has needed them.
   */
  readonly owned: Readonly<Record<string, number>>
  /** References that were still owned when the garbage collector took the handle, by handle class. */
  readonly collected: Readonly<Record<string, number>>
}

/**
 * The OpenSSL in use, as `runtime()` reports it.
 * @see OpenSSL_version(3)
 */
export interface Runtime {
  /** Version of the headers that the addon was compiled with, as text. */
  readonly headerVersion: string
  /** Version of the library that is loaded, as text. */
  readonly libraryVersion: string
  /** The same as `OPENSSL_VERSION_NUMBER` in C. */
  readonly headerVersionNumber: number
  /** The same as `OpenSSL_version_num()`. */
  readonly libraryVersionNumber: number
  /** File that libssl's code was loaded from: the addon itself when `linkage` is `static`. */
  readonly libssl: string
  /** File that libcrypto's code was loaded from. */
  readonly libcrypto: string
  /** File of the addon: a prebuilt one (under `prebuilds/`) or one built on this machine (`build/`). */
  readonly addon: string
  /** Whether the addon uses the system's shared library or carries its own copy. */
  readonly linkage: 'shared' | 'static'
  /** Whether a session lookup can pause a handshake, and so answer with a promise. */
  readonly asyncJobs: boolean
  /** Version of the other OpenSSL, Node's own, which this package never calls. */
  readonly nodeOpenSSL: string
}

/**
 * Counts what is alive and what the garbage collector had to free. Call it whenever a test or a long-running process
 * wants to know that every reference was given back.
 * @see SSL_SESSION_free(3)
 */
export const leaks = fn<() => LeakReport>('leaks')

/**
 * Tells which OpenSSL this package was compiled for and which one it runs on.
 * @see OpenSSL_version(3)
 */
export const runtime = fn<() => Runtime>('runtime')
