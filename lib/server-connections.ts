// The connections that a server has, and how many it has had. Making them is server.ts's business.

import type { Duplex } from 'node:stream'
import type { HandshakeCounts, ServerStats } from './server-types.js'
import type { TLSSocket } from './socket.js'

/** How many of these are ready for the application. */
function countReady(sockets: Set<TLSSocket>): number {
  return [...sockets].reduce((count, { secureConnecting }) => count + (secureConnecting ? 0 : 1), 0)
}

/** The connections of one server. */
export class ServerConnections {
  /** Those that the engine has accepted and JavaScript has heard of. */
  readonly #accepted = new Set<TLSSocket>()
  /** Those that JavaScript has accepted, or was handed. */
  readonly #handedIn = new Set<TLSSocket>()
  /** How many JavaScript was to make of transports. */
  #came = 0
  #open = 0
  #failed = 0
  readonly #handshakes: Record<string, HandshakeCounts> = {}

  /** A connection of the engine's. */
  accepted(socket: TLSSocket): void {
    this.#accepted.add(socket)
  }

  /** Whether this is a connection of the engine's. */
  hasAccepted(transport: Duplex): boolean {
    return this.#accepted.has(transport as TLSSocket)
  }

  /** A transport has come, of which `make` makes a connection. */
  handedIn(make: () => TLSSocket): TLSSocket {
    this.#came += 1
    const socket = make()
    this.#handedIn.add(socket)
    return socket
  }

  /** The application gets this one. */
  secured(socket: TLSSocket): void {
    const protocol = socket.getProtocol() ?? ''
    this.#handshakes[protocol] ??= { resumed: 0, full: 0 }
    this.#handshakes[protocol][socket.isSessionReused() ? 'resumed' : 'full'] += 1
    this.#open += 1
  }

  /** One went down before the application got it. */
  failed(): void {
    this.#failed += 1
  }

  closed(socket: TLSSocket): void {
    if (!socket.secureConnecting) this.#open -= 1
    this.#accepted.delete(socket)
    this.#handedIn.delete(socket)
  }

  /** Ends all of which JavaScript has heard. */
  destroy(): void {
    for (const socket of [...this.#accepted, ...this.#handedIn]) socket.destroy()
  }

  /** All of them, with what the engine has counted itself. */
  counts(engine: {
    accepted: number
    open: number
  }): Pick<ServerStats, 'accepted' | 'handshaking' | 'open' | 'failed' | 'handshakes'> {
    const began = this.#handedIn.size - countReady(this.#handedIn)
    const handshakes = Object.entries(this.#handshakes).map(([protocol, count]) => [protocol, { ...count }])
    return {
      accepted: this.#came + engine.accepted,
      handshaking: began + Math.max(0, engine.open - countReady(this.#accepted)),
      open: this.#open,
      failed: this.#failed,
      handshakes: Object.fromEntries(handshakes),
    }
  }
}
