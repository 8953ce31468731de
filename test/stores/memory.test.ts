// MemorySessionStore: what all stores do, its bounds, and its sweep.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemorySessionStore, type MemorySessionStoreOptions } from 'openssl-session/stores'
import { conformsToSessionStore } from '../support/store-conformance.js'

function ids(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(32))
}

describe('MemorySessionStore', () => {
  conformsToSessionStore(() => new MemorySessionStore())

  it('answers at once, without a promise', () => {
    const store = new MemorySessionStore()
    const [id] = ids(1) as [Buffer]
    store.set(id, Buffer.from('s'), 60)
    assert.equal(String(store.get(id)), 's')
    assert.equal(String(store.take(id)), 's')
    store.close()
  })

  it('keeps no more sessions than maxEntries, and drops the least recently used', () => {
    const store = new MemorySessionStore({ maxEntries: 3 })
    const [a, b, c, d] = ids(4) as [Buffer, Buffer, Buffer, Buffer]
    for (const id of [a, b, c]) store.set(id, Buffer.from('s'), 60)
    store.get(a)
    store.set(d, Buffer.from('s'), 60)
    assert.equal(store.size, 3)
    assert.deepEqual(
      [a, b, c, d].map((id) => store.get(id) !== undefined),
      [true, false, true, true],
    )
    store.close()
  })

  it('keeps no more bytes than maxBytes, ids counted', () => {
    const store = new MemorySessionStore({ maxBytes: 2000 })
    const all = ids(10)
    for (const id of all) store.set(id, randomBytes(468), 60)
    assert.equal(store.size, 4)
    assert.deepEqual(
      all.filter((id) => store.get(id)),
      all.slice(-4),
    )
    store.close()
  })

  it('refuses a session larger than the whole store, and keeps the others', () => {
    const store = new MemorySessionStore({ maxBytes: 1024 })
    const [a, b] = ids(2) as [Buffer, Buffer]
    store.set(a, Buffer.from('s'), 60)
    assert.throws(() => store.set(b, randomBytes(993), 60), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
    assert.equal(store.size, 1)
    store.close()
  })

  it('sweeps what has expired, by itself and when told', async () => {
    const store = new MemorySessionStore({ sweepInterval: 0.05 })
    const manual = new MemorySessionStore({ sweepInterval: 0 })
    for (const id of ids(20)) {
      store.set(id, Buffer.from('s'), 0.02)
      manual.set(id, Buffer.from('s'), 0.02)
    }
    manual.set(randomBytes(32), Buffer.from('s'), 60)
    await sleep(200)
    assert.equal(store.size, 0)
    assert.equal(manual.size, 21)
    assert.equal(manual.sweep(), 20)
    assert.equal(manual.size, 1)
    store.close()
    manual.close()
  })

  it('refuses options that make no sense', () => {
    const wrong: [MemorySessionStoreOptions, string][] = [
      [null as unknown as object, 'ERR_INVALID_ARG_TYPE'],
      [7 as unknown as object, 'ERR_INVALID_ARG_TYPE'],
      [{ maxEntries: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ maxEntries: 1.5 }, 'ERR_OUT_OF_RANGE'],
      [{ maxEntries: '7' as unknown as number }, 'ERR_INVALID_ARG_TYPE'],
      [{ maxBytes: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ maxBytes: Number.NaN }, 'ERR_OUT_OF_RANGE'],
      [{ sweepInterval: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ sweepInterval: 1e9 }, 'ERR_OUT_OF_RANGE'],
      [{ sweepInterval: null as unknown as number }, 'ERR_INVALID_ARG_TYPE'],
    ]
    for (const [options, code] of wrong) assert.throws(() => new MemorySessionStore(options), { code })
  })
})
