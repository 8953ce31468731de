// The store in one LMDB file that all processes of a machine share. How the file is opened is in lmdb-file.ts.
//
// Two trees in one environment:
// - sessions: id -> session, with lmdb's version of the entry being the time at which it expires (ms of the wall clock)
// - expiry: that time (8 bytes, big-endian) followed by the id -> nothing; so its first key is what expires soonest
//
// Every session has its key in the expiry tree. The reverse need not hold: a key whose time is not the session's version
// is a leftover, and goes when its time comes. That makes every write unconditional, or conditional on the version, so
// the writes are carried out by lmdb's own thread, and no JavaScript ever runs while the lock is held that all processes
// wait for: a process whose event loop is busy blocks no other.

import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Database } from 'lmdb'
import {
  checkId,
  checkSession,
  checkTtl,
  integerOption,
  intervalOption,
  milliseconds,
  storeError,
  wrongType,
} from './input.js'
import { commitFailure, type Environment, failure, openFile } from './lmdb-file.js'
import type { Gate } from './lmdb-gate.js'
import type { SessionStore } from './store.js'

/** The bounds of an `LmdbSessionStore`. */
export interface LmdbSessionStoreOptions {
  /**
   * The file. Its folder must exist. Next to it appear its lock, `<path>-lock`, and the gate through which processes
   * come to it, `<path>-gate-…` with a lock of its own.
   */
  path: string
  /**
   * Bytes that the file may take on disk, 64 MiB by default, 4 MiB at least. Sessions take up to half of it, which is
   * about 40,000 of 250 bytes in 64 MiB: LMDB never overwrites a page that is in use, and needs the rest to write to.
   */
  maxBytes?: number
  /** Seconds between two sweeps of expired sessions, 60 by default. 0 sweeps only when `sweep` is called. */
  sweepInterval?: number
}

interface Entry {
  session: Buffer
  /** Milliseconds since 1970. */
  expires: number
}

const NOTHING = Buffer.alloc(0)
/** How much of the file sessions may take at first. */
const FILL = 0.5

/**
 * Keeps sessions in one file, shared by any number of processes and worker threads of one machine.
 *
 * **Processes.** Any of them may be killed at any time, in the middle of a write too: what was acknowledged is there,
 * what was not is there whole or not at all, and the others go on. `take` gives a session to one of them only. All of
 * them have to see each other's process ids: containers sharing a file need to share their PID namespace.
 *
 * **Restarts.** The file outlives the processes, not the machine's uptime. Writes are left to the kernel to flush, since
 * waiting for the disk can cost more than the full handshake that a lost session costs; so a crash of the machine could
 * leave a file that is half old and half new, with sessions in it that had been taken. The first process after a boot
 * starts with an empty store. (Where the system does not tell one boot from another, as Linux does, every write is flushed
 * and the file is kept.)
 *
 * **Size.** A full store never refuses a session. It drops what has expired, then what expires soonest, until the new one
 * fits. `maxBytes` bounds the file; it grows as needed and does not shrink.
 *
 * **Time** is the wall clock, the only one that processes share: setting it forward expires sessions early.
 *
 * **Privacy.** The files are created with mode 0600, whatever the umask, and a file that is open to everybody is refused.
 * LMDB leaves its descriptor open in programs that are started from here with `child_process`: do not start what you
 * would not let read the sessions.
 *
 * `get` answers at once; the others by a promise, without blocking the event loop.
 */
export class LmdbSessionStore implements SessionStore {
  /** The file, absolute. */
  readonly path: string
  readonly #environment: Environment
  readonly #gate: Gate
  readonly #sessions: Database<Buffer, Buffer>
  readonly #expiry: Database<Buffer, Buffer>
  readonly #maxBytes: number
  readonly #largest: number
  /** Writes of one transaction at most: each may copy several pages, none of which can be used again before the next. */
  readonly #batch: number
  readonly #timer: NodeJS.Timeout | undefined

  #closed: Promise<void> | undefined
  /** The turn of the last write; each waits for the one before, so that they keep their order when one makes room. */
  #lane: Promise<unknown> = Promise.resolve()
  #inFlight = 0
  /** Settles when all writes that are in flight have. */
  #landed: Promise<unknown> = Promise.resolve()
  /** Bytes of pages in use: measured at the start of a batch, estimated within it. */
  #used = 0
  /** Bytes of the file when last measured. */
  #length = Number.POSITIVE_INFINITY
  /** How much of the file sessions may take. */
  #fill = FILL
  /** Milliseconds to wait for pages to be given back. */
  #pause = 0

