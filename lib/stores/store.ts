// What a session store is: the interface, for those who write one and those who use one. Types only; what the stores
// share at run time lives in input.ts.

/** A value, at once or by a promise. */
export type Awaitable<T> = T | Promise<T>

/**
 * Keeps TLS sessions outside the process that made them.
 *
 * A store sees ids and opaque bytes and knows nothing of TLS. Ids are the session ids of TLS, 1 to 32 bytes, random:
 * two sessions share one only if a client was told to use it again. The bytes hold a master secret: whoever can read
 * the store can decrypt recorded connections, whoever can write it can pose as any client. Keep it as private as the
 * server's key.
 *
 * Every method may answer at once or by a promise, and may throw or reject: no answer of a store can fail a handshake,
 * it is a miss. `undefined` and `null` both say "not here".
 *
 * What callers rely on, and what a new store has to keep:
 * - A value comes back byte for byte as it was given, or not at all.
 * - Bytes given and bytes returned are the caller's own: changing them afterwards changes nothing in the store.
 * - An entry is never returned after its `ttl`. It may disappear before it, since a full store makes room.
 * - Being full is no error: `set` makes room by dropping what is worth least.
 * - After the promise of a `set`, `delete` or `take` has resolved, every user of the store sees its effect.
 * - Writes of one caller take effect in the order in which they were called, whether awaited or not.
 *
 * Errors that say what the caller did wrong have a `code`: `TypeError` with `ERR_INVALID_ARG_TYPE` for the wrong type,
 * `RangeError` with `ERR_OUT_OF_RANGE` for an id that is empty or longer than 32 bytes, for a `ttl` that is not a finite
 * number and for a session too large for the store, `Error` with `ERR_STORE_CLOSED` for any use after `close`.
 */
export interface SessionStore {
  /**
   * Looks a session up. Called in the middle of a handshake: the client waits for the answer.
   * @see RFC 5246 section 7.3, RFC 8446 section 2.2
   */
  get(id: Buffer): Awaitable<Buffer | null | undefined>

  /**
   * Looks a session up and deletes it in one atomic step: of any number of callers, in any number of processes, exactly
   * one gets it. Called instead of `get` for TLS 1.3, where a session is to be used once. A store that cannot do this
   * leaves the method out.
   * @see RFC 8446 section 8.1 and appendix C.4
   */
  take?(id: Buffer): Awaitable<Buffer | null | undefined>

  /**
   * Whether `take` keeps that promise. Where there is a `take` it does, unless this is false: then sessions are taken as
   * ever, and a server accepts no early data with them, since one might be given to two. Read once, by the constructor
   * of the server.
   * @see RFC 8446 section 8.1
   */
  readonly atomicTake?: boolean | undefined

  /**
   * Stores a session, replacing the one with the same id.
   * @param ttl Seconds until it expires, fractions allowed. Zero or less says that it has expired already: nothing is
   *   stored, and what was stored under this id is gone.
   */
  set(id: Buffer, session: Buffer, ttl: number): Awaitable<void>

  /** Deletes a session. Deleting one that is not there is fine. */
  delete(id: Buffer): Awaitable<void>

  /**
   * Ends the use of the store, once what was called before has been done. What it keeps outside the process stays
   * there. Closing twice is fine.
   */
  close?(): Awaitable<void>
}
