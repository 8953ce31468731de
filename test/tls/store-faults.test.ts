// createServer({ sessionStore }) over a real Redis that fails in every way a network and a machine can: each handshake
// completes, one event tells, the store is left alone while it is dead and used again when it is back, and what is in it stays.

import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server, ServerOptions, SessionStoreError } from 'openssl-session'
import { MemorySessionStore, RedisSessionStore, SealedSessionStore, type SessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { type Fault, FaultyProxy } from '../support/proxy.js'
import { type ConnectedClient, RedisCluster, RedisServer, redisPrograms } from '../support/redis.js'
import { sanitized } from '../support/sanitizer.js'
import {
  closeAll,
  describeInEachHome,
  dialled,
  exchange,
  hangUp,
  inEachVersion,
  isWorthwhile,
  only,
  serve,
  sessionOf,
  until,
  type Version,
} from '../support/tls.js'

/** Milliseconds: `lookupTimeout` of the servers here. */
const LIMIT = sanitized ? 1000 : 200

/** One visit: whether the client's session was resumed, and the session for the next. The connection works in any case. */
async function visit(port: number, session?: Buffer): Promise<{ resumed: boolean; session: Buffer; took: number }> {
  const began = performance.now()
  const client = await dialled(port, session ? { session } : {})
  const took = performance.now() - began
  const resumed = client.isSessionReused()
  const next = resumed && client.getProtocol() === 'TLSv1.2' ? (session as Buffer) : await sessionOf(client)
  assert.equal(await exchange(client, 'x'), 'x')
  await hangUp(client)
  return { resumed, session: next, took }
}

/** The kind of a failure, of which each is told once in ten seconds. */
function kindOf({ operation, cause }: SessionStoreError): string {
  const { code, message } = cause as NodeJS.ErrnoException
  return `${operation} ${code ?? message}`
}

/** A server with a store whose errors are noted, and the kinds that it told of twice in ten seconds. */
async function guarded(
  version: Version,
  sessionStore: SessionStore,
  options: ServerOptions = {},
): Promise<{ server: Server; port: number; errors: SessionStoreError[]; tooSoon: string[] }> {
  const running = await serve({ ...only(version), sessionStore, lookupTimeout: LIMIT, ...options })
  const errors: SessionStoreError[] = []
  const tooSoon: string[] = []
  const told = new Map<string, number>()
  running.server.on('sessionStoreError', (error) => {
    errors.push(error)
    const [kind, now] = [kindOf(error), performance.now()]
    // The event may be late.
    if (now - (told.get(kind) ?? Number.NEGATIVE_INFINITY) < 9_000) tooSoon.push(kind)
    told.set(kind, now)
  })
  running.server.on('tlsClientError', (error) => assert.fail(error))
  return { ...running, errors, tooSoon }
}

/** What has failed, in alphabetical order, each with all that is to be told of it. */
function operationsOf(errors: SessionStoreError[]): string[] {
  for (const { code, id, cause } of errors) {
    assert.equal(code, 'ERR_SESSION_STORE')
    assert.equal(id.length, 32)
    assert.ok(cause instanceof Error)
  }
  return errors.map(({ operation }) => operation).toSorted()
}

function suspended(server: Server): string[] {
  return server.stats().store?.suspended ?? []
}

/** A store that, while it is slow, answers a take when nobody waits any more, and a write never; those are in `late`. */
class SlowStore implements SessionStore {
  readonly kept = new MemorySessionStore()
  readonly late: (() => void)[] = []
  isSlow = false

  get(id: Buffer): Buffer | undefined {
    return this.kept.get(id)
  }

  async take(id: Buffer): Promise<Buffer | undefined> {
    const session = this.kept.take(id)
    if (this.isSlow) await sleep(LIMIT * 1.5)
    return session
  }

  set(...entry: Parameters<MemorySessionStore['set']>): void | Promise<void> {
    if (!this.isSlow) return this.kept.set(...entry)
    this.late.push(() => this.kept.set(...entry))
    return new Promise(() => {})
  }

  delete(id: Buffer): void {
    this.kept.delete(id)
  }
}

describeInEachHome('a server whose Redis fails', (home) => {
  let redis: RedisServer
  let proxy: FaultyProxy
  let client: ConnectedClient
  let direct: ConnectedClient

  before(async () => {
    redis = await RedisServer.start()
    direct = await redis.client()
  })

  after(() => redis.stop())

  beforeEach(async () => {
    await direct.flushAll()
    proxy = await FaultyProxy.start(redis.port)
    client = await redis.client({ socket: { reconnectStrategy: 20 } }, proxy.port)
  })

  afterEach(async () => {
    await closeAll()
    client.destroy()
    await proxy.stop()
  })

  const storeOf = (): RedisSessionStore => new RedisSessionStore({ client, commandTimeout: LIMIT })

  inEachVersion((version) => {
    /** The operation by which this version looks a session up. */
    const look = version === 'TLSv1.2' ? 'get' : 'take'

    const faults: Record<string, { fault: Fault; causes: RegExp; waits?: boolean }> = {
      'answers too late': {
        fault: { kind: 'delay', milliseconds: LIMIT * 2 },
        causes: /No answer|Timeout|timeout/,
        waits: true,
      },
      'never answers': { fault: { kind: 'drop' }, causes: /No answer|imeout/, waits: true },
      'resets connections': { fault: { kind: 'reset' }, causes: /closed|ECONNRESET|imeout|No answer/ },
      'ends in the middle of an answer': { fault: { kind: 'truncate', bytes: 9 }, causes: /closed|imeout|No answer/ },
      'answers nonsense': { fault: { kind: 'garbage', bytes: Buffer.from('nonsense\r\n') }, causes: /./ },
      'answers with an error': {
        fault: { kind: 'garbage', bytes: Buffer.from('-LOADING not yet\r\n') },
        causes: /LOADING|No answer/,
      },
    }
    for (const [what, { fault, causes, waits }] of Object.entries(faults)) {
      it(`that ${what} completes every handshake, tells once of each kind, leaves it alone, and comes back`, async () => {
        const { server, port, errors, tooSoon } = await guarded(version, storeOf())
        const sessions = await stored(port, version, 3)
        proxy.fault = fault
        // Ids that nobody knows, so that what is in the store stays as it is.
        const strange = await strangers(version, 8)
        let full = 0
        for (const session of strange) full += (await visit(port, session)).resumed ? 0 : 1
        assert.equal(full, 8)
        assert.ok(suspended(server).includes(look), String(suspended(server)))
        // Nobody waits for it any more, but one now and then who finds out whether it is back.
        const waited = []
        for (const session of strange.slice(0, 3)) waited.push((await visit(port, session)).took)
        if (waits) assert.ok(Math.min(...waited) < LIMIT, `took ${waited} ms`)
        const { failures = 0, skipped = 0 } = server.stats().store ?? {}
        assert.ok(failures >= 5 && skipped >= 3, `${failures} failures, ${skipped} skipped`)
        assert.deepEqual(tooSoon, [])
        assert.ok(errors.some(({ operation }) => operation === look))
        for (const error of errors) {
          assert.equal(error.code, 'ERR_SESSION_STORE')
          assert.equal(error.id.length, 32)
          assert.match((error.cause as Error).message, causes)
        }
        proxy.fault = { kind: 'none' }
        await back(server, port, version)
        for (const session of sessions) assert.equal((await visit(port, session)).resumed, true)
      })
    }

    it('that dies with look-ups under way answers them in full', async () => {
      const { server, port, errors } = await guarded(version, storeOf(), { lookupTimeout: 5000 })
      const sessions = await stored(port, version, 8)
      proxy.fault = { kind: 'drop' }
      const visits = sessions.map((session) => visit(port, session))
      await until(() => server.stats().waiting === visits.length)
      proxy.fault = { kind: 'none' }
      proxy.resetAll()
      const began = Date.now()
      for (const { resumed } of await Promise.all(visits)) assert.equal(resumed, false)
      assert.ok(Date.now() - began < 3000)
      // All for one reason.
      assert.deepEqual(new Set(operationsOf(errors)), new Set([look, 'set'].slice(0, errors.length)))
      assert.equal(errors[0]?.operation, look)
    })

    it('that is full goes on resuming what it has', async () => {
      const { server, port, errors } = await guarded(version, storeOf())
      const sessions = await stored(port, version, 8)
      await direct.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' })
      try {
        for (let count = 0; count < 8; count++) assert.equal((await visit(port)).resumed, false)
        assert.deepEqual(suspended(server), ['set'])
        assert.deepEqual(
          errors.map(({ operation, cause }) => [operation, (cause as NodeJS.ErrnoException).code]),
          [['set', 'ERR_REDIS_OOM']],
        )
        for (const session of sessions) assert.equal((await visit(port, session)).resumed, true)
      } finally {
        await direct.configSet('maxmemory', '0')
      }
      await back(server, port, version)
      const { session } = await visit(port)
      assert.equal((await visit(port, session)).resumed, true)
    })
  })

  it('that was down when the server started serves without, and uses it when it comes', async () => {
    proxy.fault = { kind: 'reset' }
    proxy.resetAll()
    const { server, port, errors } = await guarded('TLSv1.3', storeOf())
    for (let count = 0; count < 6; count++) assert.equal((await visit(port)).resumed, false)
    await until(() => errors.length > 0)
    assert.deepEqual(new Set(operationsOf(errors)), new Set(['set']))
    proxy.fault = { kind: 'none' }
    await back(server, port, 'TLSv1.3')
    const { session } = await visit(port)
    assert.equal((await visit(port, session)).resumed, true)
  })

  it('gives back what it has taken for a handshake that did not wait, but not for early data', async () => {
    const { port } = await guarded('TLSv1.3', storeOf(), { maxEarlyData: 1000 })
    const [session] = await stored(port, 'TLSv1.3', 1)
    const before = await direct.dbSize()
    proxy.fault = { kind: 'delay', milliseconds: LIMIT * 2 }
    const client = await dialled(port, { session })
    assert.equal(client.isSessionReused(), false)
    proxy.fault = { kind: 'none' }
    // What the new connection has got comes on top.
    for (let tries = 0; tries < 100 && (await direct.dbSize()) < before + 2; tries++) await sleep(20)
    assert.equal(await direct.dbSize(), before + 2)
    const ttl = await direct.pTTL((await direct.keys('*'))[0] as string)
    assert.ok(ttl > 0)
    // What came with the first handshake could have been recorded.
    const again = await dialled(port, { session, earlyData: Buffer.from('early') })
    assert.deepEqual([again.isSessionReused(), again.earlyData], [true, 'rejected'])
    await hangUp(again)
    assert.equal((await visit(port, session)).resumed, false)
  })

  it('puts back later what it has taken in vain from a Redis that is slow and full, and never for early data', async () => {
    const options = { maxEarlyData: 1000 }
    const { server, port, errors } = await guarded('TLSv1.3', storeOf(), options)
    const sessions = await stored(port, 'TLSv1.3', 6)
    await direct.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' })
    proxy.fault = { kind: 'delay', milliseconds: LIMIT * 2 }
    try {
      for (const session of sessions.slice(0, 4)) assert.equal((await visit(port, session)).resumed, false)
      await until(() => server.stats().store?.owed === 4)
    } finally {
      proxy.fault = { kind: 'none' }
      await direct.configSet('maxmemory', '0')
    }
    // Under a sanitizer there is time for both of the store's faults to be seen.
    const told = operationsOf(errors)
    assert.deepEqual(sanitized ? [...new Set(told)] : told, ['set', 'take'])
    // This process still has them, and gives each away once.
    const [early, plain, ...others] = sessions.slice(0, 4) as [Buffer, Buffer, ...Buffer[]]
    const client = await dialled(port, { session: early, earlyData: Buffer.from('early') })
    assert.deepEqual([client.isSessionReused(), client.earlyData], [true, 'rejected'])
    await hangUp(client)
    assert.equal((await visit(port, plain)).resumed, true)
    for (const session of [early, plain]) assert.equal((await visit(port, session)).resumed, false)
    // The other processes have them as soon as the store takes them.
    await back(server, port, 'TLSv1.3')
    await until(() => server.stats().store?.owed === 0)
    const elsewhere = await serve({ ...only('TLSv1.3'), ...options, sessionStore: new RedisSessionStore(direct) })
    for (const [session, status] of [
      [others[0], 'rejected'],
      [others[1], 'rejected'],
      // This one was never in doubt.
      [sessions[4], 'accepted'],
    ] as const) {
      const client = await dialled(elsewhere.port, { session, earlyData: Buffer.from('early') })
      assert.deepEqual([client.isSessionReused(), client.earlyData], [true, status])
      await hangUp(client)
    }
  })

  it('puts back later what it has taken in vain from a store that never answers a write', async () => {
    const slow = new SlowStore()
    const { server, port } = await guarded('TLSv1.3', slow)
    const { session } = await visit(port)
    slow.isSlow = true
    assert.equal((await visit(port, session)).resumed, false)
    await until(() => server.stats().store?.owed === 1)
    slow.isSlow = false
    const before = slow.kept.size
    await visit(port)
    await until(() => server.stats().store?.owed === 0)
    assert.equal(slow.kept.size, before + 3)
    assert.equal((await visit(port, session)).resumed, true)
  })

  it('gives what it has taken in vain away once, though a write that took too long has stored it', async () => {
    const slow = new SlowStore()
    const { server, port } = await guarded('TLSv1.3', slow)
    const { session } = await visit(port)
    slow.isSlow = true
    assert.equal((await visit(port, session)).resumed, false)
    await until(() => server.stats().store?.owed === 1)
    slow.isSlow = false
    for (const write of slow.late) write()
    assert.equal((await visit(port, session)).resumed, true)
    assert.equal((await visit(port, session)).resumed, false)
    assert.equal(server.stats().store?.owed, 0)
  })

  it('tells of each kind of failure once in ten seconds, and of how many it has not told', async () => {
    const { server, port, errors } = await guarded('TLSv1.2', storeOf())
    await direct.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' })
    const now = performance.now.bind(performance)
    try {
      for (let count = 0; count < 4; count++) await visit(port)
      await until(() => server.stats().store?.failures === 4)
      assert.deepEqual(
        errors.map(({ suppressed }) => suppressed),
        [0],
      )
      mock.method(performance, 'now', () => now() + 10_000)
      await visit(port)
      await until(() => errors.length === 2)
      assert.equal(errors[1]?.suppressed, 3)
      assert.deepEqual(operationsOf(errors), ['set', 'set'])
    } finally {
      mock.restoreAll()
      await direct.configSet('maxmemory', '0')
    }
  })

  it('resumes no session that it could not delete, and deletes it when it can', async () => {
    const { server, port } = await guarded('TLSv1.2', storeOf())
    const client = await dialled(port)
    const session = client.getSession() as Buffer
    assert.equal(await direct.dbSize(), 1)
    proxy.fault = { kind: 'reset' }
    // Not as a connection should end: OpenSSL withdraws the session.
    client.destroy()
    await until(() => (server.stats().store?.owed ?? 0) === 1)
    proxy.fault = { kind: 'none' }
    const again = await dialled(port, { session })
    assert.equal(again.isSessionReused(), false)
    await until(() => server.stats().store?.owed === 0)
    // What is there is the new connection's.
    assert.equal(await direct.dbSize(), 1)
    assert.equal((await visit(port, session)).resumed, false)
    await hangUp(again)
  })

  it('waits for nobody while JavaScript was busy: an answer that is there counts', async () => {
    const { server, port } = await guarded('TLSv1.2', storeOf())
    const { session } = await visit(port)
    for (let count = 0; count < 5; count++) {
      const requests = proxy.requests
      const coming = visit(port, session)
      await until(() => proxy.requests > requests)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LIMIT * 1.5)
      await coming
    }
    assert.deepEqual(suspended(server), [])
    // On the engine clients do not wait for JavaScript, either.
    if (home === 'inline') assert.equal(server.stats().store?.failures, 0)
  })

  // Its look-ups are the same in both homes.
  if (home === 'engine') {
    it('is not held against a sealed store either', async () => {
      const sessionStore = new SealedSessionStore({ store: storeOf(), keys: [Buffer.alloc(32, 1)] })
      const { server, port } = await guarded('TLSv1.3', sessionStore)
      const [session] = await stored(port, 'TLSv1.3', 1)
      proxy.fault = { kind: 'drop' }
      for (const other of await strangers('TLSv1.3', 6)) assert.equal((await visit(port, other)).resumed, false)
      assert.ok(suspended(server).includes('take'))
      proxy.fault = { kind: 'none' }
      await back(server, port, 'TLSv1.3')
      assert.equal((await visit(port, session)).resumed, true)
    })
  }

  /** Sessions that are in Redis, and nothing else is. */
  async function stored(port: number, version: Version, count: number): Promise<Buffer[]> {
    const sessions = await Promise.all(Array.from({ length: count }, async () => (await visit(port)).session))
    const expected = version === 'TLSv1.3' ? count * 2 : count
    while ((await direct.dbSize()) < expected) await sleep(5)
    return sessions
  }

  /** Sessions of another server, which the one under test can be asked for and does not have. */
  async function strangers(version: Version, count: number): Promise<Buffer[]> {
    const elsewhere = new RedisSessionStore({ client: direct, prefix: 'elsewhere:' })
    const { server, port } = await serve({ ...only(version), sessionStore: elsewhere })
    const sessions = await Promise.all(Array.from({ length: count }, async () => (await visit(port)).session))
    server.close()
    return sessions
  }

  /** Waits until the server uses its store for everything again. It finds out by trying, when it has something to ask. */
  async function back(server: Server, port: number, version: Version): Promise<void> {
    const [other] = await strangers(version, 1)
    for (let tries = 0; tries < 200 && suspended(server).length > 0; tries++) {
      await visit(port, other)
      await sleep(25)
    }
    assert.deepEqual(suspended(server), [])
  }
})

