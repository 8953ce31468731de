// Real servers of Redis or Valkey, for tests and demos: one, or a Cluster of three masters, on free ports of the loopback,
// each in a folder of its own. Whatever is forgotten ends with the process.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, createCluster, createSentinel, type RedisClientOptions } from 'redis'
import { thorough } from './thorough.js'

/** Programs that speak Redis's protocol. */
export type RedisProgram = 'redis-server' | 'valkey-server'

/** Those that this machine has, if the tests go on at length. redis-server is always among them: without it, tests are to fail. */
export const redisPrograms: readonly RedisProgram[] = (['redis-server', 'valkey-server'] as const).filter(
  (program) => program === 'redis-server' || (thorough && spawnSync(program, ['--version']).status === 0),
)

/** Where a server runs: its address, and what a command that runs there begins with. */
interface Place {
  readonly address: string
  readonly entering: readonly string[]
}

const LOOPBACK: Place = { address: '127.0.0.1', entering: [] }

const running = new Set<RedisServer>()
process.on('exit', () => {
  for (const server of running) server.abandon()
})

/**
 * A port that nobody listened on a moment ago; the Cluster's bus needs the one 10000 above too. Both are below those that
 * the system gives to outgoing connections (32768 and up), which might take them while a server is down.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 12_000)
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port === port
  } catch {
    return false
  } finally {
    server.close()
  }
}

interface Client {
  readonly isOpen: boolean
  on(event: 'error', ignore: () => void): unknown
  connect(): Promise<unknown>
  destroy(): void
}

// What the methods below return, and not what redis's functions might: the compiler takes seconds to compare those.
export type ConnectedClient = Awaited<ReturnType<RedisServer['client']>>
export type ConnectedSentinel = Awaited<ReturnType<RedisServer['throughSentinel']>>
export type ConnectedCluster = Awaited<ReturnType<RedisCluster['client']>>

/** Clients of a server or a Cluster, which end with it. */
class Clients {
  readonly #open = new Set<Client>()

