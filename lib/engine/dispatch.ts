// Whom the engine's events are for, and how long its threads run. Knows no sockets.

import type { SSL } from '../libssl.js'
import { engine, type Reception, receptions, Told } from './functions.js'

/** Whoever is told of a connection, or of a listener. */
export interface Receiver {
  told(what: number, value: unknown): void
}

/** Whoever is told of a connection. */
export interface ConnectionReceiver extends Receiver {
  /** Keeps its sessions, where no profile does. */
  readonly sessions: SessionKeeper | null
  /** A callback of libssl is about to be told of this connection under its handle. */
  met(ssl: SSL): void
}

/** Told which session was found, or that none was, and whether nobody else can have got it. */
export type SessionAsker = (der: Uint8Array | null, taken: boolean) => Reception

/** Finds and keeps the sessions of accepted connections. None of it throws. */
export interface SessionKeeper {
  /** Looks a session up, to be used once or again, and answers. */
  find(id: Buffer, once: boolean, answer: SessionAsker): void
  /** What was looked up was not found in time, and is not wanted any more. */
  late(id: Buffer, once: boolean): void
  /** Keeps a session until a second since 1970. A promise says when others can find it; the client gets the session then, if that does not take long. */
  keep(id: Buffer, der: Buffer, until: number): PromiseLike<unknown> | null
  /** Takes a session back that was found, and not used. */
  giveBack(id: Buffer, der: Buffer): void
}

/** Where accepted connections come from. */
export interface Profile {
  readonly sessions: SessionKeeper | null
  /** Makes the receiver of a connection that was not heard of before. */
  introduce(connection: number): ConnectionReceiver
  /** A connection has ended, whether or not it was ever heard of. */
  ended(): void
}

const connections = new Map<number, ConnectionReceiver>()
const listeners = new Map<number, Receiver>()
const profiles = new Map<number, Profile>()
let awake = 0
let isSetUp = false
let idle: NodeJS.Timeout | null = null

/** Milliseconds for which threads with nothing to do are kept. */
const linger = 1000

function dispatch(what: number, connection: number, source: number, value: unknown): void {
  if (connection === 0) {
    if (what === Told.profileGone) profiles.delete(source)
    else listeners.get(source)?.told(what, value)
    return
  }
  if (what === Told.closed) {
    const receiver = connections.get(connection)
    connections.delete(connection)
    receiver?.told(what, value)
    profiles.get(source)?.ended()
    rest()
    return
  }
  if (what < Told.lookupOnce || what === Told.completed) receiverOf(connection, source)?.told(what, value)
  else keepOrFind(what, connection, profiles.get(source)?.sessions ?? connections.get(connection)?.sessions, value)
}

function keepOrFind(what: number, connection: number, keeper: SessionKeeper | null | undefined, value: unknown): void {
  if (keeper === null || keeper === undefined) return
  if (what === Told.giveBack) {
    const [id, der] = value as [Buffer, Buffer]
    keeper.giveBack(id, der)
    return
  }
  if (what === Told.keep) {
    const kept = keeper.keep(...(value as [Buffer, Buffer, number]))
    if (kept === null) return
    engine.hold(connection, 1)
    kept.then(() => engine.hold(connection, 0))
    return
  }
  const id = value as Buffer
  const once = what === Told.lookupOnce || what === Told.storeLateOnce
  if (what === Told.storeLate || what === Told.storeLateOnce) keeper.late(id, once)
  else
    keeper.find(id, once, (der, taken) => receptions[engine.answer(connection, id, der, taken ? 1 : 0)] ?? 'unwanted')
}

function receiverOf(connection: number, profile: number): ConnectionReceiver | undefined {
  const known = connections.get(connection)
  if (known !== undefined) return known
  const fresh = profiles.get(profile)?.introduce(connection)
  if (fresh !== undefined) connections.set(connection, fresh)
  return fresh
}

/** Makes sure that so many threads run. Throws when they cannot be started. */
export function wake(threads: number): void {
  if (idle !== null) clearTimeout(idle)
  idle = null
  if (!isSetUp) {
    engine.setUp(dispatch)
    // Nothing waits for the threads of a process that exits, and what counts as written is not to be lost.
    process.on('exit', () => engine.settle())
  }
  isSetUp = true
  engine.start(threads)
}

/** Ends the threads a while after the last listener and connection. */
function rest(): void {
  if (connections.size > 0 || listeners.size > 0 || idle !== null) return
  idle = setTimeout(() => {
    idle = null
    if (connections.size === 0 && listeners.size === 0) engine.stop()
  }, linger).unref()
}

/** How many connections each thread has. */
export function loads(): number[] {
  return isSetUp ? engine.loads() : []
}

/** Keeps the program alive until as many calls with false were made as with true. */
export function keepAlive(on: boolean): void {
  awake += on ? 1 : -1
  if (awake === (on ? 1 : 0)) engine.keepAlive(on ? 1 : 0)
}

export function addConnection(connection: number, receiver: ConnectionReceiver): void {
  connections.set(connection, receiver)
}

export function addListener(listener: number, receiver: Receiver): void {
  listeners.set(listener, receiver)
}

/** After it has closed and its last connection has. */
export function removeListener(listener: number): void {
  listeners.delete(listener)
  engine.forgetListener(listener)
  rest()
}

/** Forgotten when the engine has no use for it any more. */
export function addProfile(number: number, profile: Profile): void {
  profiles.set(number, profile)
}

/** Tells the receiver of this SSL under which handle it is about to be mentioned. */
export function introduce(ssl: SSL): void {
  const owner = engine.owner(ssl)
  if (owner !== null) receiverOf(owner[0], owner[1])?.met(ssl)
}
