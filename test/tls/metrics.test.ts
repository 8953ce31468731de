// collectSessionMetrics: what Prometheus gets to see of real handshakes and of a store that works and fails.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { collectSessionMetrics, type SessionMetricsOptions } from 'openssl-session'
import { MemorySessionStore, SealedSessionStore } from 'openssl-session/stores'
import { Registry } from 'prom-client'
import {
  closeAll,
  describeInEachHome,
  dialled,
  exchange,
  hangUp,
  only,
  serve,
  sessionOf,
  until,
} from '../support/tls.js'

/** The values of a metric, by their labels. */
async function values(register: Registry, name: string): Promise<Record<string, number>> {
  const { values = [] } = (await register.getSingleMetric(name)?.get()) ?? {}
  return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(' '), value]))
}

describeInEachHome('collectSessionMetrics', (home) => {
  afterEach(closeAll)

  it('counts look-ups, handshakes and connections, and times what it counts', async () => {
    const register = new Registry()
    const sessionStore = new MemorySessionStore()
    const { server, port } = await serve({ ...only('TLSv1.3'), sessionStore })
    const stop = collectSessionMetrics(register, { servers: [server] })
    const visit = async (session?: Buffer): Promise<Buffer> => {
      const client = await dialled(port, session ? { session } : {})
      const next = await sessionOf(client)
      assert.equal(await exchange(client, 'x'), 'x')
      await hangUp(client)
      return next
    }
    const first = await visit()
    await visit(first)
    await visit(first)
    await until(() => server.stats().open === 0)
    const full = await values(register, 'openssl_session_handshakes_total')
    assert.deepEqual(full, { 'TLSv1.3 resumed': 1, 'TLSv1.3 full': 2 })
    const operations = await values(register, 'openssl_session_operations_total')
    assert.equal(operations['take hit'], 1)
    assert.equal(operations['take miss'], 1)
    assert.ok((operations['set done'] ?? 0) >= 5)
    Object.assign(sessionStore, {
      take: () => {
        throw new Error('down')
      },
    })
    await visit(first)
    assert.equal((await values(register, 'openssl_session_operations_total'))['take error'], 1)
    assert.equal((await values(register, 'openssl_session_store_failures_total'))[''], 1)
    assert.equal((await values(register, 'openssl_session_connections_total'))[''], 4)
    const open = await dialled(port)
    assert.equal(await exchange(open, 'x'), 'x')
    assert.equal((await values(register, 'openssl_session_connections')).open, 1)
    const threads = Object.values(await values(register, 'openssl_session_thread_connections'))
    // Clients are there, too.
    if (home === 'engine') assert.ok(threads.reduce((sum, load) => sum + load) >= 2)
    const text = await register.metrics()
    assert.match(text, /^openssl_session_operation_seconds_bucket\{le="0.001",operation="take"\} [1-3]$/m)
    stop()
    assert.equal((await register.metrics()).trim(), '')
    // All can be collected again.
    collectSessionMetrics(register, { servers: [server] })()
  })

  it('tells what a store is not asked for now, and what was sealed and did not open', async () => {
    const register = new Registry()
    const inner = new MemorySessionStore()
    const sessionStore = new SealedSessionStore({ store: inner, keys: [randomBytes(32)] })
    sessionStore.on('sealError', () => {})
    const { server, port } = await serve({ ...only('TLSv1.3'), sessionStore })
    const stop = collectSessionMetrics(register, { servers: [server], stores: [sessionStore, sessionStore] })
    const visit = async (session?: Buffer): Promise<Buffer> => {
      const client = await dialled(port, session ? { session } : {})
      const next = await sessionOf(client)
      await hangUp(client)
      return next
    }
    const sealing = (): Promise<Record<string, number>> => values(register, 'openssl_session_sealing_total')
    assert.deepEqual(await sealing(), { sealed: 0, opened: 0, unknown_key: 0, broken: 0 })
    const session = await visit(await visit())
    const { sealed, opened } = sessionStore.stats()
    assert.ok(sealed >= 3 && opened === 1)
    assert.deepEqual(await sealing(), { sealed, opened, unknown_key: 0, broken: 0 })
    sessionStore.rotate(randomBytes(32))
    for (let keys = 0; keys < 15; keys++) sessionStore.rotate(randomBytes(32))
    const strange = await visit(session)
    assert.equal((await sealing()).unknown_key, 1)
    const suspended = (): Promise<Record<string, number>> => values(register, 'openssl_session_store_suspended')
    assert.deepEqual(await suspended(), { get: 0, take: 0, set: 0, delete: 0 })
    inner.close()
    for (let failures = 0; failures < 5; failures++) await visit(strange)
    await until(() => server.stats().store?.suspended.includes('set') ?? false)
    assert.deepEqual(await suspended(), { get: 0, take: 1, set: 1, delete: 0 })
    stop()
    assert.equal((await register.metrics()).trim(), '')
  })

  it('counts sessions without being given a server, and refuses what is no register', () => {
    const register = new Registry()
    collectSessionMetrics(register)()
    for (const wrong of [undefined, null, {}, 'register']) {
      assert.throws(() => collectSessionMetrics(wrong as unknown as Registry), { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })

  it('refuses options that make no sense, and leaves nothing in the register', async () => {
    const register = new Registry()
    const refused = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
    for (const options of [null, 7, 'servers']) {
      assert.throws(() => collectSessionMetrics(register, options as unknown as object), refused)
    }
    for (const servers of [null, 7, 'servers', {}, [undefined], [{}], [() => {}]]) {
      const wrong = { servers } as unknown as SessionMetricsOptions
      assert.throws(() => collectSessionMetrics(register, wrong), { ...refused, message: /"options\.servers"/ })
    }
    const stores = [new MemorySessionStore()] as unknown as SealedSessionStore[]
    assert.throws(() => collectSessionMetrics(register, { stores }), { ...refused, message: /"options\.stores"/ })
    assert.equal((await register.metrics()).trim(), '')
  })
})

describe('collectSessionMetrics without prom-client', () => {
  it('says what to install', () => {
    const program = `
      import Module from 'node:module'
      const load = Module._load
      Module._load = (name, ...rest) => { if (name === 'prom-client') throw new Error('none'); return load(name, ...rest) }
      const { collectSessionMetrics } = await import('openssl-session')
      try { collectSessionMetrics({ registerMetric() {} }) } catch ({ code, message }) { console.log(code, message) }`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    assert.match(stdout, /^ERR_METRICS_UNAVAILABLE .*npm install prom-client/)
  })
})