  /**
   * Opens the file, creating it when there is none.
   * @throws With `code` `ENOENT` when the folder does not exist, `ERR_STORE_PERMISSIONS` when everybody could read the
   *   file, `ERR_STORE_CORRUPT` when it is damaged or not LMDB's (it is left as it is), `ERR_STORE_UNAVAILABLE` when the
   *   package lmdb cannot be loaded, another of the system's codes (`EACCES`) when it cannot be opened.
   */
  constructor(options: string | LmdbSessionStoreOptions) {
    if (typeof options !== 'string' && (typeof options !== 'object' || options === null)) {
      throw wrongType('options', 'a path or an object', options)
    }
    const { path, maxBytes, sweepInterval } = typeof options === 'string' ? { path: options } : options
    if (typeof path !== 'string' || path === '') throw wrongType('path', 'the path of a file', path)
    const size = integerOption('maxBytes', maxBytes, 64 * 1024 ** 2, 4 * 1024 ** 2, 2 ** 40)
    const interval = intervalOption('sweepInterval', sweepInterval, 60)
    this.path = resolve(path)
    this.#maxBytes = size
    this.#largest = Math.floor(size / 64)
    this.#batch = Math.min(256, Math.max(8, Math.floor(size / 2 ** 18)))
    const encoding = { encoding: 'binary', keyEncoding: 'binary' } as const
    const { environment, content, gate } = openFile(this.path, Math.max(4 * size, 64 * 1024 ** 2), (environment) => ({
      sessions: environment.openDB<Buffer, Buffer>({ name: 'sessions', useVersions: true, ...encoding }),
      expiry: environment.openDB<Buffer, Buffer>({ name: 'expiry', ...encoding }),
    }))
    this.#environment = environment
    this.#sessions = content.sessions
    this.#expiry = content.expiry
    this.#gate = gate
    if (interval > 0) {
      // Its failure is that of the writes around it, and they report it. A sweep that failed is made up for by the next.
      this.#timer = setInterval(() => this.sweep().catch(() => {}), interval).unref()
    }
  }

  /** How many sessions there are; those that have expired count until they are swept. */
  get size(): number {
    this.#checkOpen()
    return this.#fresh(() => (this.#sessions.getStats() as { entryCount: number }).entryCount)
  }

  get(id: Buffer): Buffer | undefined {
    this.#checkOpen()
    checkId(id)
    const entry = this.#read(id)
    return entry && entry.expires > Date.now() ? entry.session : undefined
  }

