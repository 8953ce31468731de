// Look-ups that take their time, many at once, on the engine: what waits costs little, what comes too late is a miss
// though JavaScript is blocked, and what goes away meanwhile leaves nothing behind.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { Worker } from 'node:worker_threads'
import { createServer, leaks, runtime, type Server } from 'openssl-session'
import type { SessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { sanitized } from '../support/sanitizer.js'
import { times } from '../support/thorough.js'
import { aWhile, closeAll, dialledNode, hangUp, inEachVersion, until, type Version } from '../support/tls.js'
import type { Report, Wave } from './programs/clients.js'
import type { Report as ServerReport } from './programs/lookups.js'
import { killAll, Program } from './programs.js'

/** Sessions by id, each look-up of which is answered when the test says so. */
class SlowStore implements SessionStore {
  readonly sessions = new Map<string, Buffer>()
  readonly #waiting: { id: string; answer(session: Buffer | null): void }[] = []
  slow = true
  asked = 0

  get waiting(): number {
    return this.#waiting.length
  }

  get(id: Buffer): Buffer | null | Promise<Buffer | null> {
    const key = id.toString('hex')
    this.asked += 1
    if (!this.slow) return this.sessions.get(key) ?? null
    return new Promise((answer) => this.#waiting.push({ id: key, answer }))
  }

  set(id: Buffer, session: Buffer): void {
    this.sessions.set(id.toString('hex'), session)
  }

  // Clients propose the same session here, whatever TLS 1.3 says about that.
  delete(): void {}

  answerAll(): void {
    for (const { id, answer } of this.#waiting.splice(0)) answer(this.sessions.get(id) ?? null)
  }
}

/** What a client of node:tls sends first. */
async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const listening = net.createServer().listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const client = tls.connect({ ...options, port: (listening.address() as AddressInfo).port, host: '127.0.0.1' })
  client.on('error', () => {})
  const [socket] = (await once(listening, 'connection')) as [net.Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  listening.close()
  return hello
}

const alone = process.env.OPENSSL_SESSION_ASYNC === '0' || !runtime().asyncJobs

describe('Look-ups on the engine', () => {
  let store: SlowStore
  let server: Server
  let port: number
  let before: Record<string, number>
  let errors: Error[]

  async function start(lookupTimeout: number, options: object = {}): Promise<void> {
    before = { ...leaks().live }
    const { chain, key } = certs().server
    store = new SlowStore()
    errors = []
    const all = { cert: chain, key, threads: 2, sessionStore: store, lookupTimeout, ...options }
    server = createServer(all, (socket) => socket.on('error', () => {}).resume())
    server.on('tlsClientError', (error) => errors.push(error))
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }

  async function stop(): Promise<void> {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
    server.secureContext.free()
    // A worker gives the context back when it has nothing else to do. What others have left may go meanwhile.
    await until(() => Object.entries(leaks().live).every(([type, count]) => count <= (before[type] ?? 0)))
  }

  const clients = (): Program => new Program('clients', {}, { descriptors: 8000 })
  const wave = (what: Omit<Wave, 'port'>): string => JSON.stringify({ port, ...what })

  afterEach(async () => {
    // What a test that has failed has left.
    if (server?.listening) {
      server.close()
      server.closeAllConnections()
    }
    killAll()
    await closeAll()
  })

  it('wait by the thousand on two threads, cost little, and then all resume', async function () {
    // Without fibres a thread waits for one at a time; a sanitizer's shadow is no measure.
    if (alone || sanitized) this.skip()
    const serving = new Program('lookups', {}, { descriptors: 16_000 })
    port = Number(await serving.says())
    const each = times(5000, 250)
    const programs = [clients(), clients()]
    const [first] = programs as [Program, Program]
    const session = await first.ask(`session ${port} TLSv1.2`)
    serving.tell('hold')
    const all = programs.map((program) =>
      program.ask<Report>(`run ${wave({ count: each, session, version: 'TLSv1.2' })}`),
    )
    const { waiting, bytes, before, whileWaiting } = await serving.ask<ServerReport>(`wait for ${2 * each}`)
    assert.equal(waiting, 2 * each)
    // The fibre's stack is 32 KiB, of which most is never touched.
    assert.ok(bytes < 100_000, `${bytes} bytes for each that waits`)
    assert.ok(whileWaiting - before >= 2 * each)
    serving.tell('answer')
    for (const report of await Promise.all(all)) {
      const { duration: _duration, ...counts } = report
      assert.deepEqual(counts, { resumed: each, full: 0, failed: 0, errors: [] })
    }
    assert.equal(await serving.ask('close'), before)
    serving.leave()
    assert.deepEqual(await serving.ended, { code: 0, signal: null, stderr: '' })
  })

  it('have all of their time, however many clients come at once', async function () {
    // A thread that waits for one asks for the next one later.
    if (alone) this.skip()
    const count = times(600, 300)
    await start(50, { threads: 1, maxVersion: 'TLSv1.2' })
    store.slow = false
    const client = await dialledNode(port, { maxVersion: 'TLSv1.2' })
    const session = client.getSession() as Buffer
    await hangUp(client)
    const burst = new Worker(new URL('./programs/burst.js', import.meta.url), {
      workerData: { port, count, hello: await helloOf({ session, maxVersion: 'TLSv1.2', servername: 'localhost' }) },
    })
    try {
      await once(burst, 'message')
      await until(() => server.stats().handshaking === count)
      burst.postMessage('now')
      await until(() => store.asked >= count)
      await aWhile(100)
      // The thread is busy for longer than a look-up may take: that is not held against a store that answers at once.
      const { failures } = server.stats().store as { failures: number }
      assert.ok(failures < (sanitized ? count : count / 4), `${failures} look-ups were late`)
    } finally {
      await burst.terminate()
    }
  })

  for (const async of ['1', '0']) {
    it(`end in time though JavaScript is blocked, ${async === '1' ? 'on fibres' : 'where threads wait themselves'}`, async () => {
      const serving = new Program('lookups', { lookupTimeout: 150 }, { env: { OPENSSL_SESSION_ASYNC: async } })
      port = Number(await serving.says())
      const program = clients()
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const session = await program.ask(`session ${port} ${version}`)
        assert.equal(await serving.ask('block 2000'), 'blocked')
        // They stay, since their end would have to wait for JavaScript.
        const report = await program.ask<Report>(`run ${wave({ count: 4, session, version, stay: true })}`)
        const { duration, ...counts } = report
        assert.deepEqual(counts, { resumed: 0, full: 4, failed: 0, errors: [] })
        assert.ok(duration < 1800, `${version}: ${duration} ms`)
        assert.equal(await serving.says(), 'awake')
      }
      serving.tell('close')
      await serving.says()
      serving.leave()
      assert.deepEqual(await serving.ended, { code: 0, signal: null, stderr: '' })
    })
  }

  inEachVersion((version: Version) => {
    async function paused(count: number, lookupTimeout: number, options: object = {}): Promise<Program> {
      await start(lookupTimeout, options)
      store.slow = false
      const program = clients()
      const session = await program.ask(`session ${port} ${version}`)
      store.slow = true
      await program.ask(`start ${wave({ count, session, version })}`)
      // Or have failed already: a slow machine may need longer than a handshake has.
      await until(() => store.waiting + errors.length >= (alone ? 1 : count))
      return program
    }

    // A thread that waits itself comes to the next connection, closed or not, when it is done with this one.
    const [count, long] = alone ? [20, 200] : [times(300, 80), 60_000]

    it('are unwound when everything is closed', async () => {
      await paused(count, long)
      await stop()
      store.answerAll()
    })

    it('are unwound when their clients leave', async () => {
      const program = await paused(count, long)
      await program.ask('leave')
      // All of them at once: those on a thread that waits itself are found when it is answered.
      if (alone) store.answerAll()
      await until(() => errors.length >= count || alone)
      store.answerAll()
      await stop()
    })

    it('are unwound when their clients reset the connections', async () => {
      const program = await paused(count, long)
      await program.ask('reset')
      if (!alone) {
        await until(() => errors.length >= count)
        assert.deepEqual([...new Set(errors.map((error) => (error as NodeJS.ErrnoException).code))], ['ECONNRESET'])
      }
      store.answerAll()
      await stop()
    })

    it('are unwound when the handshake takes too long', async function () {
      // A thread that waits itself has no time for other deadlines.
      if (alone) this.skip()
      await paused(count, long, { handshakeTimeout: sanitized ? 10_000 : 1000 })
      await until(() => errors.length >= count)
      assert.deepEqual(
        [...new Set(errors.map((error) => (error as NodeJS.ErrnoException).code))],
        ['ERR_TLS_HANDSHAKE_TIMEOUT'],
      )
      store.answerAll()
      await stop()
    })

    it('are misses when they take too long, and an answer after that changes nothing', async function () {
      if (alone) this.skip()
      await start(200)
      store.slow = false
      const failures: Error[] = []
      server.on('sessionStoreError', (error) => failures.push(error))
      const program = clients()
      const session = await program.ask(`session ${port} ${version}`)
      store.slow = true
      const report = await program.ask<Report>(`run ${wave({ count, session, version, stay: true })}`)
      assert.deepEqual([report.full, report.failed, report.errors], [count, 0, []])
      store.answerAll()
      const { failures: late = 0, skipped = 0 } = server.stats().store ?? {}
      // A store that is that late is left alone before all have come.
      assert.equal(late + skipped, count)
      assert.equal(failures.length, 1)
      assert.equal((failures[0]?.cause as NodeJS.ErrnoException | undefined)?.code, 'ERR_LOOKUP_TIMEOUT')
      await stop()
    })

    it('are not held against a store that is not asked any more, however late JavaScript says so', async function () {
      if (alone) this.skip()
      await start(100)
      store.slow = false
      const program = clients()
      const session = await program.ask(`session ${port} ${version}`)
      store.slow = true
      const come = (count: number): Promise<Report> =>
        program.ask<Report>(`run ${wave({ count, session, version, stay: true })}`)
      const told = (): number => (server.stats().store?.failures ?? 0) + (server.stats().store?.skipped ?? 0)
      await come(8)
      await until(() => told() === 8)
      assert.equal(server.stats().store?.suspended.length, 1)
      const coming = come(20)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
      assert.equal((await coming).full, 20)
      await until(() => told() >= 28)
      await aWhile()
      assert.equal(told(), 28)
      store.answerAll()
      await stop()
    })
  })
})
