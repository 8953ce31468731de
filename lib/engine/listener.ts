// A listening socket of the engine in the shape in which net.Server knows what it listens with (its `_handle`): bound when it
// begins to listen, with error numbers as results. net.Server does the rest: arguments, look-ups, cluster, events.

import { chmodSync, statSync, unlinkSync } from 'node:fs'
import net from 'node:net'
import { constants } from 'node:os'
import type { SSL_CTX } from '../libssl.js'
import {
  addListener,
  addProfile,
  keepAlive,
  type Profile,
  type Receiver,
  removeListener,
  type SessionKeeper,
  wake,
} from './dispatch.js'
import { type EngineAddress, type EngineSettings, engine, Told } from './functions.js'

/** Where to listen: what net.Server hands on. */
export interface ListenTarget {
  /** A numeric address, or the path of a Unix socket when `port` is -1; null for every address of the machine. */
  address: string | null
  port: number
  fd: number | undefined
  v6Only: boolean
  reusePort: boolean
  /** A listening handle that somebody else has made and that closes with this one. */
  inner: InnerHandle | null
}

/** A handle of net's: node's cluster shares those of the primary process. */
export interface InnerHandle {
  readonly fd?: number
  getsockname?(out: object): number
  onconnection?: unknown
  close(done?: () => void): void
}

/** What a listener makes of what it accepts. */
export interface ListenerOwner {
  /** The context and the settings for connections to come. */
  profile(): {
    ctx: SSL_CTX
    settings: EngineSettings
    introduce: Profile['introduce']
    sessions: SessionKeeper | null
  }
  /** It listens. */
  opened(listener: EngineListener): void
  /** Accepting is not possible for now, and is tried again. */
  acceptFailed(errno: number): void
  /** There were too many connections for one more. */
  dropped(addresses: { local: EngineAddress | null; remote: EngineAddress | null }): void
  /** Somebody has closed the inner handle, who means the server: node's cluster, when a worker is told to go. */
  closeServer(done?: () => void): void
  /** It is closed, and so are all connections that came from it. */
  drained(listener: EngineListener, counts: { accepted: number; dropped: number }): void
}

/** How many connections may be open; undefined for any number. */
export type Limit = number | undefined

function bind({ address, port, fd, v6Only, reusePort, inner }: ListenTarget): number {
  if (inner !== null) return engine.takeDescriptor(inner.fd ?? -1)
  if (fd !== undefined) {
    const taken = engine.takeDescriptor(fd)
    // What net says of a number that is no descriptor.
    return taken === -constants.errno.EBADF ? -constants.errno.EINVAL : taken
  }
  if (address !== null && port < 0) return isAbstract(address) ? bindAbstract(address) : engine.bindPath(address)
  const flags = [v6Only ? 1 : 0, reusePort ? 1 : 0] as const
  if (address !== null) return engine.bindTcp(address, port, ...flags)
  const dual = engine.bindTcp('::', port, ...flags)
  return dual >= 0 ? dual : engine.bindTcp('0.0.0.0', port, ...flags)
}

/** Whether a Unix socket's name is one without a file. */
function isAbstract(path: string): boolean {
  return path.startsWith('\0')
}

/** Where such a name ends is for the Node at hand to say: its clients have to find it. */
function bindAbstract(name: string): number {
  const { _createServerHandle } = net as unknown as {
    _createServerHandle(address: string, port: number, addressType: number): InnerHandle | number
  }
  const handle = _createServerHandle(name, -1, -1)
  if (typeof handle === 'number') return handle
  const fd = engine.takeDescriptor(handle.fd ?? -1)
  handle.close()
  return fd
}

export class EngineListener implements Receiver {
  /** The socket address, for net.Server; a Unix socket has none. */
  getsockname?: (out: object) => number
  /** net.Server's. Nothing is accepted here that it would be told of, except by an inner handle. */
  onconnection?: (...args: unknown[]) => void
  readonly #owner: ListenerOwner
  readonly #target: ListenTarget
  readonly #threads: number
  #id = 0
  #fd = -1
  #address: EngineAddress | null = null
  #limit: Limit
  #keepsAlive = false
  #closed = false
  #stopped = false
  #afterClose: (() => void) | undefined
  readonly #closeInner: () => void = () => {}

  constructor(target: ListenTarget, threads: number, limit: Limit, owner: ListenerOwner) {
    this.#target = target
    this.#threads = threads
    this.#limit = limit
    this.#owner = owner
    const { inner } = target
    if (inner !== null) {
      const close = inner.close
      this.#closeInner = () => close.call(inner)
      inner.close = (done) => owner.closeServer(done)
    }
    if (target.address === null || target.port >= 0) {
      this.getsockname = (out) => {
        const address = this.#address
        if (address === null) return -constants.errno.EBADF
        Object.assign(out, address)
        return 0
      }
    }
  }

