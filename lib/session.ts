// Session: an SSL_SESSION for users of the node:tls-shaped layer. It owns one reference, reads like an object and
// never shows key material by accident. Caches and connections are elsewhere.

import { inspect } from 'node:util'
import { invalidType, opensslError } from './errors.js'
import * as libssl from './libssl.js'

/** Which protocol a session belongs to, in node:tls's words. */
const protocols = new Map([
  [libssl.TLS1_VERSION, 'TLSv1'],
  [libssl.TLS1_1_VERSION, 'TLSv1.1'],
  [libssl.TLS1_2_VERSION, 'TLSv1.2'],
  [libssl.TLS1_3_VERSION, 'TLSv1.3'],
])

// SSL_SESSION_print labels its values. Of these two the value is the secret itself, and a ticket is printed as
// a hex dump: whoever holds one can resume.
const secretValue = /^(\s*(?:Master-Key|Resumption PSK)\s*:\s*).+$/i
const hexDump = /^\s*[0-9a-f]{4,} - ([0-9a-f]{2}[ -]){1,16}/i

/** The text without master secrets and ticket bytes; what was hidden stays visible as a label. */
function withoutSecrets(text: string): string {
  const lines = text.split('\n').filter((line) => !hexDump.test(line))
  return lines.map((line) => line.replace(secretValue, '$1(hidden)')).join('\n')
}

/** Reads everything out of a memory BIO that `write` has filled. */
function textOf(write: (bio: libssl.BIO) => number, failure: string): string {
  const bio = libssl.BIO_new(libssl.BIO_s_mem())
  if (bio === null) throw opensslError(failure)
  try {
    libssl.ERR_clear_error()
    if (write(bio) !== 1) throw opensslError(failure)
    const bytes = Buffer.alloc(libssl.BIO_pending(bio))
    libssl.BIO_read(bio, bytes)
    return bytes.toString('latin1')
  } finally {
    libssl.BIO_free(bio)
  }
}

/**
 * What a later connection needs to resume an earlier one.
 *
 * Every `Session` owns one reference to OpenSSL's object: `free()` gives it back at once, the garbage collector does it
 * otherwise. After `free()` every use throws `ERR_HANDLE_FREED`.
 *
 * A session belongs to one {@link SecureContext} as soon as OpenSSL has put it in that context's cache or used it there; `dup()`
 * makes one that is free again.
 * @see SSL_SESSION_free(3)
 */
export class Session {
  /** The libssl handle, for every C function that takes an `SSL_SESSION`. It dies with this object's reference. */
  readonly handle: libssl.SSL_SESSION

  /**
   * Takes over one reference that the caller owns. Applications get sessions from callbacks and from `fromDER` and `fromPEM`.
   * @see SSL_SESSION_up_ref(3)
   */
  constructor(handle: libssl.SSL_SESSION) {
    if (!(handle instanceof libssl.SSL_SESSION)) throw invalidType('handle', 'an SSL_SESSION', handle)
    this.handle = handle
  }

  /**
   * Reads the DER form, as written by `toDER()`, `tlsSocket.getSession()` or `openssl sess_id -outform DER`. Throws when the bytes are
   * damaged, cut short, or followed by others.
   * @see d2i_SSL_SESSION(3)
   */
  static fromDER(bytes: Uint8Array): Session {
    if (!(bytes instanceof Uint8Array)) throw invalidType('bytes', 'a Buffer or Uint8Array', bytes)
    return new Session(readDER(bytes))
  }