for (const program of redisPrograms) {
  describe(`a server whose Cluster of ${program} loses a master`, () => {
    let cluster: RedisCluster

    before(async () => {
      cluster = await RedisCluster.start({ program, replicas: 1 })
    })

    afterEach(async () => {
      await closeAll()
      await cluster.revive()
    })

    after(() => cluster.stop())

    inEachVersion((version) => {
      if (!isWorthwhile('engine', version)) return
      it('completes every handshake meanwhile, and resumes all sessions when a replica has taken over', async () => {
        const store = new RedisSessionStore({ client: await cluster.client(), commandTimeout: LIMIT })
        const { server, port, errors, tooSoon } = await guarded(version, store)
        const sessions = await Promise.all(Array.from({ length: 30 }, async () => (await visit(port)).session))
        const masters = await cluster.masters()
        assert.equal(masters.length, 3)
        await masters[0]?.kill()
        const began = Date.now()
        let visits = 0
        // A session that could not be resumed is tried again, also in TLS 1.3: it was not used.
        let left = sessions
        while (left.length > 0 && Date.now() - began < 30_000) {
          visits += left.length
          const ways = await Promise.all(left.map(async (session) => (await visit(port, session)).resumed))
          left = left.filter((_, index) => !ways[index])
          await sleep(250)
        }
        assert.equal(left.length, 0, `${left.length} not resumed: ${errors.map(({ message }) => message)}`)
        assert.ok(visits > sessions.length, 'nobody came in between')
        assert.deepEqual(tooSoon, [])
        assert.ok(operationsOf(errors).length > 0)
        // Perhaps nothing was stored meanwhile: that its masters can be written to again is found out by the next to come.
        // After a long failure that may be a quarter of a minute later.
        for (const end = Date.now() + 20_000; suspended(server).length > 0 && Date.now() < end; ) {
          await visit(port)
          await sleep(50)
        }
        assert.deepEqual(suspended(server), [])
      })
    })
  })
}

/** A store with room for sessions without a client's certificate. */
class SmallStore extends MemorySessionStore {
  override set(id: Buffer, session: Buffer, ttl: number): void {
    if (session.length > 300) throw Object.assign(new RangeError('too large'), { code: 'ERR_OUT_OF_RANGE' })
    super.set(id, session, ttl)
  }
}

describeInEachHome('a server whose sessions are too large for its store', () => {
  afterEach(closeAll)

  it('says so, and goes on storing those that are not', async () => {
    const certificates = certs()
    const sessionStore = new SmallStore()
    const options = { requestCert: true, rejectUnauthorized: false, ca: certificates.root.cert }
    const { server, port, errors } = await guarded('TLSv1.2', sessionStore, options)
    const { chain: cert, key } = certificates.client
    for (let count = 0; count < 7; count++) await hangUp(await dialled(port, { cert, key }))
    await until(() => server.stats().store?.failures === 7)
    assert.deepEqual(
      errors.map(({ operation, cause }) => [operation, (cause as NodeJS.ErrnoException).code]),
      [['set', 'ERR_OUT_OF_RANGE']],
    )
    assert.deepEqual(suspended(server), [])
    const { session } = await visit(port)
    assert.equal((await visit(port, session)).resumed, true)
  })
})
