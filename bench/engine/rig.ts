// Starts servers and loads, and takes the measurements that scenarios are made of. Every measurement checks that what it
// measured has happened; if not, it throws.

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Program, type Report, run } from './program.js'
import type { Credentials } from './setup.js'

/** A server program: node:tls, this library, this library with a store that answers late, or the bare C server. */
export type Peer = 'node' | 'ours' | 'slow' | 'c'

export interface Equipment {
  load: string
  peer: string
  ecdsa: Credentials
  rsa: Credentials
  /** Engine threads of our server. */
  threads: number
  /** What durations and large counts are multiplied with. */
  scale: number
}

interface ServerSettings {
  serve?: 'echo' | 'sink' | 'source' | 'http'
  /** Whether sessions live outside OpenSSL (the C server always does that). */
  external?: boolean
  key?: 'ecdsa' | 'rsa'
  /** Engine threads of our server, instead of the usual number. */
  threads?: number
}

interface LoadSettings {
  mode: 'resumed' | 'full' | 'idle' | 'bulk'
  protocol: '1.2' | '1.3'
  clients: number
  seconds?: number
  warmup?: number
  direction?: Direction
}

export type Direction = 'up' | 'down' | 'both'

interface Handshakes {
  handshakes: number
  resumed: number
  perSecond: number
}

interface Cost {
  /** Processor time of the server, microseconds. */
  cpu: number
  /** How often a thread of the server has gone to sleep. */
  switches: number
  perSecond: number
}

interface Transfer {
  sent: number
  received: number
  bytesPerSecond: number
}

const serverFile = fileURLToPath(new URL('server.js', import.meta.url))

const argumentsOf = (settings: object): string[] =>
  Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])

function expect(what: string, actual: number | undefined, wanted: number): void {
  if (actual !== wanted) throw new Error(`${what}: ${actual} instead of ${wanted}`)
}

/** Differences of two reports. */
function between(before: Report, after: Report): Report {
  const { handshakes, resumed, errors, received, sent, cpu, switches, rss } = before
  return {
    ...after,
    handshakes: after.handshakes - handshakes,
    resumed: after.resumed - resumed,
    errors: after.errors - errors,
    received: after.received - received,
    sent: after.sent - sent,
    cpu: after.cpu - cpu,
    switches: after.switches - switches,
    rss: after.rss - rss,
    requests: (after.requests ?? 0) - (before.requests ?? 0),
  }
}

/** A running server. */
class Server {
  readonly #program: Program
  #port = 0

  constructor(program: Program) {
    this.#program = program
  }

  async start(): Promise<void> {
    const { port } = await this.#program.read<{ port: number }>()
    this.#port = port
  }

  get port(): number {
    return this.#port
  }

  ask(word: 'report' | 'delay'): Promise<Report> {
    return this.#program.ask(word)
  }

  stop(): Promise<void> {
    return this.#program.stop()
  }
}

export class Rig {
  readonly #equipment: Equipment

  constructor(equipment: Equipment) {
    this.#equipment = equipment
  }

  /** A duration in seconds, or a large count, as long as the user wants it. */
  scaled(amount: number): number {
    return amount * this.#equipment.scale
  }

  /** What handshakes cost, each, and how many there were in a second. */
  handshakes(peer: Peer, server: ServerSettings, load: LoadSettings): Promise<Cost> {
    return this.#serve(peer, server, (running) => this.#shakeHands(running, load))
  }

