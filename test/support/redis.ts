// Real redis-servers for tests: one, or a Cluster of three masters, on free ports of the loopback, each in a folder of its
// own. Whatever a test forgets ends with the process.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, createCluster, createSentinel, type RedisClientOptions } from 'redis'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A port that nobody listened on a moment ago; the Cluster's bus needs the one 10000 above too. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
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

/** Clients of a server or a Cluster, which end with it. */
class Clients {
  readonly #open = new Set<Client>()

  async connect<C extends Client>(client: C): Promise<C> {
    // Servers go away here.
    client.on('error', () => {})
    this.#open.add(client)
    await client.connect()
    return client
  }

  destroy(): void {
    for (const client of this.#open) if (client.isOpen) client.destroy()
    this.#open.clear()
  }
}

/** A redis-server. */
export class RedisServer {
  readonly #clients = new Clients()
  readonly port: number
  readonly #args: string[]
  readonly #config: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'openssl-session-redis-'))
  #child: ChildProcess | undefined

  private constructor(port: number, args: string[], config: string) {
    this.port = port
    this.#args = args
    this.#config = config
  }

  /** `args` are directives of redis.conf, as `--maxmemory`, `2mb`. */
  static async start(...args: string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), args, '')
    await server.run()
    return server
  }

  /** A Sentinel that watches this server under the name `sessions`. The caller stops it. */
  async sentinel(): Promise<RedisServer> {
    const watch = `sentinel monitor sessions 127.0.0.1 ${this.port} 1\n`
    const sentinel = new RedisServer(await freePort(), ['--sentinel'], watch)
    await sentinel.run()
    return sentinel
  }

  /** A client that finds its server through this Sentinel, until that stops. */
  throughSentinel(): Promise<ReturnType<typeof createSentinel>> {
    const sentinelRootNodes = [{ host: '127.0.0.1', port: this.port }]
    return this.#clients.connect(createSentinel({ name: 'sessions', sentinelRootNodes }))
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, or starts it again after `kill`: on the same port, with an empty database. */
  async run(): Promise<void> {
    const where = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder]
    const keep = ['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning']
    // A Sentinel keeps what it learns in the file.
    const file = join(this.#folder, 'redis.conf')
    writeFileSync(file, this.#config)
    const child = spawn('redis-server', [file, ...where, ...keep, ...this.#args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes
    })
    this.#child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    child.once('error', (error) => {
      output += error.message
    })
    for (let tries = 0; tries < 250; tries++) {
      if (child.exitCode !== null || child.pid === undefined) break
      if (await answers(this.port)) return
      await sleep(20)
    }
    child.kill('SIGKILL')
    throw new Error(`redis-server did not start: ${output}`)
  }

  /** A client that is connected, until the server stops. `port` is for one that is in between. */
  client(options: RedisClientOptions = {}, port = this.port): Promise<ReturnType<typeof createClient>> {
    return this.#clients.connect(createClient({ url: `redis://127.0.0.1:${port}`, ...options }))
  }

  /** Lets it stand still, with its connections open, or go on. */
  freeze(still: boolean): void {
    this.#child?.kill(still ? 'SIGSTOP' : 'SIGCONT')
  }

  /** Ends it without a word to anybody. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#clients.destroy()
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
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

/** A Cluster of three masters, and of a replica for each if wanted. */
export class RedisCluster {
  readonly nodes: RedisServer[]
  readonly #clients = new Clients()

  private constructor(nodes: RedisServer[]) {
    this.nodes = nodes
  }

  static async start(replicas: 0 | 1 = 0): Promise<RedisCluster> {
    const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '700', '--cluster-replica-validity-factor', '0']
    const start = () => RedisServer.start(...args, '--repl-diskless-sync-delay', '0')
    const nodes = await Promise.all(Array.from({ length: 3 * (1 + replicas) }, start))
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
    const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', String(replicas), '--cluster-yes']
    const cli = spawn('redis-cli', create, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [cli.stdout, cli.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes))
    const [code] = await once(cli, 'close')
    if (code !== 0) throw new Error(`redis-cli could not create a Cluster: ${output}`)
    const cluster = new RedisCluster(nodes)
    await cluster.#ready()
    return cluster
  }

  /** Each node joins when it has heard of all others, and replicas when they have copied their masters. */
  async #ready(): Promise<void> {
    for (const node of this.nodes) {
      const client = await node.client()
      const ready = async () =>
        (await client.clusterInfo()).includes('cluster_state:ok') &&
        !(await client.info('replication')).includes('master_link_status:down')
      while (!(await ready())) await sleep(20)
    }
  }

  /** A client that is connected, until the Cluster stops. */
  client(): Promise<ReturnType<typeof createCluster>> {
    const useReplicas = this.nodes.length > 3
    return this.#clients.connect(createCluster({ rootNodes: this.nodes.map(({ url }) => ({ url })), useReplicas }))
  }

  /** The nodes that are masters now. */
  async masters(): Promise<RedisServer[]> {
    const roles = await Promise.all(this.nodes.map(async (node) => (await (await node.client()).role())?.role))
    return this.nodes.filter((_, index) => roles[index] === 'master')
  }

  async stop(): Promise<void> {
    this.#clients.destroy()
    await Promise.all(this.nodes.map((node) => node.stop()))
  }
}
