// The store in Redis or Valkey, through a client of the package redis that the application has connected. The package is
// never imported here, not for its types either: applications that have other stores need not install it.

import { checkSession, checkTtl, integerOption, milliseconds, storeError, wrongType } from './input.js'
import { Calls, clientFailure, LARGEST_REMOTE_SESSION } from './remote.js'
import type { SessionStore } from './store.js'

/**
 * A client of the package `redis`, version 5 or 6, as the application has made and connected it: `createClient()`,
 * `createCluster()` or `createSentinel()`.
 * @see https://github.com/redis/node-redis
 */
export interface RedisClient {
  sendCommand(...args: never[]): Promise<unknown>
  /** Not called: clients of other packages, and of earlier versions, do not have it. */
  withTypeMapping(typeMapping: never): unknown
}

/** The client of a `RedisSessionStore`, and how its keys are named. */
export interface RedisSessionStoreOptions {
  /** The client. It stays the application's: `close` of the store does not end it. */
  client: RedisClient
  /** What the keys begin with, `tls-session:` by default. The id follows in hexadecimal. */
  prefix?: string
  /**
   * Milliseconds after which a command that could not be sent is given up (`ERR_STORE_TIMEOUT`), 2000 by default. While the connection is down
   * the client keeps commands for later, and a session taken later, when its handshake is over, would be lost.
   */
  commandTimeout?: number
}

type Argument = string | Buffer
interface CommandOptions {
  typeMapping: Record<number, typeof Buffer>
  timeout: number
}
type Send = (key: string, args: Argument[], options: CommandOptions) => Promise<unknown>

/** How bulk strings begin in the protocol: what a client's table of types is indexed with. @see RESP3 (`$`) */
const BULK_STRING = '$'.charCodeAt(0)

/**
 * Keeps sessions in Redis (6.2 or newer) or Valkey, shared by every machine that reaches it.
 *
 * - A session is one key, written with `SET … PX`: Redis forgets it when its life ends, nothing has to be swept.
 * - `take` is `GETDEL`: of all callers in the fleet exactly one gets the session. If the connection breaks between Redis
 *   and the answer, nobody does.
 * - In a Cluster and behind Sentinel, everything is asked of masters, whatever `useReplicas` says: a replica may not have
 *   heard of a session that a client was given a moment ago, and cannot take one.
 * - What a failover loses, it loses: Redis acknowledges writes before its replicas have them. It costs full handshakes.
 * - Whoever can read Redis can read sessions, unless a {@link SealedSessionStore} is put around this one.
 *
 * Every method answers by a promise. Errors have a `code`: `ERR_REDIS_…` with the first word of Redis's own answer
 * (`ERR_REDIS_OOM`, `ERR_REDIS_READONLY`), a system's (`ECONNREFUSED`), `ERR_STORE_TIMEOUT` for a
 * command that could not be sent within `commandTimeout`, or `ERR_STORE_FAILED`.
 * @see https://redis.io/docs/latest/commands/getdel/
 */
export class RedisSessionStore implements SessionStore {
  /** What the keys begin with. */
  readonly prefix: string
  readonly #send: Send
  readonly #options: CommandOptions
  readonly #calls: Calls

  /** Throws `ERR_INVALID_ARG_TYPE` when the client is none. */
  constructor(options: RedisClient | RedisSessionStoreOptions) {
    if (typeof options !== 'object' || options === null) throw wrongType('options', 'a client or an object', options)
    const given = 'sendCommand' in options ? { client: options } : options
    this.#send = sender(given.client)
    const timeout = integerOption('commandTimeout', given.commandTimeout, 2000, 1, 2 ** 31 - 1)
    this.#calls = new Calls(given.prefix, (error) => failure(error, timeout))
    this.prefix = this.#calls.prefix
    this.#options = { typeMapping: { [BULK_STRING]: Buffer }, timeout }
  }

  async get(id: Buffer): Promise<Buffer | undefined> {
    const key = this.#calls.key(id)
    return bytesOf(await this.#calls.run(() => this.#send(key, ['GET', key], this.#options)))
  }

  async take(id: Buffer): Promise<Buffer | undefined> {
    const key = this.#calls.key(id)
    return bytesOf(await this.#write(key, ['GETDEL', key]))
  }

  async set(id: Buffer, session: Buffer, ttl: number): Promise<void> {
    const key = this.#calls.key(id)
    checkSession(session, LARGEST_REMOTE_SESSION)
    checkTtl(ttl)
    if (ttl <= 0) await this.#write(key, ['UNLINK', key])
    // A copy: the client may keep it for a while before it is sent.
    else await this.#write(key, ['SET', key, Buffer.from(session), 'PX', String(milliseconds(ttl))])
  }

  async delete(id: Buffer): Promise<void> {
    const key = this.#calls.key(id)
    await this.#write(key, ['UNLINK', key])
  }

  /** Waits for what is under way. The client stays as it is. Any later call but `close` throws `ERR_STORE_CLOSED`. */
  close(): Promise<void> {
    return this.#calls.close()
  }

  #write(key: string, args: Argument[]): Promise<unknown> {
    return this.#calls.write(key, () => this.#send(key, args, this.#options))
  }
}

function bytesOf(answer: unknown): Buffer | undefined {
  if (answer === null || answer === undefined) return undefined
  if (Buffer.isBuffer(answer)) return answer
  throw storeError('ERR_STORE_FAILED', 'Redis has answered with something else than bytes')
}

/** The one command that all three kinds of clients have differs in what comes before the command. */
function sender(client: unknown): Send {
  const given = client as Partial<Record<keyof RedisClient, unknown>> | null | undefined
  if (typeof given?.sendCommand !== 'function' || typeof given.withTypeMapping !== 'function') {
    throw wrongType(
      'client',
      "a client, cluster or sentinel of the package 'redis' (node-redis), version 5 or 6",
      client,
    )
  }
  if ('nodeClient' in given) {
    const cluster = given as {
      sendCommand(key: string, readOnly: boolean, args: Argument[], options: CommandOptions): Promise<unknown>
    }
    return (key, args, options) => cluster.sendCommand(key, false, args, options)
  }
  if ('acquire' in given) {
    const sentinel = given as {
      sendCommand(readOnly: boolean, args: Argument[], options: CommandOptions): Promise<unknown>
    }
    return (_key, args, options) => sentinel.sendCommand(false, args, options)
  }
  const single = given as { sendCommand(args: Argument[], options: CommandOptions): Promise<unknown> }
  return (_key, args, options) => single.sendCommand(args, options)
}

function failure(error: unknown, commandTimeout: number): Error {
  // All that node-redis says of a command that it could not send in time is the name of the error's class.
  if (error instanceof Error && error.constructor.name === 'TimeoutError') {
    return storeError('ERR_STORE_TIMEOUT', `Redis failed: timeout, not sent within ${commandTimeout} ms`, error)
  }
  const [word] = /^[A-Z]{2,}(?= )/.exec((error as Error | null)?.message ?? '') ?? []
  if (word === undefined) return clientFailure('Redis', error)
  return storeError(`ERR_REDIS_${word}`, `Redis failed: ${(error as Error).message}`, error)
}
