// Listening on the engine in the place of net.Server, which still does arguments, look-ups, cluster and events. One listening
// socket is engine/listener.ts's business.

import net from 'node:net'
import { systemError } from './engine/connection.js'
import { EngineListener, type InnerHandle, type Limit, type ListenerOwner } from './engine/listener.js'
import type { Server } from './server.js'

/** Where net.Server has arrived with all arguments looked at and looked up. */
export type Listen2Arguments = [
  address: string | null,
  port: number,
  addressType: number,
  backlog: number,
  fd: number | undefined,
  flags: number | undefined,
]

/** What net.Server has for its subclasses; not public, but the same in every Node that this package runs on. */
interface NetServerInternals {
  _handle: (InnerHandle & { ref?(): void }) | EngineListener | null
  _listen2(...args: Listen2Arguments): void
  _emitCloseIfDrained(): void
}

const netServer = net.Server.prototype as unknown as NetServerInternals

/** libuv's flag for sockets that take IPv6 only. */
const v6OnlyFlag = 1

/** Events whose listeners change how the engine treats connections. */
const treatments = new Set<string | symbol>(['newSession', 'resumeSession', 'keylog', 'connection'])

/** What the engine listens with for one server; nothing where it has no threads for that. */
export class ServerListening {
  readonly #server: Server
  readonly #threads: number
  readonly #owner: ListenerOwner
  /** What the engine listens with, and what it has listened with as long as connections from there are open. */
  readonly #listeners = new Set<EngineListener>()
  /** Of listeners that are gone. */
  readonly #past = { accepted: 0, dropped: 0 }
  /** The event whose listener is about to be added. */
  #coming: string | symbol | null = null
  #limit: Limit
  #reusePort = false

  /** `profile` says how connections to come are treated. */
  constructor(server: Server, threads: number, profile: ListenerOwner['profile']) {
    this.#server = server
    this.#threads = threads
    this.#owner = this.#makeOwner(profile)
    if (threads === 0) return
    // Told before the first and after the last: connections that come from now on are treated accordingly, within this turn too.
    server.on('newListener', (event) => this.#treat(event, event))
    server.on('removeListener', (event) => this.#treat(event, null))
  }

  /** How many connections may be open; undefined for any number. */
  get limit(): Limit {
    return this.#limit
  }

  set limit(limit: Limit) {
    this.#limit = limit
    for (const one of this.#listeners) one.limit(limit)
  }

  /** Of the connections that have been accepted here. */
  get counts(): { accepted: number; dropped: number; open: number } {
    const sum = { ...this.#past, open: 0 }
    for (const { counts } of this.#listeners) {
      sum.accepted += counts.accepted
      sum.dropped += counts.dropped
      sum.open += counts.open
    }
    return sum
  }

  /** What net.Server is to be called with for these arguments of `listen`. */
  prepare(args: unknown[]): unknown[] {
    const [options] = args as [{ reusePort?: unknown } | null | undefined]
    this.#reusePort = typeof options === 'object' && options?.reusePort === true
    if (!this.#reusePort || this.#threads === 0) return args
    return [{ ...options, reusePort: false, exclusive: true }, ...args.slice(1)]
  }

  /** Listens, as net.Server's `_listen2` does. */
  begin(...[address, port, addressType, backlog, fd, flags]: Listen2Arguments): void {
    const server = this.#server as unknown as NetServerInternals
    const inner = server._handle as InnerHandle | null
    // A handle without a descriptor is the cluster's: connections come from the primary process, as net.Sockets.
    if (this.#threads > 0 && (inner === null || (inner.fd ?? -1) >= 0)) {
      const v6Only = ((flags ?? 0) & v6OnlyFlag) !== 0
      const given = typeof fd === 'number' && fd >= 0 ? fd : undefined
      const target = { address: address || null, port, fd: given, v6Only, reusePort: this.#reusePort, inner }
      server._handle = new EngineListener(target, this.#threads, this.#limit, this.#owner)
    }
    // With nothing given, this is what net tries first, and what it names in errors.
    const isTried = server._handle instanceof EngineListener && inner === null && (fd ?? -1) < 0
    netServer._listen2.call(server, isTried ? address || '::' : address, port, addressType, backlog, fd, flags)
  }

  /** Emits 'close' if nothing is left, as net.Server's `_emitCloseIfDrained` does. */
  emitCloseIfDrained(): void {
    if (this.#listeners.size === 0) netServer._emitCloseIfDrained.call(this.#server)
  }

  /** Connections to come are treated as things are now. */
  configure(): void {
    for (const listener of this.#listeners) listener.configure()
  }

  /** Ends every connection that was accepted here, those too of which nobody has heard. */
  closeConnections(): void {
    for (const listener of this.#listeners) listener.closeConnections()
  }

  /** Whether somebody listens to the server's event, besides so many of our own, or is about to. */
  isHeard(event: string, own = 0): boolean {
    return this.#server.listenerCount(event) > own || this.#coming === event
  }

  #treat(event: string | symbol, coming: string | symbol | null): void {
    if (!treatments.has(event)) return
    this.#coming = coming
    this.configure()
    this.#coming = null
  }

  #makeOwner(profile: ListenerOwner['profile']): ListenerOwner {
    const server = this.#server
    return {
      profile,
      opened: (listener) => this.#listeners.add(listener),
      acceptFailed: (errno) => {
        const error = systemError(errno, 'accept')
        if (server.listenerCount('acceptError') > 0) server.emit('acceptError', error)
        else process.emitWarning(error)
      },
      dropped: ({ local, remote }) => {
        server.emit('drop', {
          localAddress: local?.address,
          localPort: local?.port,
          localFamily: local?.family,
          remoteAddress: remote?.address,
          remotePort: remote?.port,
          remoteFamily: remote?.family,
        } as net.DropArgument)
      },
      closeServer: (done) => void server.close(done),
      drained: (listener, { accepted, dropped }) => {
        this.#past.accepted += accepted
        this.#past.dropped += dropped
        this.#listeners.delete(listener)
        this.emitCloseIfDrained()
      },
    }
  }
}