  /** The number of the listening descriptor; -1 while there is none. */
  get fd(): number {
    return this.#fd
  }

  /** Binds and listens. Returns 0 or a negative error number. */
  listen(backlog: number): number {
    const { fd: given, inner } = this.#target
    // A handle that listens already may accept connections too: net.Server has them as its own.
    if (inner !== null) inner.onconnection = (...args: unknown[]) => this.onconnection?.(...args)
    const { ctx, settings, introduce, sessions } = this.#owner.profile()
    const fd = bind(this.#target)
    if (fd < 0) return fd
    const error = engine.listenOn(fd, backlog)
    if (error !== 0) {
      engine.closeDescriptor(fd)
      // What net says of a descriptor that is no socket.
      return given !== undefined && error === -constants.errno.ENOTSOCK ? -constants.errno.EINVAL : error
    }
    try {
      wake(this.#threads)
    } catch (failure) {
      engine.closeDescriptor(fd)
      return errorNumber(failure)
    }
    this.#address = engine.descriptorAddress(fd)
    this.#fd = fd
    this.#id = engine.listen(fd, ctx, settings)
    addProfile(this.#id, { introduce, sessions, ended: this.#settle })
    addListener(this.#id, this)
    this.#owner.opened(this)
    this.limit(this.#limit)
    this.ref()
    return 0
  }

  /** Connections to come get what the owner's profile says now. */
  configure(): void {
    if (this.#id === 0 || this.#closed) return
    const { ctx, settings, introduce, sessions } = this.#owner.profile()
    addProfile(engine.configure(this.#id, ctx, settings), { introduce, sessions, ended: this.#settle })
  }

  limit(limit: Limit): void {
    this.#limit = limit
    if (this.#id !== 0) engine.limitConnections(this.#id, limit ?? -1)
  }

  /** Connections that were accepted here and have not ended, and how many there have been. */
  get counts(): { open: number; accepted: number; dropped: number } {
    return (this.#id === 0 ? null : engine.counts(this.#id)) ?? { open: 0, accepted: 0, dropped: 0 }
  }

  /** Ends every connection that was accepted here, those too of which nobody has heard. */
  closeConnections(): void {
    if (this.#id !== 0) engine.closeConnections(this.#id)
  }

  close(done?: () => void): void {
    if (this.#closed) return
    // As with every handle of libuv, the program lives to see its end.
    this.ref()
    this.#closed = true
    this.#afterClose = done
    this.#closeInner()
    if (this.#id === 0) {
      // It has never listened.
      if (done !== undefined) process.nextTick(done)
      return
    }
    const { address, port, fd } = this.#target
    if (address !== null && port < 0 && !isAbstract(address)) unlinkIfThere(address)
    if (fd !== undefined) engine.closeDescriptor(fd)
    engine.closeListener(this.#id)
  }

  ref(): void {
    if (!this.#keepsAlive && this.#id !== 0 && !this.#closed) {
      this.#keepsAlive = true
      keepAlive(true)
    }
  }

  unref(): void {
    if (this.#keepsAlive) keepAlive(false)
    this.#keepsAlive = false
  }

  /** Gives a Unix socket to everybody: 1 for readers, 2 for writers. */
  fchmod(mode: number): number {
    const path = this.#target.address ?? ''
    try {
      chmodSync(path, statSync(path).mode | (mode & 1 ? 0o444 : 0) | (mode & 2 ? 0o222 : 0))
      return 0
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -constants.errno.EIO
    }
  }

  told(what: number, value: unknown): void {
    if (what === Told.dropped) {
      this.#owner.dropped(value as Parameters<ListenerOwner['dropped']>[0])
    } else if (value !== 0) {
      this.#owner.acceptFailed(value as number)
    } else {
      this.#stopped = true
      this.unref()
      this.#settle()
    }
  }

  /** When it is closed and its last connection has ended, that is the end. */
  #settle = (): void => {
    if (!this.#stopped || this.counts.open > 0) return
    this.#stopped = false
    const { counts } = this
    removeListener(this.#id)
    this.#id = 0
    this.#owner.drained(this, counts)
    this.#afterClose?.()
  }
}

/** The negative number of a system's error, which net.Server wants instead of an exception. */
function errorNumber(error: unknown): number {
  const number = constants.errno[(error as NodeJS.ErrnoException).code as keyof typeof constants.errno]
  if (number === undefined) throw error
  return -number
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Somebody has removed or replaced it.
  }
}
