// LmdbSessionStore in one process: what all stores do, expiry, size, the file and what can be wrong with it.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LmdbSessionStore, type LmdbSessionStoreOptions } from 'openssl-session/stores'
import { conformsToSessionStore } from '../support/store-conformance.js'

const MiB = 1024 ** 2
const HOUR = 3600

function ids(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(32))
}

describe('LmdbSessionStore', () => {
  let folder: string
  let path: string
  const opened: LmdbSessionStore[] = []

  function open(options: Partial<LmdbSessionStoreOptions> = {}): LmdbSessionStore {
    const store = new LmdbSessionStore({ path, ...options })
    opened.push(store)
    return store
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-'))
    path = join(folder, 'sessions.lmdb')
  })

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()))
    rmSync(folder, { recursive: true })
  })

  conformsToSessionStore(() => open())

  it('keeps its sessions when it is closed and opened again', async () => {
    const [id] = ids(1) as [Buffer]
    const store = open()
    const stored = store.set(id, Buffer.from('s'), HOUR)
    // Not awaited: what was called before `close` is done.
    await store.close()
    await stored
    assert.equal(String(open().get(id)), 's')
  })

  it('can be opened more than once in a process, with writes under way, and closed separately', async () => {
    const first = open()
    const all = ids(300)
    const stored = Promise.all(all.map((id) => first.set(id, Buffer.from('s'), HOUR)))
    await new Promise(setImmediate)
    const began = Date.now()
    const second = open()
    assert.ok(Date.now() - began < 1000)
    await stored
    await first.close()
    assert.equal(second.size, 300)
    assert.equal(String(await second.take(all[0] as Buffer)), 's')
  })

  describe('expiry', () => {
    it('sweeps what has expired, by itself and when told', async () => {
      const store = open({ sweepInterval: 0 })
      const [kept] = ids(1) as [Buffer]
      await Promise.all(ids(600).map((id) => store.set(id, Buffer.from('s'), 0.05)))
      await store.set(kept, Buffer.from('s'), HOUR)
      await sleep(100)
      assert.equal(store.size, 601)
      assert.equal(await store.sweep(), 600)
      assert.equal(store.size, 1)
      const another = open({ sweepInterval: 0.05 })
      await Promise.all(ids(100).map((id) => another.set(id, Buffer.from('s'), 0.05)))
      for (let tries = 0; tries < 100 && another.size > 1; tries++) await sleep(20)
      assert.equal(another.size, 1)
      assert.equal(String(another.get(kept)), 's')
    })

    it('does not sweep a session that was replaced by one that lives longer', async () => {
      const store = open({ sweepInterval: 0 })
      const all = ids(50)
      await Promise.all(all.map((id) => store.set(id, Buffer.from('old'), 0.05)))
      await Promise.all(all.map((id) => store.set(id, Buffer.from('new'), HOUR)))
      // Replaced before the first has been committed, so that the second does not find what it replaces.
      const late = ids(50)
      await Promise.all(
        late.flatMap((id) => [store.set(id, Buffer.from('old'), 0.05), store.set(id, Buffer.from('new'), HOUR)]),
      )
      await sleep(100)
      await store.sweep()
      assert.deepEqual(new Set([...all, ...late].map((id) => String(store.get(id)))), new Set(['new']))
    })

    it('leaves nothing behind in the file of sessions that were deleted or taken', async () => {
      const store = open({ sweepInterval: 0 })
      const all = ids(50)
      await Promise.all(all.map((id) => store.set(id, Buffer.from('s'), 0.05)))
      await Promise.all(all.map((id, index) => (index % 2 ? store.delete(id) : store.take(id))))
      await sleep(100)
      assert.equal(await store.sweep(), 0)
    })

    it('does not keep a process alive', () => {
      const program = `
        import { LmdbSessionStore } from 'openssl-session/stores'
        await new LmdbSessionStore(${JSON.stringify(path)}).set(Buffer.from('id'), Buffer.from('s'), 60)`
      const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
        timeout: 10_000,
      })
      assert.deepEqual({ status, stderr: String(stderr) }, { status: 0, stderr: '' })
      assert.equal(String(open().get(Buffer.from('id'))), 's')
    })
  })

  describe('size', () => {
    it('stays within maxBytes under ten times what fits, and refuses nothing', async () => {
      const store = open({ maxBytes: 4 * MiB })
      const session = randomBytes(1500)
      const all = ids(10_000)
      let largest = 0
      // In a flood, and one after the other.
      for (let start = 0; start < all.length; start += 1000) {
        await Promise.all(all.slice(start, start + 900).map((id) => store.set(id, session, HOUR)))
        for (const id of all.slice(start + 900, start + 1000)) await store.set(id, session, HOUR)
        largest = Math.max(largest, statSync(path).size)
      }
      assert.ok(largest <= 4 * MiB, `the file grew to ${largest} bytes`)
      assert.ok(store.size > 300, `only ${store.size} sessions are left`)
      for (const id of all.slice(-100)) assert.deepEqual(store.get(id), session)
    })

    it('drops what expires soonest', async () => {
      const store = open({ maxBytes: 4 * MiB })
      const session = randomBytes(3000)
      const [longest, soonest] = [ids(100), ids(100)]
      await Promise.all(longest.map((id) => store.set(id, session, 3 * HOUR)))
      await Promise.all(soonest.map((id) => store.set(id, session, HOUR)))
      await Promise.all(ids(800).map((id) => store.set(id, session, 2 * HOUR)))
      assert.equal(longest.filter((id) => store.get(id)).length, 100)
      assert.equal(soonest.filter((id) => store.get(id)).length, 0)
    })

    it('drops what has expired before anything else', async () => {
      const store = open({ maxBytes: 4 * MiB, sweepInterval: 0 })
      const session = randomBytes(3000)
      const living = ids(100)
      await Promise.all(ids(400).map((id) => store.set(id, session, 0.05)))
      await sleep(100)
      await Promise.all(living.map((id) => store.set(id, session, 1)))
      await Promise.all(ids(250).map((id) => store.set(id, session, HOUR)))
      assert.equal(living.filter((id) => store.get(id)).length, 100)
    })

    it('keeps the order of writes while it makes room', async () => {
      const store = open({ maxBytes: 4 * MiB })
      const session = randomBytes(3000)
      const all = ids(1500)
      const deleted = all.filter((_, index) => index % 3 === 0)
      const writes = all.map((id, index) => {
        const stored = store.set(id, session, HOUR + index)
        return index % 3 === 0 ? Promise.all([stored, store.delete(id)]) : stored
      })
      await Promise.all(writes)
      assert.equal(deleted.filter((id) => store.get(id)).length, 0)
      assert.deepEqual(store.get(all.at(-1) as Buffer), session)
    })

    it('refuses a session larger than a 64th of maxBytes', async () => {
      const store = open({ maxBytes: 4 * MiB })
      await store.set(randomBytes(32), randomBytes(65536), HOUR)
      await assert.rejects(store.set(randomBytes(32), randomBytes(65537), HOUR), { code: 'ERR_OUT_OF_RANGE' })
      assert.equal(store.size, 1)
    })
  })

  describe('the file', () => {
    it('has mode 0600 with all that belongs to it, whatever the umask', async () => {
      const umask = process.umask(0)
      try {
        await open().set(randomBytes(32), Buffer.from('s'), HOUR)
      } finally {
        process.umask(umask)
      }
      const modes = readdirSync(folder).map((name) => [
        name.replace(/-gate-[-\w]+?(-lock)?$/, '-gate$1'),
        statSync(join(folder, name)).mode & 0o777,
      ])
      assert.deepEqual(Object.fromEntries(modes), {
        'sessions.lmdb': 0o600,
        'sessions.lmdb-lock': 0o600,
        'sessions.lmdb-gate': 0o600,
        'sessions.lmdb-gate-lock': 0o600,
      })
    })

    it('is refused when everybody could read it', () => {
      writeFileSync(path, '', { mode: 0o644 })
      assert.throws(() => open(), { code: 'ERR_STORE_PERMISSIONS', message: /644/ })
    })

    it('is refused where there is no folder for it, and the folder is named', () => {
      path = join(folder, 'missing', 'sessions.lmdb')
      assert.throws(() => open(), { code: 'ENOENT', message: /missing/ })
      assert.deepEqual(readdirSync(folder), [])
    })

    it('is refused when it is a folder', () => {
      path = join(folder, 'directory')
      mkdirSync(path)
      assert.throws(() => open(), { code: 'EISDIR' })
    })

    it('is refused when it is not LMDB, and left as it is', () => {
      for (const bytes of [randomBytes(50_000), Buffer.from('hello'), Buffer.alloc(8192)]) {
        writeFileSync(path, bytes, { mode: 0o600 })
        assert.throws(() => open(), { code: 'ERR_STORE_CORRUPT', message: /sessions\.lmdb/ })
        assert.deepEqual(readFileSync(path), bytes)
      }
    })

    it('is refused when it was cut short, and left as it is', async () => {
      const store = open()
      await Promise.all(ids(3000).map((id) => store.set(id, randomBytes(200), HOUR)))
      await store.close()
      truncateSync(path, Math.floor(statSync(path).size / 3))
      const bytes = readFileSync(path)
      assert.throws(() => open(), { code: 'ERR_STORE_CORRUPT' })
      assert.deepEqual(readFileSync(path), bytes)
    })

    it('is used when it is empty', async () => {
      writeFileSync(path, '', { mode: 0o600 })
      await open().set(Buffer.from('id'), Buffer.from('s'), HOUR)
    })

    it('of an earlier boot of the machine is not used', async () => {
      const id = Buffer.from('id')
      const store = open()
      await store.set(id, Buffer.from('s'), HOUR)
      await store.close()
      const gates = readdirSync(folder).filter((name) => name.includes('-gate-'))
      assert.equal(gates.length, 2)
      for (const name of gates) {
        renameSync(join(folder, name), join(folder, name.replace(/-gate-[0-9a-f-]{36}/, `-gate-${'0'.repeat(36)}`)))
      }
      const after = open()
      assert.equal(after.get(id), undefined)
      await after.set(id, Buffer.from('new'), HOUR)
      assert.equal(readdirSync(folder).length, 4)
      assert.equal(String(open().get(id)), 'new')
    })
  })

  it('refuses options that make no sense', () => {
    const wrong: [unknown, string][] = [
      [undefined, 'ERR_INVALID_ARG_TYPE'],
      [null, 'ERR_INVALID_ARG_TYPE'],
      [7, 'ERR_INVALID_ARG_TYPE'],
      ['', 'ERR_INVALID_ARG_TYPE'],
      [{}, 'ERR_INVALID_ARG_TYPE'],
      [{ path, maxBytes: 4 * MiB - 1 }, 'ERR_OUT_OF_RANGE'],
      [{ path, maxBytes: '64M' }, 'ERR_INVALID_ARG_TYPE'],
      [{ path, sweepInterval: Number.NaN }, 'ERR_OUT_OF_RANGE'],
    ]
    for (const [options, code] of wrong) {
      assert.throws(() => new LmdbSessionStore(options as LmdbSessionStoreOptions), { code })
    }
    assert.deepEqual(readdirSync(folder), [])
  })

  it('is not loaded by those who do not use it', () => {
    const program = `
      import { MemorySessionStore } from 'openssl-session/stores'
      new MemorySessionStore().set(Buffer.from('id'), Buffer.from('s'), 60)
      process.stdout.write(String(process.report.getReport().sharedObjects.some((file) => file.includes('lmdb'))))`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program])
    assert.equal(String(stdout), 'false')
  })
})