  /**
   * Reads the PEM form, as written by `toPEM()` or `openssl s_client -sess_out`. Throws when the text holds no whole session.
   * @see PEM_read_bio_SSL_SESSION(3)
   */
  static fromPEM(text: string | Uint8Array): Session {
    if (typeof text !== 'string' && !(text instanceof Uint8Array)) throw invalidType('text', 'a string or Buffer', text)
    libssl.ERR_clear_error()
    const bio = libssl.BIO_new_mem_buf(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
    if (bio === null) throw opensslError('Cannot read the PEM form of a session')
    try {
      const handle = libssl.PEM_read_bio_SSL_SESSION(bio)
      if (handle === null) throw opensslError('This is not the PEM form of a session')
      return new Session(handle)
    } finally {
      libssl.BIO_free(bio)
    }
  }

  /** The session id, at most 32 bytes. A client's TLS 1.3 session has one that OpenSSL made from its ticket. @see SSL_SESSION_get_id(3) */
  get id(): Buffer {
    return libssl.SSL_SESSION_get_id(this.handle)
  }

  /** The application that the session belongs to on its server, at most 32 bytes. @see SSL_SESSION_get0_id_context(3) */
  get idContext(): Buffer {
    return libssl.SSL_SESSION_get0_id_context(this.handle)
  }

  /** When the session was established: seconds since 1970. @see SSL_SESSION_get_time(3) */
  get time(): number {
    return libssl.SSL_SESSION_get_time(this.handle)
  }

  /** For how many seconds after `time` it can be resumed. @see SSL_SESSION_get_timeout(3) */
  get timeout(): number {
    return libssl.SSL_SESSION_get_timeout(this.handle)
  }

  /** `'TLSv1.2'`, `'TLSv1.3'`, …; `'unknown'` for a version that this package does not know. @see SSL_SESSION_get_protocol_version(3) */
  get protocol(): string {
    return protocols.get(libssl.SSL_SESSION_get_protocol_version(this.handle)) ?? 'unknown'
  }

  /** OpenSSL's name of the cipher suite, null when the session has none (yet). @see SSL_SESSION_get0_cipher(3) */
  get cipher(): string | null {
    const cipher = libssl.SSL_SESSION_get0_cipher(this.handle)
    return cipher && libssl.SSL_CIPHER_get_name(cipher)
  }

  /** The server name (SNI) that it was negotiated for, or null. @see SSL_SESSION_get0_hostname(3) */
  get servername(): string | null {
    return libssl.SSL_SESSION_get0_hostname(this.handle)
  }

  /** The ALPN protocol that it was negotiated with, or null. @see SSL_SESSION_get0_alpn_selected(3) */
  get alpnProtocol(): string | null {
    return libssl.SSL_SESSION_get0_alpn_selected(this.handle).toString('latin1') || null
  }

  /**
   * Whether it can be resumed: not when it was removed from its cache, when its connection was closed uncleanly, or, on a TLS 1.3 client, when no
   * ticket has come yet. Expiry is not considered.
   * @see SSL_SESSION_is_resumable(3)
   */
  get isResumable(): boolean {
    return libssl.SSL_SESSION_is_resumable(this.handle) === 1
  }

  /** The DER form, which holds the master secret: guard it as a key. @see i2d_SSL_SESSION(3) */
  toDER(): Buffer {
    libssl.ERR_clear_error()
    const bytes = libssl.i2d_SSL_SESSION(this.handle)
    if (bytes === null) throw opensslError('This session has no DER form')
    return bytes
  }

  /** The PEM form, which holds the master secret: guard it as a key. @see PEM_write_bio_SSL_SESSION(3) */
  toPEM(): string {
    return textOf((bio) => libssl.PEM_write_bio_SSL_SESSION(bio, this.handle), 'This session has no PEM form')
  }

  /**
   * OpenSSL's own description of the session. Master secret and ticket are left out unless `secrets` is true.
   * @see SSL_SESSION_print(3)
   */
  toString(options: { secrets?: boolean | undefined } = {}): string {
    const text = textOf((bio) => libssl.SSL_SESSION_print(bio, this.handle), 'This session cannot be printed')
    return options.secrets === true ? text : withoutSecrets(text)
  }

  /** An independent copy that belongs to no context yet. @see SSL_SESSION_dup(3) */
  dup(): Session {
    const copy = libssl.SSL_SESSION_dup(this.handle)
    if (copy === null) throw opensslError('This session cannot be copied')
    return new Session(copy)
  }

  /** Gives this object's reference back. Using the object, or freeing it again, throws from then on. @see SSL_SESSION_free(3) */
  free(): void {
    libssl.SSL_SESSION_free(this.handle)
  }

  /** The same as `free()`, for `using session = …`. @see SSL_SESSION_free(3) */
  [Symbol.dispose](): void {
    this.free()
  }

  [inspect.custom](_depth: number, options: object): string {
    let fields: object
    try {
      const { protocol, cipher, servername, alpnProtocol, time, timeout, isResumable } = this
      fields = { id: this.id.toString('hex'), protocol, cipher, servername, alpnProtocol, time, timeout, isResumable }
    } catch {
      return 'Session (freed)'
    }
    return `Session ${inspect(fields, options)}`
  }
}

/**
 * The handle of a session in DER form, owned by the caller. Throws when the bytes are anything but one whole session.
 * @see d2i_SSL_SESSION(3)
 */
export function readDER(bytes: Uint8Array): libssl.SSL_SESSION {
  libssl.ERR_clear_error()
  const handle = libssl.d2i_SSL_SESSION(bytes)
  if (handle === null) throw opensslError('This is not the DER form of a session')
  return handle
}

/**
 * A Session for a handle that the caller goes on owning, or only borrows.
 * @see SSL_SESSION_up_ref(3)
 */
export function sharedSession(handle: libssl.SSL_SESSION): Session {
  libssl.SSL_SESSION_up_ref(handle)
  return new Session(handle)
}

/**
 * Makes a client's connection propose a session, given as an object or in DER form. Throws when it is damaged.
 * @see SSL_set_session(3)
 */
export function proposeSession(ssl: libssl.SSL, session: Session | Uint8Array | string): void {
  libssl.ERR_clear_error()
  if (session instanceof Session) {
    if (libssl.SSL_set_session(ssl, session.handle) !== 1) throw opensslError('Cannot propose this session')
    return
  }
  const bytes = typeof session === 'string' ? Buffer.from(session, 'latin1') : session
  if (!(bytes instanceof Uint8Array)) throw invalidType('session', 'a Session or a Buffer', session)
  const handle = readDER(bytes)
  try {
    if (libssl.SSL_set_session(ssl, handle) !== 1) throw opensslError('Cannot propose this session')
  } finally {
    libssl.SSL_SESSION_free(handle)
  }
}