  async take(id: Buffer): Promise<Buffer | undefined> {
    this.#checkOpen()
    checkId(id)
    const key = Buffer.from(id)
    for (;;) {
      const entry = this.#read(key)
      if (!entry) return undefined
      const { session, expires } = entry
      const taken = await this.#write(0, () =>
        this.#sessions.ifVersion(key, expires, () => {
          this.#sessions.remove(key)
          this.#expiry.remove(expiryKey(expires, key))
        }),
      )
      if (taken) return expires > Date.now() ? session : undefined
      // Another has taken or replaced it since it was read: look again.
      this.#checkOpen()
    }
  }

  async set(id: Buffer, session: Buffer, ttl: number): Promise<void> {
    this.#checkOpen()
    checkId(id)
    checkSession(session, this.#largest)
    checkTtl(ttl)
    if (ttl <= 0) return this.delete(id)
    const key = Buffer.from(id)
    const value = Buffer.from(session)
    const expires = Math.min(Date.now() + milliseconds(ttl), Number.MAX_SAFE_INTEGER)
    await this.#write(cost(value), () => {
      const old = this.#read(key)
      return this.#environment.batch(() => {
        this.#sessions.put(key, value, expires)
        this.#expiry.put(expiryKey(expires, key), NOTHING)
        if (old && old.expires !== expires) this.#expiry.remove(expiryKey(old.expires, key))
      })
    })
  }

  async delete(id: Buffer): Promise<void> {
    this.#checkOpen()
    checkId(id)
    const key = Buffer.from(id)
    await this.#write(0, () => {
      const old = this.#read(key)
      return this.#environment.batch(() => {
        this.#sessions.remove(key)
        if (old) this.#expiry.remove(expiryKey(old.expires, key))
      })
    })
  }

  /**
   * Drops what has expired, in short transactions between which others get their turn. Every process of the file does
   * this now and then on its own; what one has dropped the next does not find. Returns how many keys it dropped.
   */
  async sweep(): Promise<number> {
    this.#checkOpen()
    const end = expiryKey(Date.now() + 1, NOTHING)
    let dropped = 0
    for (;;) {
      const keys = this.#soonest(end)
      if (keys.length > 0) await this.#write(0, () => this.#drop(keys))
      dropped += keys.length
      if (keys.length < this.#batch || this.#closed) return dropped
    }
  }

  /** Closes the file once the writes under way are done. Any later call but `close` throws `ERR_STORE_CLOSED`. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      clearInterval(this.#timer)
      await this.#lane
      await this.#landed
      await this.#environment.close()
      await this.#gate.close()
    })()
    return this.#closed
  }

  #checkOpen(): void {
    if (this.#closed) throw storeError('ERR_STORE_CLOSED', `The session store ${this.path} is closed`)
  }

  /**
   * Reads the state of this moment: what other processes have committed is seen. The snapshot is let go at once, since
   * one that is kept would keep all pages replaced meanwhile from being used again.
   */
  #fresh<T>(read: () => T): T {
    this.#environment.resetReadTxn()
    try {
      return read()
    } catch (error) {
      throw failure(this.path, error)
    } finally {
      this.#environment.resetReadTxn()
    }
  }

  #read(id: Uint8Array): Entry | undefined {
    const entry = this.#fresh(() => this.#sessions.getEntry(id as Buffer))
    return entry && { session: Buffer.from(entry.value), expires: entry.version as number }
  }

  /** The first keys of the expiry tree, a batch of them at most. */
  #soonest(end?: Buffer): Buffer[] {
    const range = end ? { limit: this.#batch, end } : { limit: this.#batch }
    return this.#fresh(() => Array.from(this.#expiry.getKeys(range), (key) => Buffer.from(key)))
  }

  /** Drops the sessions of these keys of the expiry tree, unless they have been replaced by ones that expire later. */
  #drop(keys: Buffer[]): Promise<unknown> {
    const writes: Promise<unknown>[] = []
    const commit = this.#environment.batch(() => {
      for (const key of keys) {
        const id = key.subarray(8)
        writes.push(this.#sessions.ifVersion(id, Number(key.readBigUInt64BE()), () => this.#sessions.remove(id)))
        writes.push(this.#expiry.remove(key))
      }
    })
    // Each of them rejects when the commit fails, and a rejection that nobody looks at ends the process.
    return Promise.all([commit, ...writes])
  }

  /** Carries a write out in its turn, and answers when it has been committed. `cost` is what it may add to the file. */
  async #write<T>(cost: number, start: () => Promise<T>): Promise<T> {
    const turn = this.#lane.then(async () => {
      await this.#admit(cost)
      return this.#launch(start)
    })
    this.#lane = turn.catch(() => {})
    try {
      return await (await turn).commit
    } catch (error) {
      throw await commitFailure(this.path, error)
    }
  }

  /** Starts a write. Its commit comes wrapped: a promise for it would wait for it, and the next write is to join it. */
  async #launch<T>(start: () => Promise<T>): Promise<{ commit: Promise<T> }> {
    if (this.#gate.wanted) await this.#landed
    if (this.#inFlight === 0) await this.#gate.enter()
    const commit = new Promise<T>((resolve) => resolve(start()))
    const before = this.#landed
    const landed = () => {
      this.#inFlight--
      if (this.#inFlight === 0) this.#gate.leave()
      return before
    }
    this.#inFlight++
    this.#landed = commit.then(landed, landed)
    return { commit }
  }

  /** Waits until there is room: in the transaction, and in the file. */
  async #admit(cost: number): Promise<void> {
    if (this.#inFlight >= this.#batch) await this.#landed
    if (cost === 0) return
    if (this.#inFlight === 0) await this.#survey()
    const fits = () => this.#used + cost <= this.#maxBytes * this.#fill
    while (!fits()) {
      await this.#landed
      await this.#survey()
      const keys = fits() ? [] : this.#soonest()
      if (keys.length === 0) break
      await (await this.#launch(() => this.#drop(keys))).commit
      await this.#survey()
    }
    this.#used += cost
  }

  /**
   * Measures the file. When it grows towards its bound although there are pages enough that nobody uses, they are being
   * kept by readers: processes that were killed, or that wait for their turn on the processor. Then writing waits for a
   * moment, longer each time, and from now on more of the file is left for such moments.
   */
  async #survey(): Promise<void> {
    const { used, length } = this.#fresh(() => {
      const sessions = this.#sessions.getStats() as Tree & { free: Tree; root: Tree; lastPageNumber: number }
      const expiry = this.#expiry.getStats() as Tree
      const trees = [sessions, sessions.free, sessions.root, expiry]
      const used = trees.reduce((sum, tree) => sum + bytesOf(tree), 0)
      return { used, length: (sessions.lastPageNumber + 1) * sessions.pageSize }
    })
    const growth = length > this.#maxBytes * 0.7 ? Math.max(0, length - this.#length) : 0
    this.#used = used
    this.#length = length
    if (growth === 0) {
      this.#pause = 0
      return
    }
    this.#fill = Math.max(this.#fill - growth / this.#maxBytes, 0.1)
    this.#pause = Math.min(Math.max(10, this.#pause * 2), 1000)
    this.#environment.readerCheck()
    await setTimeout(this.#pause)
  }
}

/** What LMDB tells of one of its trees. */
interface Tree {
  pageSize: number
  treeBranchPageCount: number
  treeLeafPageCount: number
  overflowPages: number
}

function bytesOf(tree: Tree): number {
  return (tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages) * tree.pageSize
}

function expiryKey(expires: number, id: Buffer): Buffer {
  const key = Buffer.allocUnsafe(8 + id.length)
  key.writeBigUInt64BE(BigInt(expires))
  key.set(id, 8)
  return key
}

/** About what a session adds to the file: itself and its two keys, in pages that are two thirds full. */
function cost(session: Buffer): number {
  // LMDB puts a value that does not fit a page twice into pages of its own.
  if (session.length > 2000) return Math.ceil((session.length + 32) / 4096) * 4096 + 256
  return Math.ceil(session.length * 1.5) + 256
}
