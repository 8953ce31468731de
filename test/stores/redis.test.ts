// RedisSessionStore over real servers of Redis and Valkey, and real Clusters of them: what all stores do, what is in Redis, single use by
// several clients, and errors that say what happened.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisClient, RedisSessionStore } from 'openssl-session/stores'
import { createClient, createCluster, createSentinel } from 'redis'
import { createClient as createClient5, createCluster as createCluster5 } from 'redis-5'
import type { ConnectedClient, ConnectedCluster, ConnectedSentinel } from '../support/redis.js'
import { RedisCluster, type RedisProgram, RedisServer, redisPrograms } from '../support/redis.js'
import { conformsToSessionStore } from '../support/store-conformance.js'

const HOUR = 3600

/** Runs the tests of `define` on each program that this machine has. */
function describeOnEach(title: string, define: (program: RedisProgram) => void): void {
  for (const program of redisPrograms) describe(`${title} on ${program}`, () => define(program))
}

function ids(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(32))
}

describeOnEach('RedisSessionStore', (program) => {
  let server: RedisServer
  let client: ConnectedClient

  before(async () => {
    server = await RedisServer.start([], program)
    client = await server.client()
  })

  after(async () => {
    await server.stop()
  })

  beforeEach(() => client.flushAll())

  conformsToSessionStore(() => new RedisSessionStore(client))

  describe('with version 5 of the package redis', () => {
    let older: ReturnType<typeof createClient5>

    before(async () => {
      older = createClient5({ url: server.url })
      await older.connect()
    })

    after(() => older.destroy())

    conformsToSessionStore(() => new RedisSessionStore(older))
  })

  it('writes a session as one key that Redis forgets when the session ends', async () => {
    const store = new RedisSessionStore({ client, prefix: 'app:' })
    const [id] = ids(1) as [Buffer]
    await store.set(id, Buffer.from('s'), 1.5)
    assert.deepEqual(await client.keys('*'), [`app:${id.toString('hex')}`])
    const left = await client.pTTL(`app:${id.toString('hex')}`)
    assert.ok(left > 1400 && left <= 1500, String(left))
    assert.equal(store.prefix, 'app:')
  })

  it('asks Redis for one command each time, which takes or deletes without making others wait', async () => {
    const lonely = await RedisServer.start([], program)
    try {
      const store = new RedisSessionStore(await lonely.client())
      const [id, other] = ids(2) as [Buffer, Buffer]
      await lonely.ask((direct) => direct.configResetStat())
      await store.set(id, Buffer.from('s'), HOUR)
      await store.get(id)
      await store.take(id)
      await store.delete(id)
      await store.set(other, Buffer.from('s'), 0)
      const stats = await lonely.ask((direct) => direct.info('commandstats'))
      const calls = [...stats.matchAll(/^cmdstat_(\w+)[^:]*:calls=(\d+),/gm)].map(([, name, count]) => [
        name,
        Number(count),
      ])
      // Those of clients that connect, and of the statistics.
      const others = new Set(['hello', 'client', 'config', 'info'])
      const asked = calls.filter(([name]) => !others.has(name as string))
      assert.deepEqual(Object.fromEntries(asked), { set: 1, get: 1, getdel: 1, unlink: 2 })
    } finally {
      await lonely.stop()
    }
  })

  it('keeps apart what has different prefixes', async () => {
    const [one, two] = [new RedisSessionStore(client), new RedisSessionStore({ client, prefix: 'two:' })]
    const [id] = ids(1) as [Buffer]
    await one.set(id, Buffer.from('1'), HOUR)
    assert.equal(await two.take(id), undefined)
    assert.equal(String(await one.take(id)), '1')
  })

  it('leaves the client to the application', async () => {
    const store = new RedisSessionStore(client)
    const [id] = ids(1) as [Buffer]
    const stored = store.set(id, Buffer.from('s'), HOUR)
    await store.close()
    await stored
    assert.equal(await client.exists(`tls-session:${id.toString('hex')}`), 1)
    // Its own answers stay text.
    assert.equal(await client.get(`tls-session:${id.toString('hex')}`), 's')
  })

  it('gives each session to exactly one of several clients', async () => {
    const others = await Promise.all([1, 2, 3].map(() => server.client()))
    const stores = others.map((other) => new RedisSessionStore(other))
    const all = ids(200)
    const writer = new RedisSessionStore(client)
    await Promise.all(all.map((id) => writer.set(id, id, HOUR)))
    const taken = await Promise.all(
      stores.map((store, index) => Promise.all((index % 2 ? all : all.toReversed()).map((id) => store.take(id)))),
    )
    const got = taken.flat().filter((session) => session !== undefined)
    assert.deepEqual(got.map((id) => id.toString('hex')).toSorted(), all.map((id) => id.toString('hex')).toSorted())
  })

  it("says what Redis answered, with Redis's own word in the code", async () => {
    const store = new RedisSessionStore(client)
    const [id] = ids(1) as [Buffer]
    await client.lPush(`tls-session:${id.toString('hex')}`, 'not a session')
    await assert.rejects(store.get(id), { code: 'ERR_REDIS_WRONGTYPE', message: /^Redis failed: WRONGTYPE/ })
  })

  it('gives up a command that cannot be sent, so that it does not take a session later', async () => {
    const lonely = await RedisServer.start([], program)
    const offline = await lonely.client()
    const store = new RedisSessionStore({ client: offline, commandTimeout: 150 })
    const [id] = ids(1) as [Buffer]
    await lonely.kill()
    await sleep(20)
    const began = Date.now()
    const timeout = { code: 'ERR_STORE_TIMEOUT', message: 'Redis failed: timeout, not sent within 150 ms' }
    await assert.rejects(store.take(id), timeout)
    assert.ok(Date.now() - began < 1000)
    await lonely.run()
    const direct = await lonely.client()
    await new RedisSessionStore(direct).set(id, Buffer.from('s'), HOUR)
    for (let tries = 0; tries < 100 && !offline.isReady; tries++) await sleep(20)
    assert.equal(String(await store.get(id)), 's')
    await lonely.stop()
  })

  it('refuses what is no client, and options that make no sense', () => {
    const wrong: [unknown, string][] = [
      [undefined, 'ERR_INVALID_ARG_TYPE'],
      [null, 'ERR_INVALID_ARG_TYPE'],
      ['redis://127.0.0.1', 'ERR_INVALID_ARG_TYPE'],
      [{}, 'ERR_INVALID_ARG_TYPE'],
      [{ client: {} }, 'ERR_INVALID_ARG_TYPE'],
      [{ client, prefix: 7 }, 'ERR_INVALID_ARG_TYPE'],
      [{ client, commandTimeout: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ client, commandTimeout: '7' }, 'ERR_INVALID_ARG_TYPE'],
    ]
    for (const [options, code] of wrong) assert.throws(() => new RedisSessionStore(options as RedisClient), { code })
  })

  it('refuses the clients of other packages, and names its own', () => {
    // As ioredis and version 4 of redis have them: one sends a Command, the other knows no types.
    class Other {
      readonly status = 'ready'
      sendCommand(): Promise<unknown> {
        return Promise.resolve(null)
      }
      getdel(): Promise<unknown> {
        return Promise.resolve(null)
      }
    }
    const refused = { code: 'ERR_INVALID_ARG_TYPE', message: /package 'redis' \(node-redis\), version 5 or 6/ }
    for (const wrong of [new Other(), { client: new Other() }]) {
      assert.throws(() => new RedisSessionStore(wrong as unknown as RedisClient), refused)
    }
  })

  it('is imported without the packages that its clients come from', () => {
    const program = `
      import { RedisSessionStore } from 'openssl-session/stores'
      console.log(typeof RedisSessionStore)
      await import('redis').catch((error) => console.log(error.message))`
    const module = (text: string): string => `data:text/javascript,${encodeURIComponent(text)}`
    const loader = module(`export const resolve = (name, context, next) => {
      if (/^(redis|@redis|keyv|@keyv|prom-client)\\b/.test(name)) throw new Error('not installed: ' + name)
      return next(name, context)
    }`)
    const hook = module(`import { register } from 'node:module'; register(${JSON.stringify(loader)})`)
    const args = ['--import', hook, '--input-type=module', '-e', program]
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    assert.equal(stdout, 'function\nnot installed: redis\n', stderr)
  })

  it('takes the types of all clients of the package redis', () => {
    const clients: RedisClient[] = [
      createClient(),
      createCluster({ rootNodes: [{ url: server.url }] }),
      createSentinel({ name: 'any', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }),
      createClient5(),
      createCluster5({ rootNodes: [{ url: server.url }] }),
    ]
    for (const one of clients) assert.ok(new RedisSessionStore(one) instanceof RedisSessionStore)
  })

  describe('behind Sentinel', () => {
    let sentinel: RedisServer
    let found: ConnectedSentinel

    before(async () => {
      sentinel = await server.sentinel()
      found = await sentinel.throughSentinel()
    })

    after(() => sentinel.stop())

    conformsToSessionStore(() => new RedisSessionStore(found))

    it('asks the master', async () => {
      const [id] = ids(1) as [Buffer]
      await new RedisSessionStore(found).set(id, Buffer.from('s'), HOUR)
      assert.equal(String(await new RedisSessionStore(client).take(id)), 's')
    })
  })

  describe('in a Cluster', () => {
    let cluster: RedisCluster
    let several: ConnectedCluster

    before(async () => {
      cluster = await RedisCluster.start({ program })
      several = await cluster.client()
    })

    after(async () => {
      await cluster.stop()
    })

    conformsToSessionStore(() => new RedisSessionStore(several))

    it('divides sessions among the masters, and each is found and taken once', async () => {
      const store = new RedisSessionStore({ client: several, prefix: 'divided:' })
      const other = await cluster.client()
      const elsewhere = new RedisSessionStore({ client: other, prefix: 'divided:' })
      const all = ids(90)
      await Promise.all(all.map((id) => store.set(id, id, HOUR)))
      const counts = await Promise.all(
        cluster.nodes.map(async (node) => {
          const direct = await node.client()
          const keys = await direct.keys('divided:*')
          return keys.length
        }),
      )
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        90,
      )
      for (const count of counts) assert.ok(count > 5, String(counts))
      const taken = await Promise.all(all.flatMap((id) => [store.take(id), elsewhere.take(id)]))
      assert.equal(taken.filter((session) => session !== undefined).length, 90)
    })
  })
})
