// createServer({ sessionStore }) that starts while no Redis runs: the client is made and connected as docs/stores.md says, handshakes
// complete in full and the server reports, and sessions are resumed as soon as there is a Redis.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server, SessionStoreError } from 'openssl-session'
import { type RedisClient, RedisSessionStore } from 'openssl-session/stores'
import { createClient, createCluster, createSentinel } from 'redis'
import { FaultyProxy } from '../support/proxy.js'
import { RedisCluster, RedisServer } from '../support/redis.js'
import {
  closeAll,
  describeInEachHome,
  dialled,
  exchange,
  hangUp,
  only,
  serve,
  sessionOf,
  type Version,
} from '../support/tls.js'

/** Milliseconds for what the store is asked. */
const LIMIT = 300

const reconnectStrategy = (): number => 20

interface Client extends RedisClient {
  readonly isOpen: boolean
  connect(): Promise<unknown>
  destroy(): unknown
}

/** As docs/stores.md has it. */
async function connect(client: Client): Promise<void> {
  while (!client.isOpen) await client.connect().catch(() => sleep(50))
}

/** One visit: whether the session was resumed, and one for the next visit. */
async function visit(port: number, session?: Buffer): Promise<{ resumed: boolean; session: Buffer }> {
  const client = await dialled(port, session ? { session } : {})
  const resumed = client.isSessionReused()
  const next = resumed && client.getProtocol() === 'TLSv1.2' ? (session as Buffer) : await sessionOf(client)
  assert.equal(await exchange(client, 'x'), 'x')
  await hangUp(client)
  return { resumed, session: next }
}

/** Serves with a client whose Redis is down, lets `revive` start it, and waits until sessions are resumed. */
async function startsWithout(client: Client, version: Version, revive: () => Promise<unknown>): Promise<void> {
  const rejected: unknown[] = []
  const note = (error: unknown): void => void rejected.push(error)
  process.on('unhandledRejection', note)
  try {
    const connected = connect(client)
    const sessionStore = new RedisSessionStore({ client, commandTimeout: LIMIT })
    const running: { server: Server; port: number } = await serve({
      ...only(version),
      sessionStore,
      lookupTimeout: LIMIT,
    })
    const { server, port } = running
    const errors: SessionStoreError[] = []
    server.on('sessionStoreError', (error) => errors.push(error))
    server.on('tlsClientError', (error) => assert.fail(error))
    let { session } = await visit(port)
    for (let visits = 0; visits < 3; visits++) {
      const again = await visit(port, session)
      assert.equal(again.resumed, false)
      session = again.session
    }
    // One write has failed by the time that another could have been answered, at the latest.
    for (let tries = 0; tries < 100 && errors.length === 0; tries++) await sleep(50)
    const operations = new Set(errors.map(({ code, operation }) => `${code} ${operation}`))
    assert.ok(operations.has('ERR_SESSION_STORE set'), String([...operations]))
    assert.ok((server.stats().store?.failures ?? 0) > 0)
    await revive()
    await connected
    for (let tries = 0, resumed = false; !resumed; tries++) {
      assert.ok(tries < 200, 'no session was resumed')
      ;({ resumed, session } = await visit(port, session))
      if (!resumed) await sleep(50)
    }
    assert.deepEqual(rejected, [])
  } finally {
    process.removeListener('unhandledRejection', note)
    await closeAll()
    await client.destroy()
  }
}

describeInEachHome('a server that starts without its Redis', (home) => {
  const version = home === 'engine' ? 'TLSv1.3' : 'TLSv1.2'

  it('resumes sessions when there is one', async () => {
    const redis = await RedisServer.start()
    await redis.kill()
    const client = createClient({ url: redis.url, socket: { reconnectStrategy } })
    client.on('error', () => {})
    await startsWithout(client, version, () => redis.run())
    await redis.stop()
  })

  it('resumes sessions when there is a Cluster', async () => {
    const cluster = await RedisCluster.start()
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    const rootNodes = cluster.nodes.map(({ url }) => ({ url }))
    const client = createCluster({ rootNodes, defaults: { socket: { reconnectStrategy } } })
    client.on('error', () => {})
    await startsWithout(client, version, () => cluster.revive())
    await cluster.stop()
  })

  it('resumes sessions when Sentinel knows one', async () => {
    const redis = await RedisServer.start()
    const sentinel = await redis.sentinel()
    await sentinel.kill()
    await redis.kill()
    const sentinelRootNodes = [{ host: '127.0.0.1', port: sentinel.port }]
    // It gives up soon.
    const client = createSentinel({ name: 'sessions', sentinelRootNodes, maxCommandRediscovers: 1 })
    client.on('error', () => {})
    await startsWithout(client, version, async () => {
      await redis.run()
      await sentinel.run()
    })
    await sentinel.stop()
    await redis.stop()
  })
})

describe('a client of Redis with pingInterval, socketTimeout and a reconnectStrategy', () => {
  it('stays connected while nothing is asked, and connects again when nothing is answered', async () => {
    const redis = await RedisServer.start()
    const proxy = await FaultyProxy.start(redis.port)
    const options = { pingInterval: 50, socket: { socketTimeout: 400, reconnectStrategy } }
    const client = createClient({ url: `redis://127.0.0.1:${proxy.port}`, ...options })
    const errors: Error[] = []
    client.on('error', (error) => errors.push(error))
    await client.connect()
    const store = new RedisSessionStore(client)
    const id = Buffer.alloc(32, 7)
    await store.set(id, Buffer.from('session'), 60)
    await sleep(1000)
    assert.deepEqual([errors, proxy.connections], [[], 1])
    proxy.fault = { kind: 'drop' }
    for (let tries = 0; tries < 100 && errors.length === 0; tries++) await sleep(20)
    assert.match(String(errors[0]?.message), /timeout/i)
    proxy.fault = { kind: 'none' }
    assert.equal(String(await store.take(id)), 'session')
    assert.ok(proxy.connections > 1)
    client.destroy()
    await proxy.stop()
    await redis.stop()
  })
})
