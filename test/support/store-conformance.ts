// What every session store has to do, as tests: a store's own test file calls `conformsToSessionStore` with a way to open one.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionStore } from 'openssl-session/stores'

/** A store that can do everything the interface has. */
export type WholeStore = Required<Omit<SessionStore, 'atomicTake'>>

/** Opens an empty store; it is closed after each test. */
export type OpenStore = () => WholeStore | Promise<WholeStore>

const HOUR = 3600

/** An answer of a store with both ways of saying "not here" made one. */
async function found(answer: ReturnType<SessionStore['get']>): Promise<Buffer | undefined> {
  return (await answer) ?? undefined
}

/** The code with which `action` fails, now or by a promise. */
async function refusal(action: () => unknown): Promise<string> {
  try {
    await action()
  } catch (error) {
    assert.ok(error instanceof Error)
    assert.notEqual(error.message, '')
    return `${error.name} ${(error as NodeJS.ErrnoException).code}`
  }
  return 'none'
}

export function conformsToSessionStore(open: OpenStore): void {
  describe('is a SessionStore: it', () => {
    let store: WholeStore
    let id: Buffer

    beforeEach(async () => {
      store = await open()
      id = randomBytes(32)
    })

    afterEach(() => store.close())

    it('returns a session byte for byte, as a Buffer', async () => {
      const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
      for (const session of [every, randomBytes(1), Buffer.alloc(0), randomBytes(5000), randomBytes(50_000)]) {
        await store.set(id, session, HOUR)
        const answer = await found(store.get(id))
        assert.ok(Buffer.isBuffer(answer))
        assert.deepEqual(answer, session)
        assert.deepEqual(await found(store.take(id)), session)
      }
    })

    it('takes ids of every length from 1 to 32 bytes, and keeps them apart', async () => {
      // None of them is one of those that follow.
      const whole = Buffer.concat([Buffer.from([1]), randomBytes(31)])
      const ids = Array.from({ length: 32 }, (_, index) => whole.subarray(0, index + 1))
      ids.push(Buffer.alloc(32), Buffer.alloc(31), Buffer.alloc(32, 0xff), Buffer.from([0]), Buffer.from([0, 0]))
      await Promise.all(ids.map((id, index) => store.set(id, Buffer.from([index]), HOUR)))
      for (const [index, id] of ids.entries()) assert.deepEqual(await found(store.get(id)), Buffer.from([index]))
    })

    it('takes any Uint8Array for an id and a session, a view of something larger too', async () => {
      const bytes = new Uint8Array(randomBytes(100))
      const key = bytes.subarray(10, 42)
      await store.set(key as Buffer, bytes.subarray(42, 90) as Buffer, HOUR)
      assert.deepEqual(await found(store.get(Buffer.from(key))), Buffer.from(bytes.subarray(42, 90)))
    })

    it('answers undefined or null for an id that it does not have', async () => {
      assert.equal(await found(store.get(id)), undefined)
      assert.equal(await found(store.take(id)), undefined)
      await store.delete(id)
    })

    it('replaces the session of an id', async () => {
      await store.set(id, Buffer.from('first'), HOUR)
      await store.set(id, Buffer.from('the second one'), HOUR)
      assert.equal(String(await found(store.get(id))), 'the second one')
    })

    it('keeps a session when it is got, and not when it is taken or deleted', async () => {
      await store.set(id, Buffer.from('s'), HOUR)
      await store.get(id)
      assert.equal(String(await found(store.get(id))), 's')
      await store.take(id)
      assert.equal(await found(store.get(id)), undefined)
      await store.set(id, Buffer.from('s'), HOUR)
      await store.delete(id)
      assert.equal(await found(store.get(id)), undefined)
    })

    it('gives a session to one of many who take it at once', async () => {
      for (let round = 0; round < 20; round++) {
        await store.set(id, Buffer.from('s'), HOUR)
        const answers = await Promise.all(Array.from({ length: 20 }, () => found(store.take(id))))
        assert.equal(answers.filter((answer) => answer !== undefined).length, 1)
      }
    })

    it('is not changed by what callers do to their bytes afterwards', async () => {
      const session = Buffer.from('session')
      const key = Buffer.from(id)
      const stored = store.set(key, session, HOUR)
      session.fill(0)
      key.fill(0)
      await stored
      const answer = await found(store.get(id))
      assert.equal(String(answer), 'session')
      answer?.fill(0)
      assert.equal(String(await found(store.get(id))), 'session')
      const other = Buffer.from(id)
      const taken = store.take(other)
      other.fill(0)
      assert.equal(String(await found(taken)), 'session')
      assert.equal(await found(store.get(id)), undefined)
    })

    it('lets the writes of a caller take effect in their order, awaited or not', async () => {
      const ids = Array.from({ length: 50 }, () => randomBytes(32))
      const writes = ids.flatMap((id) => [
        store.set(id, Buffer.from('1'), HOUR),
        store.delete(id),
        store.set(id, Buffer.from('2'), HOUR),
        store.set(id, Buffer.from('3'), HOUR),
      ])
      const gone = randomBytes(32)
      writes.push(store.set(gone, Buffer.from('1'), HOUR), store.delete(gone))
      await Promise.all(writes)
      for (const id of ids) assert.equal(String(await found(store.get(id))), '3')
      assert.equal(await found(store.get(gone)), undefined)
    })

    it('returns a session until it expires, and not after', async () => {
      const other = randomBytes(32)
      await store.set(id, Buffer.from('short'), 0.25)
      await store.set(other, Buffer.from('short'), 0.25)
      assert.equal(String(await found(store.get(id))), 'short')
      await sleep(300)
      assert.equal(await found(store.get(id)), undefined)
      assert.equal(await found(store.take(other)), undefined)
    })

    it('counts the time to live from the last time a session was set', async () => {
      await store.set(id, Buffer.from('short'), 0.1)
      await store.set(id, Buffer.from('long'), HOUR)
      const other = randomBytes(32)
      await store.set(other, Buffer.from('long'), HOUR)
      await store.set(other, Buffer.from('short'), 0.1)
      await sleep(150)
      assert.equal(String(await found(store.get(id))), 'long')
      assert.equal(await found(store.get(other)), undefined)
    })

    it('stores nothing that has expired already, and forgets what was there', async () => {
      for (const ttl of [0, -1, -0.001, -1e300]) {
        await store.set(id, Buffer.from('old'), HOUR)
        await store.set(id, Buffer.from('new'), ttl)
        assert.equal(await found(store.get(id)), undefined)
      }
    })

    it('takes any finite time to live', async () => {
      for (const ttl of [1e9, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
        await store.set(id, Buffer.from('s'), ttl)
        assert.equal(String(await found(store.get(id))), 's')
      }
    })

    it('refuses an id of a wrong type or length, whatever the method', async () => {
      const session = Buffer.from('s')
      const methods: ((id: Buffer) => unknown)[] = [
        (id) => store.get(id),
        (id) => store.take(id),
        (id) => store.set(id, session, HOUR),
        (id) => store.delete(id),
      ]
      for (const method of methods) {
        for (const bad of [undefined, null, 'id', 7, {}, [], new ArrayBuffer(8), new Uint16Array(4)]) {
          assert.equal(await refusal(() => method(bad as Buffer)), 'TypeError ERR_INVALID_ARG_TYPE')
        }
        for (const bad of [Buffer.alloc(0), Buffer.alloc(33), Buffer.alloc(1e6)]) {
          assert.equal(await refusal(() => method(bad)), 'RangeError ERR_OUT_OF_RANGE')
        }
      }
    })

    it('refuses a session or a time to live of a wrong type, and keeps what it has', async () => {
      await store.set(id, Buffer.from('kept'), HOUR)
      for (const bad of [undefined, null, 'session', 7, {}]) {
        assert.equal(await refusal(() => store.set(id, bad as Buffer, HOUR)), 'TypeError ERR_INVALID_ARG_TYPE')
      }
      for (const bad of [undefined, null, '300', 300n, {}]) {
        assert.equal(
          await refusal(() => store.set(id, Buffer.from('s'), bad as number)),
          'TypeError ERR_INVALID_ARG_TYPE',
        )
      }
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        assert.equal(await refusal(() => store.set(id, Buffer.from('s'), bad)), 'RangeError ERR_OUT_OF_RANGE')
      }
      assert.equal(String(await found(store.get(id))), 'kept')
    })

    it('shows neither ids nor sessions in its errors', async () => {
      const secret = Buffer.alloc(40, 'S')
      const errors = [
        () => store.get(secret),
        () => store.set(id, secret.toString() as unknown as Buffer, HOUR),
        () => store.get(secret.toString() as unknown as Buffer),
      ]
      for (const action of errors) {
        await assert.rejects(
          async () => action(),
          (error: Error) => !/SSS|53, ?53|5353|83, ?83/.test(`${error.message} ${error.stack}`),
        )
      }
    })

    it('closes twice, and refuses to be used after that', async () => {
      await store.close()
      await store.close()
      assert.equal(await refusal(() => store.get(id)), 'Error ERR_STORE_CLOSED')
      assert.equal(await refusal(() => store.take(id)), 'Error ERR_STORE_CLOSED')
      assert.equal(await refusal(() => store.set(id, Buffer.from('s'), HOUR)), 'Error ERR_STORE_CLOSED')
      assert.equal(await refusal(() => store.delete(id)), 'Error ERR_STORE_CLOSED')
    })
  })
}
