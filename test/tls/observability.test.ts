// What a server tells those who watch it: server.stats(), and the messages on diagnostics_channel.

import assert from 'node:assert/strict'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import net from 'node:net'
import { createServer, type SessionMessage } from 'openssl-session'
import { MemorySessionStore } from 'openssl-session/stores'
import {
  afterTest,
  closeAll,
  dial,
  dialled,
  exchange,
  hangUp,
  identity,
  inEachHome,
  inEachVersion,
  listen,
  only,
  serve,
  sessionOf,
  until,
} from '../support/tls.js'

inEachHome((home) => {
  describe("a server's stats()", () => {
    afterEach(closeAll)

    inEachVersion((version) => {
      it('count what has come, what was resumed, and what is there now', async () => {
        const { server, port } = await serve({ ...only(version), sessionStore: new MemorySessionStore() })
        const first = await dialled(port, only(version))
        const session = await sessionOf(first)
        assert.equal(await exchange(first, 'one'), 'one')
        const second = await dialled(port, { ...only(version), session })
        assert.equal(await exchange(second, 'two'), 'two')
        const { cache, threads, ...counts } = server.stats()
        assert.deepEqual(counts, {
          accepted: 2,
          dropped: 0,
          handshaking: 0,
          waiting: 0,
          open: 2,
          failed: 0,
          handshakes: { [version]: { resumed: 1, full: 1 } },
          store: { suspended: [], failures: 0, skipped: 0, owed: 0 },
        })
        assert.equal(cache.cbHits, 1)
        assert.equal(cache.acceptGood, 2)
        if (home === 'engine') assert.ok(threads.reduce((sum, load) => sum + load, 0) >= 2)
        await hangUp(first)
        await hangUp(second)
        await until(() => server.stats().open === 0)
        assert.equal(server.stats().accepted, 2)
      })
    })

    it('tell of handshakes that wait for a look-up, that have not begun, and that fail', async () => {
      const held: ((value: null) => void)[] = []
      const store = {
        get: () => new Promise<null>((resolve) => held.push(resolve)),
        set: () => {},
        delete: () => {},
      }
      const { server, port } = await serve({ ...only('TLSv1.2'), sessionStore: store })
      const session = await sessionOf(await dialled(port, only('TLSv1.2')))
      const waiting = dial(port, { ...only('TLSv1.2'), session })
      const silent = afterTest(net.connect(port, '127.0.0.1'))
      await until(() => server.stats().waiting === 1 && server.stats().handshaking === 2)
      for (const answer of held) answer(null)
      await once(waiting, 'secureConnect')
      await until(() => server.stats().waiting === 0 && server.stats().handshaking === 1)
      const failed = once(server, 'tlsClientError')
      silent.write('this is no TLS\r\n')
      silent.on('error', () => {})
      await failed
      await until(() => server.stats().handshaking === 0)
      const { failed: failures, accepted, open, handshakes } = server.stats()
      assert.deepEqual([failures, accepted, open], [1, 3, 2])
      assert.deepEqual(handshakes, { 'TLSv1.2': { resumed: 0, full: 2 } })
    })

    it('count connections that are turned away', async () => {
      const server = createServer(identity(), () => {})
      server.maxConnections = 1
      const port = await listen(server)
      await dialled(port)
      const dropped = once(server, 'drop')
      dial(port).on('error', () => {})
      await dropped
      if (home === 'engine') assert.equal(server.stats().dropped, 1)
      await until(() => server.stats().open === 1)
    })
  })

  describe('diagnostics_channel', () => {
    afterEach(closeAll)

    inEachVersion((version) => {
      it('has a message for each session that is stored, looked up and removed, with how long it took', async () => {
        const messages: Record<string, SessionMessage[]> = { new: [], get: [], remove: [] }
        const listeners = Object.keys(messages).map((name) => {
          const listener = (message: unknown): void => void messages[name]?.push(message as SessionMessage)
          diagnostics.subscribe(`openssl-session.session.${name}`, listener)
          return () => diagnostics.unsubscribe(`openssl-session.session.${name}`, listener)
        })
        try {
          const slow = new MemorySessionStore()
          const store = {
            get: (id: Buffer) => new Promise<Buffer | undefined>((done) => setTimeout(() => done(slow.get(id)), 20)),
            set: (id: Buffer, session: Buffer, ttl: number) => slow.set(id, session, ttl),
            delete: (id: Buffer) => slow.delete(id),
          }
          const { port } = await serve({ ...only(version), sessionStore: store })
          const first = await dialled(port, only(version))
          const session = await sessionOf(first)
          await hangUp(first)
          const second = await dialled(port, { ...only(version), session })
          assert.equal(second.isSessionReused(), true)
          const [looked] = messages.get ?? []
          assert.equal(looked?.operation, 'get')
          assert.equal(looked.found, true)
          assert.ok(looked.duration >= 15, `${looked.duration} ms`)
          assert.ok((messages.new?.length ?? 0) >= 1)
          assert.ok(messages.new?.every(({ operation, duration }) => operation === 'set' && duration >= 0))
          assert.ok(messages.new?.some(({ id }) => id.equals(looked.id)))
          // A session of TLS 1.3 is used once; this store cannot take, so it is told to delete.
          if (version === 'TLSv1.3') assert.ok(messages.remove?.some(({ id }) => id.equals(looked.id)))
        } finally {
          for (const unsubscribe of listeners) unsubscribe()
        }
      })
    })

    it('tells of a look-up that finds nothing, and of one that fails', async () => {
      const messages: SessionMessage[] = []
      const listener = (message: unknown): void => void messages.push(message as SessionMessage)
      diagnostics.subscribe('openssl-session.session.get', listener)
      try {
        const failure = new Error('no store today')
        const store = { get: () => Promise.reject(failure), set: () => {}, delete: () => {} }
        const { server, port } = await serve({ ...only('TLSv1.2'), sessionStore: store })
        server.on('sessionStoreError', () => {})
        const session = await sessionOf(await dialled(port, only('TLSv1.2')))
        assert.equal((await dialled(port, { ...only('TLSv1.2'), session })).isSessionReused(), false)
        assert.equal(messages.length, 1)
        assert.equal(messages[0]?.found, false)
        assert.equal(messages[0]?.error, failure)
      } finally {
        diagnostics.unsubscribe('openssl-session.session.get', listener)
      }
    })
  })
})
