// What is handed over as a store, by createServer and by SealedSessionStore: refused at once when it is none, not by the first handshake.

import assert from 'node:assert/strict'
import { createServer } from 'openssl-session'
import { MemorySessionStore, SealedSessionStore, type SessionStore } from 'openssl-session/stores'

const nothing = (): undefined => undefined
const least = { get: nothing, set: nothing, delete: nothing }

/** Those that take a store, and how they call it. */
const takers: Record<string, { name: string; give: (store: unknown) => unknown }> = {
  createServer: {
    name: 'options.sessionStore',
    give: (store) => createServer({ sessionStore: store as SessionStore }),
  },
  SealedSessionStore: {
    name: 'options.store',
    give: (store) => new SealedSessionStore({ store: store as SessionStore, keys: [Buffer.alloc(32)] }),
  },
}

for (const [who, { name, give }] of Object.entries(takers)) {
  describe(`${who}, given a store`, () => {
    for (const method of ['get', 'set', 'delete']) {
      it(`wants a function '${method}'`, () => {
        for (const wrong of [undefined, null, true, 'get']) {
          assert.throws(() => give({ ...least, [method]: wrong }), {
            name: 'TypeError',
            code: 'ERR_INVALID_ARG_TYPE',
            message: new RegExp(
              `^The "${name}" argument must be a SessionStore, with a function '${method}'\\. Received `,
            ),
          })
        }
      })
    }

    it("takes one with and without 'take' and 'close', and wants functions", () => {
      for (const optional of [{}, { take: undefined }, { take: nothing, close: nothing, atomicTake: false }]) {
        assert.ok(give({ ...least, ...optional }))
      }
      for (const wrong of [{ take: true }, { take: null }, { close: 1 }, { take: nothing, atomicTake: 'no' }]) {
        const [property] = Object.keys(wrong).slice(-1)
        const message = new RegExp(`^The "${name}\\.${property}" argument must be `)
        assert.throws(() => give({ ...least, ...wrong }), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message })
      }
    })

    it('wants a store, not its class, a path, or a Promise of one', () => {
      for (const wrong of [MemorySessionStore, 'sessions.mdb', 7, true, Promise.resolve(new MemorySessionStore())]) {
        assert.throws(() => give(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
      }
    })
  })
}

describe('createServer, given no store', () => {
  it('has none', () => {
    for (const none of [undefined, null]) {
      assert.equal(createServer({ sessionStore: none as unknown as undefined }).stats().store, null)
    }
  })
})
