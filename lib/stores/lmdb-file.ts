// What LMDB's files need before and around the store's own use of them: the library loaded only when wanted, a private
// place, a file that belongs to this boot of the machine, errors that say what happened. No session is read here.

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import type { RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb'
import { storeError } from './input.js'
import { Gate, sleep } from './lmdb-gate.js'

type Lmdb = typeof import('lmdb')
export type Environment = RootDatabase<Buffer, Buffer>

let loaded: Lmdb | undefined

/** LMDB is native and takes a while to load: only those who open a file pay for it. */
function lmdb(): Lmdb {
  try {
    loaded ??= createRequire(import.meta.url)('lmdb') as Lmdb
    return loaded
  } catch (error) {
    const hint =
      'Install it on this machine with `npm install lmdb`; optional dependencies must not be left out. Where its prebuilt ' +
      'part does not load (Debian 11), that takes a C++ compiler, make and python3.'
    throw storeError('ERR_STORE_UNAVAILABLE', `LmdbSessionStore cannot load the package lmdb. ${hint}`, error)
  }
}

/** An open file, what it holds, and the gate through which writes to it have to go. */
export interface LmdbFile<Content> {
  environment: Environment
  content: Content
  gate: Gate
}

/**
 * Opens the file in `path`, creating it when there is none.
 * @param mapSize Address space to reserve; more than the file will ever take.
 * @param prepare Opens what the file holds, or creates it in a new one.
 */
export function openFile<Content>(
  path: string,
  mapSize: number,
  prepare: (environment: Environment) => Content,
): LmdbFile<Content> {
  if (!existsSync(dirname(path))) {
    const hint = 'Create it first, readable by nobody else (mode 0700).'
    throw storeError('ENOENT', `The folder of the session store ${path} does not exist. ${hint}`)
  }
  const boot = bootId()
  const gatePath = `${path}-gate-${boot ?? 'any'}`
  checkFile(gatePath)
  const gate = attempt(gatePath, () => new Gate(open(gatePath, 1024 ** 2, false), path))
  try {
    const opened = gate.whileNobodyWrites(() => {
      if (boot !== undefined) discardOfEarlierBoot(path, basename(gatePath))
      checkFile(path)
      return attempt(path, () => openSound(path, mapSize, boot === undefined, prepare))
    })
    return { ...opened, gate }
  } catch (error) {
    gate.close()
    throw error
  }
}

function openSound<T>(path: string, mapSize: number, flushed: boolean, prepare: (environment: Environment) => T) {
  const environment = open(path, mapSize, flushed)
  try {
    checkLength(path, environment)
    return { environment, content: prepare(environment) }
  } catch (error) {
    environment.close()
    throw error
  }
}

/** @param flushed Whether a commit is on disk before it is acknowledged. */
function open(path: string, mapSize: number, flushed: boolean): Environment {
  const options: RootDatabaseOptionsWithPath & { permissionsMode: number } = {
    path,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    // Given to open(2): nobody else ever has access, not even for a moment.
    permissionsMode: 0o600,
    maxDbs: 4,
    // One for each thread of each process.
    maxReaders: 1024,
    mapSize,
    noSync: !flushed,
    // lmdb's default lets a commit wait for the disk all the same, and keeps pages from being used again.
    overlappingSync: false,
    // lmdb's default leaves the failure of a commit unhandled, which ends the process when a disk is full.
    eventTurnBatching: false,
  }
  return lmdb().open<Buffer, Buffer>(options)
}

/** How LMDB's first page says what it is: magic number and data version, in the machine's byte order. @see lmdb's mdb.c */
const HEADER = Buffer.from(new Uint32Array([0xbeefc0de, 2]).buffer)
/** Two of the smallest pages there are: what a new file has before anything is committed to it. */
const LEAST = 2 * 4096

/**
 * Finds what would keep LMDB from opening the file, and creates an empty one if there is none. LMDB must not be left to
 * find it: lmdb (3.5.6) ends the process with a segmentation fault when opening fails.
 */
function checkFile(path: string): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    const status = fstatSync(file)
    if (!status.isFile()) throw storeError('ERR_STORE_NOT_A_FILE', `The session store ${path} is not a file`)
    checkMode(path, status.mode)
    if (status.size > 0) checkHeader(path, file)
    else checkSpace(path)
  } finally {
    closeSync(file)
  }
  // Not opened like the other: closing it would drop the locks that this process may have on it.
  const lock = statSync(`${path}-lock`, { throwIfNoEntry: false })
  if (lock) {
    checkMode(`${path}-lock`, lock.mode)
    accessSync(`${path}-lock`, constants.R_OK | constants.W_OK)
  } else accessSync(dirname(path), constants.W_OK)
}

