// LmdbSessionStore shared by processes and worker threads: what one sees of the other, single use, and sudden death.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { LmdbSessionStore } from 'openssl-session/stores'
import { StoreProcess, sessionOf } from '../support/store-process.js'
import { until } from '../support/tls.js'

const HOUR = 3600

function hexIds(count: number): string[] {
  return Array.from({ length: count }, () => randomBytes(32).toString('hex'))
}

describe('LmdbSessionStore, shared', () => {
  let folder: string
  let path: string
  let store: LmdbSessionStore
  let processes: StoreProcess[] = []

  async function start(count: number): Promise<StoreProcess[]> {
    const started = await Promise.all(Array.from({ length: count }, () => StoreProcess.start(path)))
    processes.push(...started)
    return started
  }

  /** How many of these sessions are there as they were stored. */
  function undamaged(ids: string[]): number {
    return ids.filter((id) => store.get(Buffer.from(id, 'hex'))?.equals(sessionOf(Buffer.from(id, 'hex')))).length
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-'))
    path = join(folder, 'sessions.lmdb')
    store = new LmdbSessionStore(path)
  })

  afterEach(async () => {
    await Promise.all(processes.map((process) => process.kill()))
    processes = []
    await store.close()
    rmSync(folder, { recursive: true })
  })

  it('shows each process at once what the others have stored', async () => {
    const [one, other] = (await start(2)) as [StoreProcess, StoreProcess]
    for (let round = 0; round < 10; round++) {
      const ids = hexIds(20)
      await one.ask('set', { ids })
      assert.deepEqual(await other.ask('get', { ids }), ids)
      assert.equal(undamaged(ids), 20)
      assert.deepEqual(await other.ask('take', { ids }), ids)
      assert.equal(undamaged(ids), 0)
    }
  })

  it('shows what another has stored since the last look, even if the event loop has not turned meanwhile', () => {
    const id = Buffer.from('id')
    const program = `
      import { LmdbSessionStore } from 'openssl-session/stores'
      await new LmdbSessionStore(${JSON.stringify(path)}).set(Buffer.from('id'), Buffer.from('s'), 60)`
    assert.equal(store.get(id), undefined)
    spawnSync(process.execPath, ['--input-type=module', '-e', program])
    assert.equal(String(store.get(id)), 's')
  })

  it('holds all that several processes store at once', async () => {
    const writers = await start(4)
    const ids = writers.map(() => hexIds(1000))
    await Promise.all(writers.map((writer, index) => writer.ask('set', { ids: ids[index] as string[] })))
    assert.equal(undamaged(ids.flat()), 4000)
    assert.equal(store.size, 4000)
  })

  it('gives each session to exactly one of four processes that take it', async () => {
    const takers = await start(4)
    const ids = hexIds(500)
    await Promise.all(ids.map((id) => store.set(Buffer.from(id, 'hex'), sessionOf(Buffer.from(id, 'hex')), HOUR)))
    // Half of them in the opposite order, so that they meet in the middle too.
    const taken = await Promise.all(
      takers.map((taker, index) => taker.ask('take', { ids: index % 2 ? ids : ids.toReversed() })),
    )
    assert.deepEqual(taken.flat().toSorted(), ids.toSorted())
    assert.equal(store.size, 0)
  })

  it('loses nothing acknowledged and damages nothing when writers are killed', async () => {
    const acknowledged: string[] = []
    for (let round = 0; round < 3; round++) {
      const writers = await start(2)
      for (const writer of writers) writer.tell('burst', {})
      // In the middle of it, wherever that is.
      await until(() => writers.every(({ output }) => output.length > 65 * 60))
      await sleep(10 * round)
      await Promise.all(writers.map((writer) => writer.kill()))
      acknowledged.push(...writers.flatMap((writer) => writer.output.split('\n').filter((line) => line.length === 64)))
      // The next ones open and write what these left.
    }
    assert.ok(acknowledged.length > 3 * 2 * 60)
    assert.equal(undamaged(acknowledged), acknowledged.length)
    await store.close()
    store = new LmdbSessionStore(path)
    assert.equal(undamaged(acknowledged), acknowledged.length)
    await store.set(Buffer.from('id'), Buffer.from('s'), HOUR)
  })

  it('loses no write while other processes open the file', async () => {
    const openers = await start(3)
    let written = 0
    let reopened = 0
    const reopen = async (opener: StoreProcess): Promise<void> => {
      for (let times = 0; times < 15 || written <= 50; times++) await opener.ask('reopen', { times: 10 })
      reopened++
    }
    const all = Promise.all(openers.map(reopen))
    while (reopened < openers.length) {
      const id = randomBytes(32)
      await store.set(id, sessionOf(id), HOUR)
      assert.deepEqual(store.get(id), sessionOf(id))
      written++
    }
    await all
    assert.equal(store.size, written)
  })

  it('opens the file only when the writes of other processes have ended', async () => {
    const [writer] = (await start(1)) as [StoreProcess]
    await writer.ask('hang', { milliseconds: 700 })
    await sleep(100)
    const began = Date.now()
    const another = new LmdbSessionStore(path)
    const waited = Date.now() - began
    await another.close()
    assert.ok(waited > 300 && waited < 1900, `waited for ${waited} ms`)
  })

  it('is not held up by a process that was killed while it opened the file', async () => {
    writeFileSync(`${path}-opening`, '')
    await store.set(Buffer.from('id'), Buffer.from('s'), HOUR)
    assert.ok(!readdirSync(folder).includes('sessions.lmdb-opening'))
  })

  it('is not held up by a process whose event loop is busy', async () => {
    const [busy] = (await start(1)) as [StoreProcess]
    await busy.ask('hang', { milliseconds: 10_000 })
    await sleep(100)
    const began = Date.now()
    for (let count = 0; count < 50; count++) await store.set(randomBytes(32), Buffer.from('s'), HOUR)
    assert.ok(Date.now() - began < 9000, `50 writes took ${Date.now() - began} ms`)
  })

  it('survives processes that exit with writes under way', async () => {
    const [leaver] = (await start(1)) as [StoreProcess]
    const end = leaver.ended()
    leaver.tell('exit', {})
    assert.deepEqual(await end, { code: 0, signal: null })
    await store.set(Buffer.from('id'), Buffer.from('s'), HOUR)
    assert.equal(String(store.get(Buffer.from('id'))), 's')
  })

  it('works in worker threads, and survives their termination with writes under way', async () => {
    const program = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { randomBytes } = require('node:crypto')
      import('openssl-session/stores').then(async ({ LmdbSessionStore }) => {
        const store = new LmdbSessionStore(workerData)
        let id
        for (let count = 0; count <= 50; count++) {
          id = randomBytes(32)
          await Promise.all([store.set(id, id, 3600), store.set(randomBytes(32), id, 3600)])
        }
        const found = store.get(id).equals(id) && (await store.take(id)).equals(id)
        // A write is under way at the end, but no call: lmdb itself ends the process when a thread is terminated inside one.
        store.set(randomBytes(32), id, 3600)
        setImmediate(() => parentPort.postMessage(found))
        setInterval(() => {}, 1000)
      })`
    const workers = [0, 1, 2].map(() => new Worker(program, { eval: true, workerData: path }))
    const answers = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
    assert.deepEqual(answers, [true, true, true])
    await Promise.all(workers.map((worker) => worker.terminate()))
    const id = randomBytes(32)
    await store.set(id, sessionOf(id), HOUR)
    assert.ok(store.size >= 300)
    const began = Date.now()
    const [another] = (await start(1)) as [StoreProcess]
    assert.deepEqual(await another.ask('get', { ids: [id.toString('hex')] }), [id.toString('hex')])
    assert.ok(Date.now() - began < 1900, 'a terminated worker still counts as writing')
  })
})