  async connect<C extends Client>(client: C): Promise<C> {
    // Servers go away here.
    if (!this.#open.has(client)) client.on('error', () => {})
    this.#open.add(client)
    await client.connect()
    return client
  }

  destroy(): void {
    for (const client of this.#open) if (client.isOpen) client.destroy()
    this.#open.clear()
  }
}

/** A server of Redis or Valkey. */
export class RedisServer {
  readonly #clients = new Clients()
  readonly port: number
  readonly program: RedisProgram
  readonly #place: Place
  readonly #args: string[]
  readonly #config: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'openssl-session-redis-'))
  #child: ChildProcess | undefined
  #asking: ConnectedClient | undefined

  private constructor(program: RedisProgram, place: Place, port: number, args: string[], config: string) {
    this.program = program
    this.#place = place
    this.port = port
    this.#args = args
    this.#config = config
  }

  /** `args` are directives of redis.conf, as `--maxmemory`, `2mb`. */
  static async start(
    args: string[] = [],
    program: RedisProgram = 'redis-server',
    place = LOOPBACK,
  ): Promise<RedisServer> {
    const server = new RedisServer(program, place, await freePort(), args, '')
    await server.run()
    return server
  }

  /** A Sentinel that watches this server under the name `sessions`. The caller stops it. */
  async sentinel(): Promise<RedisServer> {
    const watch = `sentinel monitor sessions ${this.#place.address} ${this.port} 1\n`
    const sentinel = new RedisServer(this.program, this.#place, await freePort(), ['--sentinel'], watch)
    await sentinel.run()
    return sentinel
  }

  /** A client that finds its server through this Sentinel, until that stops. */
  throughSentinel() {
    const sentinelRootNodes = [{ host: this.#place.address, port: this.port }]
    return this.#clients.connect(createSentinel({ name: 'sessions', sentinelRootNodes }))
  }

  /** Address and port. */
  get address(): string {
    return `${this.#place.address}:${this.port}`
  }

  get url(): string {
    return `redis://${this.address}`
  }

  /** Starts it, or starts it again after `kill`: on the same port, with an empty database. */
  async run(): Promise<void> {
    const { address, entering } = this.#place
    const where = ['--port', String(this.port), '--bind', address, '--protected-mode', 'no', '--dir', this.#folder]
    const keep = ['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning']
    // A Sentinel keeps what it learns in the file.
    const file = join(this.#folder, 'redis.conf')
    writeFileSync(file, this.#config)
    const [command = '', ...args] = [...entering, this.program, file, ...where, ...keep, ...this.#args]
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes
    })
    this.#child = child
    running.add(this)
    child.once('error', (error) => {
      output += error.message
    })
    for (let tries = 0; tries < 250; tries++) {
      if (child.exitCode !== null || child.pid === undefined) break
      if (await answers(address, this.port)) return
      await sleep(20)
    }
    child.kill('SIGKILL')
    throw new Error(`${this.program} did not start: ${output}`)
  }

  /** A client that is connected, until the server stops. `port` is for one that is in between. */
  client(options: RedisClientOptions = {}, port = this.port) {
    return this.#clients.connect(this.#make(options, port))
  }

  #make(options: RedisClientOptions, port = this.port) {
    return createClient({ url: `redis://${this.#place.address}:${port}`, ...options })
  }

  /** Asks it something, through a connection that is there only for that. One question at a time. */
  async ask<T>(question: (client: ConnectedClient) => Promise<T>): Promise<T> {
    // Kept although it is connected anew: making one for other options than last time takes redis 20 ms of processor time.
    this.#asking ??= this.#make({ socket: { reconnectStrategy: false } })
    const client = await this.#clients.connect(this.#asking)
    try {
      return await question(client)
    } finally {
      client.destroy()
    }
  }

  /** Lets it stand still, with its connections open, or go on. */
  freeze(still: boolean): void {
    this.#child?.kill(still ? 'SIGSTOP' : 'SIGCONT')
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Ends it without a word to anybody. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#clients.destroy()
    await this.kill()
    this.abandon()
  }

  /** The same without waiting, for a process that ends. */
  abandon(): void {
    running.delete(this)
    this.#child?.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function answers(address: string, port: number): Promise<boolean> {
  const socket = net.connect(port, address)
  try {
    await once(socket, 'connect')
    socket.write('PING\r\n')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return answer.toString() === '+PONG\r\n'
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

interface ClusterOptions {
  /** Of each master. */
  replicas?: 0 | 1
  program?: RedisProgram
  args?: string[]
  /** Nodes are divided among them in turn. */
  places?: readonly Place[]
}

/** A Cluster of three masters, and of a replica for each if wanted. */
export class RedisCluster {
  readonly nodes: RedisServer[]
  readonly #clients = new Clients()

  private constructor(nodes: RedisServer[]) {
    this.nodes = nodes
  }

  /** `args` are directives of redis.conf for all nodes, besides those that make a Cluster of them. */
  static async start({
    replicas = 0,
    program = 'redis-server',
    args = [],
    places = [LOOPBACK],
  }: ClusterOptions = {}): Promise<RedisCluster> {
    const common = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '700']
    const replication = ['--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0']
    const start = (_: unknown, index: number) =>
      RedisServer.start([...common, ...replication, ...args], program, places[index % places.length])
    const nodes = await Promise.all(Array.from({ length: 3 * (1 + replicas) }, start))
    const addresses = nodes.map(({ address }) => address)
    const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', String(replicas), '--cluster-yes']
    const cli = spawn(program.replace('server', 'cli'), create, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [cli.stdout, cli.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes))
    const [code] = await once(cli, 'close')
    if (code !== 0) throw new Error(`No Cluster could be created: ${output}`)
    const cluster = new RedisCluster(nodes)
    await cluster.#ready()
    return cluster
  }

  /** Each node joins when it has heard of all others, and replicas when they have copied their masters. */
  async #ready(): Promise<void> {
    const state = async (client: ConnectedClient): Promise<string> =>
      (await client.clusterInfo()) + (await client.info('replication'))
    for (;;) {
      const said = await Promise.all(this.nodes.map((node) => node.ask(state)))
      const complete = said.every((info) => /cluster_slots_ok:16384\b/.test(info) && /cluster_state:ok/.test(info))
      const masters = said.filter((info) => info.includes('role:master')).length
      if (complete && masters === 3 && !said.some((info) => info.includes('master_link_status:down'))) return
      await sleep(100)
    }
  }

  /** A client that is connected, until the Cluster stops. */
  client() {
    const useReplicas = this.nodes.length > 3
    return this.#clients.connect(createCluster({ rootNodes: this.nodes.map(({ url }) => ({ url })), useReplicas }))
  }

  /** The nodes that are masters now, of those that run. */
  async masters(): Promise<RedisServer[]> {
    const nodes = this.nodes.filter(({ isRunning }) => isRunning)
    const isMaster = (node: RedisServer): Promise<boolean> =>
      node.ask(async (client) => (await client.role())?.role === 'master')
    const answers = await Promise.all(nodes.map(isMaster))
    return nodes.filter((_, index) => answers[index])
  }

  /** Brings nodes back that were killed. One whose replica has taken its place is the replica's replica from then on. */
  async revive(): Promise<void> {
    await Promise.all(this.nodes.filter(({ isRunning }) => !isRunning).map((node) => node.run()))
    await this.#ready()
  }

  async stop(): Promise<void> {
    this.#clients.destroy()
    await Promise.all(this.nodes.map((node) => node.stop()))
  }
}