function checkMode(path: string, mode: number): void {
  // A group may have been given access on purpose; everybody cannot be meant. (On Windows the mode says nothing.)
  if (process.platform === 'win32' || (mode & 0o007) === 0) return
  const shown = (mode & 0o777).toString(8)
  const hint = 'It holds the secrets of TLS sessions: take the access of others away (chmod 600), or delete it.'
  throw storeError('ERR_STORE_PERMISSIONS', `The session store ${path} is open to everybody (mode ${shown}). ${hint}`)
}

function checkHeader(path: string, file: number): void {
  // Another process may be writing the first pages of a new file right now.
  for (let tries = 0; fstatSync(file).size < LEAST && tries < 50; tries++) sleep(2)
  const start = Buffer.alloc(64)
  readSync(file, start, 0, start.length, 0)
  if (fstatSync(file).size >= LEAST && start.includes(HEADER)) return
  throw damaged(path, 'it does not begin as one of its files')
}

function checkSpace(path: string): void {
  const { bavail, bsize } = statfsSync(dirname(path))
  if (bavail * bsize >= 1024 ** 2) return
  throw storeError('ENOSPC', `There is no space left for the session store ${path}`)
}

/** What identifies this boot of the machine, where the system tells. @see random(4) (`/proc/sys/kernel/random/boot_id`) */
function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return undefined
  }
}

/**
 * Commits that are not flushed survive the death of any process, but a crash of the machine leaves a file of which any
 * page may be old or new: it is not to be read again. Which boot a file belongs to is told by its gate, which has the
 * boot's id in its name.
 */
function discardOfEarlierBoot(path: string, gate: string): void {
  const folder = dirname(path)
  const earlier = readdirSync(folder).filter(
    (name) => name.startsWith(`${basename(path)}-gate-`) && !name.startsWith(gate),
  )
  if (earlier.length === 0) return
  for (const name of [path, `${path}-lock`]) rmSync(name, { force: true })
  // Last: if this is cut short, the next process starts over.
  for (const name of earlier) rmSync(join(folder, name), { force: true })
}

/**
 * A file cut short (a disk that was full while it was copied) is the damage that must be found before its pages are
 * touched: reading a mapped page beyond the end of the file kills the process. LMDB's own count of pages may run ahead
 * of the file by pages that were allocated and never written, which is far less than what is tolerated here.
 */
function checkLength(path: string, environment: Environment): void {
  const { lastPageNumber, pageSize } = environment.getStats() as { lastPageNumber: number; pageSize: number }
  environment.resetReadTxn()
  const expected = (lastPageNumber + 1) * pageSize
  const { size } = statSync(path)
  if (size < expected - 1024 ** 2 || size < expected / 2) {
    throw damaged(path, `it has ${size} bytes of ${expected}`)
  }
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw failure(path, error)
  }
}

/** LMDB's own codes for a file that is not, or no longer, what it should be. @see lmdb.h (`MDB_INVALID` and others) */
const corrupt = new Set([
  -30797, // MDB_PAGE_NOTFOUND
  -30796, // MDB_CORRUPTED
  -30794, // MDB_VERSION_MISMATCH
  -30793, // MDB_INVALID
  -30784, // MDB_INCOMPATIBLE
])

function damaged(path: string, how: string, cause?: unknown): Error {
  const hint =
    'It has been left as it is. Move it away to start with an empty store: full handshakes are all that it costs.'
  return storeError('ERR_STORE_CORRUPT', `The session store ${path} is damaged, or not LMDB's: ${how}. ${hint}`, cause)
}

/** The error to show for one that came out of LMDB: with a `code` that is a name, and what to do where something can be. */
export function failure(path: string, error: unknown): Error {
  const { code, message } = error as { code?: unknown; message: string }
  if (typeof code === 'number' && code > 0) {
    const name = getSystemErrorMap().get(-code)?.[0] ?? 'ERR_STORE_FAILED'
    // LMDB tells its readers apart by their process ids; this is how lmdb says that it was given no transaction.
    const clash = message.includes('No transaction to renew')
    let hint = clash ? '. Is the file shared by containers, whose processes have the same ids?' : ''
    if (name === 'EIO') hint = '. Is the disk full?'
    return storeError(name, `The session store ${path} failed: ${message} (${name})${hint}`, error)
  }
  if (typeof code === 'number' && corrupt.has(code)) return damaged(path, message, error)
  if (typeof code === 'string') return error as Error
  return storeError('ERR_STORE_FAILED', `The session store ${path} failed: ${message}`, error)
}

/** The same for a commit, whose error holds the promise of the real one. */
export async function commitFailure(path: string, error: unknown): Promise<Error> {
  try {
    await (error as { commitError?: Promise<never> }).commitError
    return failure(path, error)
  } catch (cause) {
    return failure(path, cause)
  }
}
