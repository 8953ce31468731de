// SealedSessionStore: what all stores do, what the store inside gets to see, what a thief can do with it, and rings of keys
// that turn while real clients come and go.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mock } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  MemorySessionStore,
  RedisSessionStore,
  type SealError,
  SealedSessionStore,
  type SealedSessionStoreOptions,
  type SealingKeys,
  type SessionStore,
} from 'openssl-session/stores'
import { RedisServer } from '../support/redis.js'
import { conformsToSessionStore, type WholeStore } from '../support/store-conformance.js'
import { closeAll, dialled, exchange, hangUp, inEachVersion, only, serve, sessionOf, until } from '../support/tls.js'

const HOUR = 3600

function keys(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(32))
}

/** A sealed store, its errors, and the store inside. */
function sealed(options: Partial<SealedSessionStoreOptions> = {}) {
  const inside = new MemorySessionStore()
  const store = new SealedSessionStore({ store: inside, keys: keys(1), ...options })
  const errors: SealError[] = []
  store.on('sealError', (error) => errors.push(error))
  return { inside, store, errors, codes: () => errors.map(({ code }) => code) }
}

const id = randomBytes(32)

describe('SealedSessionStore', () => {
  describe('around a store that answers at once', () => {
    conformsToSessionStore(() => sealed().store as unknown as WholeStore)

    it('answers at once itself', () => {
      const { store } = sealed()
      store.set(id, Buffer.from('s'), HOUR)
      assert.equal(String(store.get(id)), 's')
      assert.equal(String(store.take?.(id)), 's')
    })
  })

  describe('with keys from a function', () => {
    conformsToSessionStore(() => sealed({ keys: async () => [Buffer.alloc(32, 7)] }).store as unknown as WholeStore)
  })

  it('writes in the order of the calls before the first keys are in, too', async () => {
    for (const keysOf of [(ring: Buffer[]) => ring, async (ring: Buffer[]) => ring]) {
      const ring = keys(1)
      const { store } = sealed({ keys: () => keysOf(ring) })
      const other = randomBytes(32)
      await Promise.all([
        store.set(id, Buffer.from('one'), HOUR),
        store.set(id, Buffer.from('two'), HOUR),
        store.set(other, Buffer.from('three'), HOUR),
        store.delete(other),
      ])
      assert.equal(String(await store.get(id)), 'two')
      assert.equal(await store.get(other), undefined)
    }
  })

  describe('around Redis', () => {
    let server: RedisServer

    before(async () => {
      server = await RedisServer.start()
    })

    after(() => server.stop())

    conformsToSessionStore(async () => {
      const store = new RedisSessionStore(await server.client())
      return new SealedSessionStore({ store, keys: keys(2) }) as unknown as WholeStore
    })
  })

  it('shows the store inside nothing of a session, and never the same bytes twice', () => {
    const { inside, store } = sealed()
    const session = Buffer.from('a master secret that must not be seen')
    store.set(id, session, HOUR)
    const [first] = [inside.get(id) as Buffer]
    store.set(id, session, HOUR)
    const second = inside.get(id) as Buffer
    assert.equal(first.length, session.length + 45)
    assert.ok(!first.includes(session.subarray(0, 4)))
    assert.ok(!first.subarray(17).equals(second.subarray(17)))
    assert.ok(!first.subarray(29, 29 + session.length).equals(second.subarray(29, 29 + session.length)))
  })

  it('does not open a value of which any bit was changed, or that was cut short', async () => {
    const { inside, store, errors } = sealed()
    store.set(id, Buffer.from('session'), HOUR)
    const whole = inside.get(id) as Buffer
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const altered = Buffer.from(whole)
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7))
      inside.set(id, altered, HOUR)
      assert.equal(store.get(id), undefined, `bit ${bit}`)
    }
    for (let length = 0; length < whole.length; length++) {
      inside.set(id, whole.subarray(0, length), HOUR)
      assert.equal(store.get(id), undefined, `${length} bytes`)
    }
    const { broken, unknownKey } = store.stats()
    // The bits of the key's id make it another key.
    assert.deepEqual([broken, unknownKey], [whole.length * 8 - 64 + whole.length, 64])
    inside.set(id, whole, HOUR)
    assert.equal(String(store.get(id)), 'session')
    await until(() => errors.length > 0)
    assert.ok(errors.length <= 66, `${errors.length} reports`)
  })

  it('does not open a value that was copied from another id or another context', () => {
    const ring = keys(1)
    const inside = new MemorySessionStore()
    const one = new SealedSessionStore({ store: inside, keys: ring, sessionIdContext: 'one' }).on('sealError', () => {})
    const two = new SealedSessionStore({ store: inside, keys: ring, sessionIdContext: 'two' }).on('sealError', () => {})
    one.set(id, Buffer.from('session'), HOUR)
    assert.equal(two.get(id), undefined)
    const other = randomBytes(32)
    inside.set(other, inside.get(id) as Buffer, HOUR)
    assert.equal(one.get(other), undefined)
    assert.equal(String(one.get(id)), 'session')
    assert.deepEqual([one.stats().broken, two.stats().broken], [1, 1])
  })

  it('does not return a session after its life, though the store inside kept it', async () => {
    const { inside, store } = sealed()
    store.set(id, Buffer.from('s'), 0.05)
    inside.set(id, inside.get(id) as Buffer, HOUR)
    await sleep(70)
    assert.equal(store.get(id), undefined)
  })

  it('reports the same again after a minute, with what it has not reported meanwhile', async () => {
    const { store, inside, errors } = sealed()
    inside.set(id, Buffer.from('no sealed session'), HOUR)
    for (let count = 0; count < 3; count++) store.get(id)
    await until(() => errors.length === 1)
    const now = performance.now.bind(performance)
    mock.method(performance, 'now', () => now() + 60_000)
    try {
      store.get(id)
    } finally {
      mock.restoreAll()
    }
    await until(() => errors.length === 2)
    assert.deepEqual(
      errors.map(({ code, suppressed }) => [code, suppressed]),
      [
        ['ERR_SEAL_BROKEN', 0],
        ['ERR_SEAL_BROKEN', 2],
      ],
    )
  })

  it('counts what goes wrong in more ways than it tells apart, and still says that something does', async () => {
    const { store, inside, errors } = sealed()
    for (let count = 0; count < 70; count++) {
      const stranger = new SealedSessionStore({ store: inside, keys: keys(1) })
      stranger.set(id, Buffer.from('s'), HOUR)
      assert.equal(store.get(id), undefined)
    }
    await until(() => errors.length === 65)
    assert.equal(store.stats().unknownKey, 70)
  })

  it('reports each key and kind once, not each value', async () => {
    const { inside, store, errors, codes } = sealed()
    const stranger = new SealedSessionStore({ store: inside, keys: keys(1) })
    for (let count = 0; count < 50; count++) {
      const id = randomBytes(32)
      stranger.set(id, Buffer.from('s'), HOUR)
      assert.equal(store.get(id), undefined)
    }
    await until(() => errors.length > 0)
    assert.deepEqual(codes(), ['ERR_SEAL_UNKNOWN_KEY'])
    assert.equal(errors[0]?.keyId, stranger.keyIds[0])
    assert.equal(store.stats().unknownKey, 50)
  })

  it('warns where nobody listens', async () => {
    const { inside } = sealed()
    const store = new SealedSessionStore({ store: inside, keys: keys(1) })
    inside.set(id, Buffer.from('nonsense'), HOUR)
    const warned = once(process, 'warning')
    assert.equal(store.get(id), undefined)
    assert.equal(((await warned)[0] as SealError).code, 'ERR_SEAL_BROKEN')
  })

  it('puts back what it took and cannot open, for those who can, until its life ends', async () => {
    const inside = new MemorySessionStore()
    const owner = new SealedSessionStore({ store: inside, keys: keys(1) })
    const { store } = sealed({ store: inside })
    owner.set(id, Buffer.from('s'), 0.2)
    assert.equal(store.take?.(id), undefined)
    assert.equal(store.take?.(id), undefined)
    assert.equal(String(owner.get(id)), 's')
    assert.equal(store.take?.(id), undefined)
    await sleep(220)
    assert.equal(inside.get(id), undefined)
  })

  describe('and its keys', () => {
    it('are told apart by ids that depend on nothing else', () => {
      const [a, b] = keys(2) as [Buffer, Buffer]
      const one = sealed({ keys: [a, b] }).store
      const two = sealed({ keys: [b, a] }).store
      assert.deepEqual(one.keyIds, two.keyIds.toReversed())
      assert.match(one.keyIds[0] as string, /^[0-9a-f]{16}$/)
      assert.ok(!a.toString('hex').includes(one.keyIds[0] as string))
    })

    it('rotate: the new one seals, the old ones open, and the oldest of more than 16 goes', () => {
      const { inside, store, codes } = sealed()
      store.set(id, Buffer.from('old'), HOUR)
      const [old] = store.keyIds
      const [next] = keys(1) as [Buffer]
      store.rotate(next)
      assert.equal(store.keyIds[1], old)
      assert.equal(String(store.get(id)), 'old')
      store.set(id, Buffer.from('new'), HOUR)
      const only = new SealedSessionStore({ store: inside, keys: [next] })
      assert.equal(String(only.get(id)), 'new')
      // One that is there moves to the front.
      store.rotate(next)
      assert.equal(store.keyIds.length, 2)
      for (const key of keys(15)) store.rotate(key)
      assert.equal(store.keyIds.length, 16)
      assert.ok(!store.keyIds.includes(old as string))
      assert.equal(String(store.get(id)), 'new')
      assert.deepEqual(codes(), [])
    })

    it('are asked for again at an interval, and stay as they are when that fails', async () => {
      const [a, b] = keys(2) as [Buffer, Buffer]
      let answer: () => SealingKeys = () => [a]
      const { store, errors } = sealed({ keys: () => answer(), refreshInterval: 0.02 })
      await store.set(id, Buffer.from('s'), HOUR)
      const [first] = store.keyIds
      answer = () => [b, a]
      await until(() => store.keyIds.length === 2)
      assert.equal(store.keyIds[1], first)
      answer = () => {
        throw new Error('the file is gone')
      }
      await until(() => errors.length > 0)
      assert.equal(errors[0]?.code, 'ERR_SEAL_KEYS')
      assert.match(errors[0]?.message ?? '', /the file is gone/)
      await sleep(50)
      assert.equal(errors.length, 1)
      assert.equal(String(store.get(id)), 's')
      store.close()
    })

    it('that cannot be had fail what is called, until they can', async () => {
      let good = false
      const source = async (): Promise<SealingKeys> => (good ? [Buffer.alloc(32, 1)] : [])
      const { store } = sealed({ keys: source, refreshInterval: 0 })
      await assert.rejects(async () => store.get(id), { code: 'ERR_SEAL_KEYS' })
      await assert.rejects(async () => store.set(id, Buffer.from('s'), HOUR), { code: 'ERR_SEAL_KEYS' })
      good = true
      await store.set(id, Buffer.from('s'), HOUR)
      assert.equal(String(await store.get(id)), 's')
    })

    it('that are not known are asked for at once, so that a fleet need not change them in one moment', async () => {
      const ring = keys(1)
      const inside = new MemorySessionStore()
      const source = async (): Promise<SealingKeys> => [...ring]
      const late = new SealedSessionStore({ store: inside, keys: source, refreshInterval: 0 })
      const early = new SealedSessionStore({ store: inside, keys: source, refreshInterval: 0 })
      await late.refresh()
      ring.unshift(...keys(1))
      await early.set(id, Buffer.from('s'), HOUR)
      await sleep(1010)
      assert.equal(late.keyIds.length, 1)
      assert.equal(String(await late.take?.(id)), 's')
      assert.equal(late.keyIds.length, 2)
      assert.equal(late.stats().unknownKey, 0)
    })

    it('are asked for again after a function has not answered, and what was taken meanwhile is put back', async () => {
      const [known, unknown] = keys(2) as [Buffer, Buffer]
      const inside = new MemorySessionStore()
      let asked = 0
      const source = (): Promise<SealingKeys> => (++asked === 2 ? new Promise(() => {}) : Promise.resolve([known]))
      const store = new SealedSessionStore({ store: inside, keys: source, refreshInterval: 0 })
      const errors: SealError[] = []
      store.on('sealError', (error) => errors.push(error))
      await store.refresh()
      await new SealedSessionStore({ store: inside, keys: [unknown] }).set(id, Buffer.from('s'), HOUR)
      await sleep(1010)
      mock.timers.enable({ apis: ['setTimeout'] })
      try {
        const taking = store.take?.(id)
        assert.equal(inside.size, 0)
        mock.timers.tick(10_000)
        assert.equal(await taking, undefined)
      } finally {
        mock.timers.reset()
      }
      assert.equal(inside.size, 1)
      await until(() => errors.length === 2)
      assert.deepEqual(
        errors.map(({ code }) => code),
        ['ERR_SEAL_KEYS', 'ERR_SEAL_UNKNOWN_KEY'],
      )
      await store.refresh()
      assert.equal(asked, 3)
    })

    it('are waited for before the store inside is closed', async () => {
      let give: (keys: SealingKeys) => void = () => {}
      const source = (): Promise<SealingKeys> =>
        new Promise((resolve) => {
          give = resolve
        })
      const { store } = sealed({ keys: source, refreshInterval: 0 })
      const stored = store.set(id, Buffer.from('s'), HOUR)
      const closed = store.close()
      assert.throws(() => store.get(id), { code: 'ERR_STORE_CLOSED' })
      give(keys(1))
      await stored
      await closed
      assert.equal(store.stats().sealed, 1)
    })

    it('have one source: rotate is refused where they come from a function, refresh where they do not', async () => {
      assert.throws(() => sealed({ keys: () => keys(1) }).store.rotate(randomBytes(32)), { code: 'ERR_INVALID_STATE' })
      await assert.rejects(sealed().store.refresh(), { code: 'ERR_INVALID_STATE' })
    })
  })

  it('refuses options that make no sense, and shows no key', () => {
    const secret = Buffer.alloc(31, 'S')
    const store = new MemorySessionStore()
    const wrong: [unknown, string][] = [
      [undefined, 'ERR_INVALID_ARG_TYPE'],
      [{ keys: keys(1) }, 'ERR_INVALID_ARG_TYPE'],
      [{ store: {}, keys: keys(1) }, 'ERR_INVALID_ARG_TYPE'],
      [{ store }, 'ERR_INVALID_ARG_TYPE'],
      [{ store, keys: [] }, 'ERR_INVALID_ARG_TYPE'],
      [{ store, keys: keys(17) }, 'ERR_INVALID_ARG_TYPE'],
      [{ store, keys: [secret] }, 'ERR_INVALID_KEYLEN'],
      [{ store, keys: [secret.toString()] }, 'ERR_INVALID_ARG_TYPE'],
      [{ store, keys: secret.toString() }, 'ERR_INVALID_ARG_TYPE'],
      [{ store, keys: keys(1), refreshInterval: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ store, keys: keys(1), sessionIdContext: 7 }, 'ERR_INVALID_ARG_TYPE'],
      [{ store, keys: keys(1), sessionIdContext: 'x'.repeat(256) }, 'ERR_INVALID_ARG_TYPE'],
    ]
    for (const [options, code] of wrong) {
      assert.throws(
        () => new SealedSessionStore(options as SealedSessionStoreOptions),
        (error: NodeJS.ErrnoException) => error.code === code && !/SSS|53, ?53|5353/.test(error.message),
      )
    }
  })

  describe('of two servers, with clients coming all the time', () => {
    let redis: RedisServer

    beforeEach(async () => {
      redis = await RedisServer.start()
    })

    afterEach(async () => {
      await closeAll()
      await redis.stop()
    })

    /** Two stores with one ring, and how it turns. */
    const ways: Record<
      string,
      (inside: () => Promise<SessionStore>) => Promise<[SealedSessionStore[], () => Promise<void>]>
    > = {
      'by rotate': async (inside) => {
        const ring = keys(1)
        const make = async () => new SealedSessionStore({ store: await inside(), keys: ring, sessionIdContext: 'two' })
        const stores = await Promise.all([make(), make()])
        const turn = async (): Promise<void> => {
          const [next] = keys(1) as [Buffer]
          for (const store of stores) store.rotate(next)
        }
        return [stores, turn]
      },
      'by a function that is asked at an interval': async (inside) => {
        let ring = keys(1)
        const make = async () =>
          new SealedSessionStore({
            store: await inside(),
            keys: async () => ring,
            refreshInterval: 0.02,
            sessionIdContext: 'two',
          })
        const stores = await Promise.all([make(), make()])
        const turn = async (): Promise<void> => {
          const [next] = keys(1) as [Buffer]
          const before = ring
          // All must be able to open what one of them seals.
          ring = [...before, next]
          await until(() => stores.every(({ keyIds }) => keyIds.length === ring.length))
          ring = [next, ...before]
        }
        return [stores, turn]
      },
    }

    inEachVersion((version) => {
      for (const [way, make] of Object.entries(ways)) {
        it(`fails no handshake and loses no session while keys rotate ${way}`, async () => {
          const [stores, turn] = await make(async () => new RedisSessionStore(await redis.client()))
          const errors: Error[] = []
          const servers = await Promise.all(
            stores.map(async (sessionStore) => {
              sessionStore.on('sealError', (error) => errors.push(error))
              const running = await serve({ ...only(version), sessionStore, sessionIdContext: 'two' })
              running.server.on('sessionStoreError', (error) => errors.push(error))
              running.server.on('tlsClientError', (error) => errors.push(error))
              return running
            }),
          )
          let turning = true
          let resumed = 0
          const full: number[] = []
          const visit = async (index: number, session?: Buffer): Promise<Buffer> => {
            const port = servers[index % 2]?.port as number
            const client = await dialled(port, session ? { session } : {})
            const reused = client.isSessionReused()
            const next = reused && version === 'TLSv1.2' ? (session as Buffer) : await sessionOf(client)
            assert.equal(await exchange(client, 'x'), 'x')
            if (reused) resumed += 1
            else if (session !== undefined) full.push(index)
            await hangUp(client)
            return next
          }
          const client = async (): Promise<void> => {
            let session = await visit(0)
            for (let index = 1; turning; index++) session = await visit(index, session)
          }
          const clients = Promise.all(Array.from({ length: 4 }, client))
          for (let count = 1; count <= 8; count++) {
            await until(() => resumed >= count * 6)
            await turn()
          }
          turning = false
          await clients
          for (const { keyIds } of stores) assert.equal(keyIds.length, 9)
          assert.deepEqual(errors, [])
          assert.deepEqual(full, [])
          await closeAll()
          for (const store of stores) await store.close()
        })
      }
    })
  })
})