  /** Rate of full handshakes, and the delay of the server's event loop before and meanwhile. */
  storm(
    peer: Peer,
    server: ServerSettings,
    load: LoadSettings,
  ): Promise<{ perSecond: number; idle: number; storm: number }> {
    return this.#serve(peer, server, async (running) => {
      await sleep(500)
      await running.ask('delay')
      await sleep(this.scaled(2000))
      const { delay: idle = Number.NaN } = await running.ask('report')
      const { perSecond, delay: storm = Number.NaN } = await this.#shakeHands(running, load, 'delay')
      return { perSecond, idle, storm }
    })
  }

  /** Bytes of resident memory that each of `clients` connections takes that have echoed a little and rest. */
  idle(peer: Peer, clients: number): Promise<number> {
    return this.#serve(peer, {}, async (server) => {
      // A short warm-up: what a long one leaves behind, free but resident, would make room for the connections.
      await this.#shakeHands(server, { mode: 'full', protocol: '1.3', clients: 64, seconds: 0 })
      const before = await server.ask('report')
      return this.#load(server, { mode: 'idle', protocol: '1.3', clients }, async (load) => {
        await sleep(2000)
        const after = await server.ask('report')
        expect("the server's connections", after.open, clients)
        await load.ask('go')
        return between(before, after).rss / clients
      })
    })
  }

  /** Bytes per second over `clients` connections. */
  bulk(peer: Peer, direction: Direction, clients: number): Promise<number> {
    const serve = ({ up: 'sink', down: 'source', both: 'echo' } as const)[direction]
    return this.#serve(peer, { serve }, async (server) => {
      await this.#transfer(server, direction, clients, this.scaled(0.5))
      return this.#transfer(server, direction, clients, this.scaled(1.5))
    })
  }

  /** HTTP/1.1 requests per second over 64 connections that stay open, and processor time per request. */
  http(peer: Peer): Promise<{ perSecond: number; cpu: number }> {
    return this.#serve(peer, { serve: 'http' }, async (server) => {
      const wrk = (seconds: number) =>
        run('wrk', ['-t1', '-c64', `-d${Math.ceil(seconds)}s`, `https://127.0.0.1:${server.port}/`])
      await wrk(1)
      const before = await server.ask('report')
      const output = await wrk(this.scaled(4))
      const used = between(before, await server.ask('report'))
      const number = (pattern: RegExp) => Number(pattern.exec(output)?.[1])
      const perSecond = number(/Requests\/sec:\s*([\d.]+)/)
      const requests = number(/(\d+) requests in/)
      // wrk gives up what is under way at its end, and tries the address at first with a connection that it closes at once.
      const unanswered = (used.requests ?? 0) - requests
      const sound =
        perSecond > 0 &&
        unanswered >= 0 &&
        unanswered <= 64 &&
        used.errors <= 1 &&
        !/Socket errors|Non-2xx/.test(output)
      if (!sound)
        throw new Error(
          `The server has counted ${used.requests} requests and ${used.errors} errors, and wrk says:\n${output}`,
        )
      return { perSecond, cpu: used.cpu / (used.requests ?? 0) }
    })
  }

  /** Starts a server, does `work` and stops it. */
  async #serve<T>(peer: Peer, settings: ServerSettings, work: (server: Server) => Promise<T>): Promise<T> {
    const { threads: usual, peer: cServer, ...equipment } = this.#equipment
    const { serve = 'echo', external = false, key = 'ecdsa', threads = usual } = settings
    const files = equipment[key]
    const store = peer === 'slow' ? 'slow' : external ? 'memory' : 'none'
    const options = { ...files, peer: peer === 'node' ? 'node' : 'ours', serve, store, threads }
    const server = new Server(
      peer === 'c'
        ? new Program(cServer, argumentsOf(files))
        : new Program(process.execPath, [serverFile, ...argumentsOf(options)]),
    )
    try {
      await server.start()
      return await work(server)
    } finally {
      await server.stop()
    }
  }

  /** Starts a load, does `work` when it is ready and stops it. */
  async #load<T>(server: Server, settings: LoadSettings, work: (load: Program) => Promise<T>): Promise<T> {
    const load = new Program(this.#equipment.load, argumentsOf({ port: server.port, ...settings }))
    try {
      await load.read()
      return await work(load)
    } finally {
      await load.stop()
    }
  }

  #shakeHands(server: Server, settings: LoadSettings, first: 'report' | 'delay' = 'report') {
    return this.#load(server, settings, async (load) => {
      const before = await server.ask(first)
      const result = await load.ask<Handshakes>('go')
      const used = between(before, await server.ask('report'))
      expect("the server's errors", used.errors, 0)
      expect("the server's handshakes", used.handshakes, result.handshakes)
      expect("the clients' resumed handshakes", result.resumed, settings.mode === 'resumed' ? result.handshakes : 0)
      expect("the server's resumed handshakes", used.resumed, result.resumed)
      const { handshakes, perSecond } = result
      return { cpu: used.cpu / handshakes, switches: used.switches / handshakes, perSecond, delay: used.delay }
    })
  }

  #transfer(server: Server, direction: Direction, clients: number, seconds: number): Promise<number> {
    return this.#load(server, { mode: 'bulk', protocol: '1.3', clients, direction, seconds }, async (load) => {
      const before = await server.ask('report')
      const { sent, received, bytesPerSecond } = await load.ask<Transfer>('go')
      const used = between(before, await server.ask('report'))
      expect("the server's errors", used.errors, 0)
      // Going down, every connection has asked with one byte, which the load does not count.
      expect('bytes that have gone up', used.received, direction === 'down' ? clients : sent)
      expect('bytes that have come down', received, used.sent)
      return bytesPerSecond
    })
  }
}
