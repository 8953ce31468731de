// What each store costs: how long one look-up takes, and how many handshakes a server with two engine threads resumes in a second
// out of it. Prints a Markdown table, in about three minutes. Needs redis-server, and what the engine's benchmark needs but wrk.
//
//   npm run bench:stores                                  everything
//   npm run bench:stores -- --seconds 1                   a first impression: each measurement for a second, not three
//   npm run bench:stores -- --folder /var/tmp             another folder for the files than the system's temporary one
//   npm run bench:stores -- --redis redis://10.0.0.7      another Redis than one that is started here; its keys expire in ten minutes

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import KeyvRedis from '@keyv/redis'
import Keyv from 'keyv'
import { createServer, type ServerOptions } from 'openssl-session'
import {
  KeyvSessionStore,
  LmdbSessionStore,
  MemorySessionStore,
  RedisSessionStore,
  SealedSessionStore,
  type SessionStore,
} from 'openssl-session/stores'
import { createClient } from 'redis'
import { Program } from './engine/program.js'
import { type Credentials, compile, describeMachine, makeCredentials, pin, requirePrograms } from './engine/setup.js'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    folder: { type: 'string', default: tmpdir() },
    redis: { type: 'string' },
  },
})

const SESSION = randomBytes(250)
/** Sessions that a store has, and at most so many look-ups. */
const COUNT = 10_000
/** Seconds that they live. */
const LIFE = 600
const CLIENTS = 64

const milliseconds = Number(options.seconds) * 1000
if (!(milliseconds > 0 && milliseconds <= 30_000)) throw new Error('--seconds takes a number up to 30.')

/** Median and 99th percentile of so many look-ups as there is time for, one after the other, in microseconds. */
async function latency(store: SessionStore, look: (id: Buffer) => unknown): Promise<string> {
  const ids = Array.from({ length: COUNT }, () => randomBytes(32))
  for (let from = 0; from < COUNT; from += 100)
    await Promise.all(ids.slice(from, from + 100).map((id) => store.set(id, SESSION, LIFE)))
  const times: number[] = []
  const end = performance.now() + milliseconds
  for (const id of ids) {
    const began = performance.now()
    const found = await look(id)
    times.push((performance.now() - began) * 1000)
    if (!found) throw new Error('A session was not found.')
    if (performance.now() > end) break
  }
  times.sort((a, b) => a - b)
  const at = (share: number): number => Math.round(times[Math.floor(times.length * share)] as number)
  for (const id of ids) await store.delete(id)
  return `${at(0.5)} / ${at(0.99)} us`
}

/** Handshakes in a second, all of them resumed or none. */
async function rate(load: string, server: ServerOptions, protocol: '1.2' | '1.3', mode: string): Promise<string> {
  const running = createServer({ ...server, threads: 2 }, (socket) => void socket.on('error', () => {}).resume())
  let failed: Error | undefined
  for (const event of ['tlsClientError', 'sessionStoreError'] as const)
    running.on(event, (error: Error) => {
      failed ??= error
    })
  running.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(running, 'listening')
  const settings = { port: (running.address() as AddressInfo).port, mode, protocol, clients: CLIENTS }
  const times = { seconds: milliseconds / 1000, warmup: milliseconds / 3000 }
  const args = Object.entries({ ...settings, ...times }).flatMap(([name, value]) => [`--${name}`, String(value)])
  const clients = new Program(load, args)
  try {
    await clients.read()
    const report = await clients.ask<{ handshakes: number; resumed: number; perSecond: number }>('go')
    if (failed !== undefined) throw failed
    const expected = mode === 'resumed' ? report.handshakes : 0
    if (report.resumed !== expected) throw new Error(`${report.resumed} resumed instead of ${expected}`)
    return String(Math.round(report.perSecond))
  } finally {
    await clients.stop()
    const closed = once(running, 'close')
    running.close()
    running.closeAllConnections()
    await closed
  }
}

async function startRedis(folder: string): Promise<{ url: string; child: ChildProcess }> {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder].map(String)
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text: Buffer) => text.includes('Ready to accept connections') && resolve())
    child.once('error', reject)
    child.once('close', () => reject(new Error('redis-server has ended. On Debian: apt-get install -y redis-server')))
  })
  return { url: `redis://127.0.0.1:${port}`, child }
}

/** The rows of the table: how each store is made. */
async function stores(
  folder: string,
  url: string,
): Promise<Record<string, () => Promise<Required<Omit<SessionStore, 'atomicTake'>>>>> {
  const redis = async () => {
    const client = createClient({ url })
    await client.connect()
    const store = new RedisSessionStore(client)
    const close = store.close.bind(store)
    return Object.assign(store, {
      close: async () => {
        await close()
        await client.close()
      },
    })
  }
  return {
    MemorySessionStore: async () => new MemorySessionStore(),
    LmdbSessionStore: async () => new LmdbSessionStore(join(folder, 'sessions.mdb')),
    RedisSessionStore: redis,
    'SealedSessionStore on Redis': async () =>
      new SealedSessionStore({ store: await redis(), keys: [randomBytes(32)] }) as Required<
        Omit<SessionStore, 'atomicTake'>
      >,
    'KeyvSessionStore on Redis': async () => {
      const keyv = new Keyv(new KeyvRedis(url, { throwOnErrors: true }), { throwOnErrors: true })
      const store = new KeyvSessionStore(keyv)
      return Object.assign(store, { close: () => keyv.disconnect() })
    },
  }
}

async function main(folder: string): Promise<void> {
  requirePrograms(['wrk'])
  for (const line of await describeMachine(await pin())) console.error(line)
  const load = await compile('load')
  const files: Credentials = await makeCredentials(folder, ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const identity = { cert: readFileSync(files.cert), key: readFileSync(files.key) }
  const redis = options.redis === undefined ? await startRedis(folder) : { url: options.redis, child: null }
  const rows: string[][] = []
  const add = (...row: string[]): void => {
    console.error(row.join('  '))
    rows.push(row)
  }
  const rates = async (server: ServerOptions, mode = 'resumed'): Promise<string[]> => [
    await rate(load, server, '1.2', mode),
    await rate(load, server, '1.3', mode),
  ]
  for (const [name, open] of Object.entries(await stores(folder, redis.url))) {
    const store = await open()
    const look = [await latency(store, (id) => store.get(id)), await latency(store, (id) => store.take(id))]
    add(name, ...look, ...(await rates({ ...identity, sessionStore: store, sessionTimeout: LIFE })))
    await store.close()
  }
  // The clients of the load know no tickets in TLS 1.2.
  add('none: stateless tickets', '', '', '', await rate(load, identity, '1.3', 'resumed'))
  add('none: handshakes in full', '', '', ...(await rates(identity, 'full')))
  redis.child?.removeAllListeners('close').kill()
  const head = ['store', '`get`, p50 / p99', '`take`, p50 / p99', 'TLS 1.2 handshakes/s', 'TLS 1.3 handshakes/s']
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`
  console.log([line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n'))
}

const folder = mkdtempSync(join(options.folder, 'bench-stores-'))
try {
  await main(folder)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true })
}
process.exit()
