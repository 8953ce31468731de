// KeyvSessionStore over Keyv in memory, over Keyv on a real Redis, and with serialisations that change what they are given.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import KeyvRedis from '@keyv/redis'
import Keyv from 'keyv'
import { type KeyvLike, KeyvSessionStore } from 'openssl-session/stores'
import { RedisServer } from '../support/redis.js'
import { conformsToSessionStore } from '../support/store-conformance.js'

const HOUR = 3600

describe('KeyvSessionStore', () => {
  describe('in memory', () => {
    conformsToSessionStore(() => new KeyvSessionStore(new Keyv()))
  })

  describe('on Redis', () => {
    let server: RedisServer
    const adapters: KeyvRedis<unknown>[] = []

    function keyv(): Keyv {
      const adapter = new KeyvRedis(server.url)
      adapters.push(adapter)
      return new Keyv({ store: adapter, throwOnErrors: true })
    }

    before(async () => {
      server = await RedisServer.start()
    })

    after(async () => {
      await Promise.all(adapters.map((adapter) => adapter.disconnect(true)))
      await server.stop()
    })

    conformsToSessionStore(() => new KeyvSessionStore(keyv()))

    it('gives each session to exactly one of two instances', async () => {
      const [one, two] = [new KeyvSessionStore(keyv()), new KeyvSessionStore(keyv())]
      const all = Array.from({ length: 100 }, () => randomBytes(32))
      await Promise.all(all.map((id) => one.set(id, id, HOUR)))
      const taken = await Promise.all(all.flatMap((id) => [one.take(id), two.take(id)]))
      assert.equal(taken.filter((session) => session !== undefined).length, 100)
    })

    it('fails when Redis does, if Keyv is told to say so', async () => {
      const lonely = await RedisServer.start()
      const adapter = new KeyvRedis(lonely.url, { throwOnErrors: true })
      const broken = new Keyv({ store: adapter, throwOnErrors: true })
      broken.on('error', () => {})
      adapter.on('error', () => {})
      const store = new KeyvSessionStore(broken)
      await store.set(randomBytes(32), Buffer.from('s'), HOUR)
      const client = await lonely.client()
      await client.configSet('maxmemory', '1')
      await assert.rejects(store.set(randomBytes(32), Buffer.from('s'), HOUR), {
        code: 'ERR_STORE_FAILED',
        message: /^Keyv failed: OOM /,
      })
      await adapter.disconnect(true)
      await lonely.stop()
    })
  })

  it('gets bytes back as they were from any serialisation', async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const json = { stringify: (value: unknown) => JSON.stringify(value), parse: (text: string) => JSON.parse(text) }
    for (const options of [{ serialization: json }, { serialize: undefined, deserialize: undefined }]) {
      const store = new KeyvSessionStore({ keyv: new Keyv(options as object), prefix: 'app:' })
      const id = randomBytes(32)
      await store.set(id, every, HOUR)
      assert.deepEqual(await store.get(id), every)
      assert.deepEqual(await store.take(id), every)
    }
  })

  it('says so when Keyv has not stored a session, or has something else', async () => {
    const id = randomBytes(32)
    const full = Object.assign(new Map<string, unknown>(), { set: () => false })
    const store = new KeyvSessionStore(new Keyv({ store: full }))
    await assert.rejects(store.set(id, Buffer.from('s'), HOUR), { code: 'ERR_STORE_FAILED', message: /not stored/ })
    const keyv = new Keyv()
    await keyv.set(`tls-session:${id.toString('hex')}`, 7)
    await assert.rejects(new KeyvSessionStore(keyv).get(id), { code: 'ERR_STORE_FAILED', message: /something else/ })
  })

  it('takes one that answers at once, or throws', async () => {
    const sessions = new Map<string, string>()
    let throws = false
    const check = (): void => {
      if (throws) throw new Error('at once')
    }
    const instant = {
      get: (key: string) => sessions.get(key),
      set: (key: string, value: string) => {
        check()
        return Boolean(sessions.set(key, value))
      },
      delete: (key: string) => {
        check()
        return sessions.delete(key)
      },
      disconnect: () => {},
    }
    const store = new KeyvSessionStore(instant as unknown as KeyvLike)
    const id = randomBytes(32)
    // Of one key in one turn: each waits for the one before it.
    await Promise.all([store.delete(id), store.set(id, Buffer.from('1'), HOUR)])
    assert.equal(String(await store.get(id)), '1')
    await Promise.all([store.delete(id), store.delete(id), store.set(id, Buffer.from('2'), HOUR)])
    assert.equal(String(await store.get(id)), '2')
    throws = true
    const failed = { code: 'ERR_STORE_FAILED', message: 'Keyv failed: at once' }
    const writes = [store.set(id, Buffer.from('3'), HOUR), store.take(id), store.delete(id)]
    await Promise.all(writes.map((write) => assert.rejects(write, failed)))
    throws = false
    assert.equal(String(await store.take(id)), '2')
    await store.close()
  })

  it('refuses what is no Keyv, a Map too, and options that make no sense', () => {
    for (const wrong of [
      undefined,
      null,
      'keyv',
      {},
      new Map(),
      { keyv: new Map() },
      { keyv: {} },
      { keyv: new Keyv(), prefix: 7 },
      { keyv: new Keyv(), atomicDelete: 1 },
    ]) {
      assert.throws(() => new KeyvSessionStore(wrong as unknown as KeyvLike), { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })
})
