// createServer({ sessionStore }): sessions in stores, shared by servers, used once in TLS 1.3; and stores that fail, which fail no handshake.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import {
  createServer,
  type Server,
  type ServerOptions,
  Session,
  type SessionStoreError,
  type TLSSocket,
} from 'openssl-session'
import { MemorySessionStore, type SessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { openSession, resumesSession } from '../support/programs.js'
import {
  atHome,
  closeAll,
  describeInEachHome,
  dial,
  dialled,
  dialledNode,
  exchange,
  hangUp,
  identity,
  inEachVersion,
  listen,
  only,
  type Running,
  serve,
  sessionOf,
  until,
  type Version,
} from '../support/tls.js'

/** A store in a map, which notes what it is asked. */
class NotingStore implements SessionStore {
  readonly sessions = new Map<string, Buffer>()
  readonly asked: string[] = []
  /** When each stored session ends: seconds since 1970. */
  readonly ends: number[] = []

  get(id: Buffer): Buffer | undefined {
    this.asked.push('get')
    return this.sessions.get(id.toString('hex'))
  }

  set(id: Buffer, session: Buffer, ttl: number): void {
    this.asked.push('set')
    this.ends.push(Date.now() / 1000 + ttl)
    this.sessions.set(id.toString('hex'), session)
  }

  delete(id: Buffer): void {
    this.asked.push('delete')
    this.sessions.delete(id.toString('hex'))
  }
}

class TakingStore extends NotingStore {
  async take(id: Buffer): Promise<Buffer | undefined> {
    this.asked.push('take')
    const session = this.sessions.get(id.toString('hex'))
    this.sessions.delete(id.toString('hex'))
    return session
  }
}

/** A store that takes a session out at once, and gives it away when it is told to. */
class HesitantStore extends NotingStore {
  readonly #answers: (() => void)[] = []

  take(id: Buffer): Promise<Buffer | undefined> {
    const session = this.sessions.get(id.toString('hex'))
    this.sessions.delete(id.toString('hex'))
    return new Promise((resolve) => this.#answers.push(() => resolve(session)))
  }

  get waiting(): number {
    return this.#answers.length
  }

  answerAll(): void {
    for (const answer of this.#answers.splice(0)) answer()
  }
}

/** A server with a store, and a session that one of its connections got. */
async function withSession(
  version: Version,
  sessionStore: SessionStore,
  options: ServerOptions = {},
): Promise<Running & { session: Buffer; errors: SessionStoreError[] }> {
  const running = await serve({ ...only(version), sessionStore, ...options })
  const errors: SessionStoreError[] = []
  running.server.on('sessionStoreError', (error) => errors.push(error))
  const client = await dialled(running.port, only(version))
  const session = await sessionOf(client)
  assert.equal(await exchange(client, 'first'), 'first')
  await hangUp(client)
  return { ...running, session, errors }
}

/** Whether a client with this session resumes; the connection works in any case. */
async function resumes(port: number, session: Buffer): Promise<boolean> {
  const client = await dialled(port, { session })
  assert.equal(await exchange(client, 'again'), 'again')
  const reused = client.isSessionReused()
  await hangUp(client)
  return reused
}

/** A store that has a session, and answers no look-up any more. */
async function neverAnswering(version: Version): Promise<{ store: SessionStore; session: Buffer }> {
  const store = new TakingStore()
  const { session } = await withSession(version, store)
  const never = (): Promise<undefined> => new Promise(() => {})
  return { store: Object.assign(store, { get: never, take: never }), session }
}

describeInEachHome('a server with a sessionStore', (home) => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it('resumes the sessions of another server with the same store', async () => {
      const sessionStore = new MemorySessionStore()
      const { session } = await withSession(version, sessionStore)
      const { port } = await serve({ ...only(version), sessionStore })
      assert.equal(await resumes(port, session), true)
    })

    it('resumes clients of node:tls and of the openssl program', async () => {
      const sessionStore = new MemorySessionStore()
      const [one, two] = [
        await serve({ ...only(version), sessionStore }),
        await serve({ ...only(version), sessionStore }),
      ]
      const theirs = await dialledNode(one.port)
      const session = version === 'TLSv1.2' ? theirs.getSession() : ((await once(theirs, 'session')) as [Buffer])[0]
      assert.equal((await dialledNode(two.port, { session })).isSessionReused(), true)

      const file = `${certs().root.certFile}.${version}.session`
      await openSession(one.port, version, file)
      assert.equal(await resumesSession(two.port, version, file), true)
    })

    it('keeps no session itself and issues no stateless ticket', async () => {
      const store = new NotingStore()
      const { server, port, session } = await withSession(version, store)
      assert.equal(server.secureContext.sessionStats().number, 0)
      store.sessions.clear()
      assert.equal(await resumes(port, session), false)
    })

    it(version === 'TLSv1.3' ? 'uses a session once' : 'uses a session any number of times', async () => {
      for (const store of [new TakingStore(), new NotingStore()]) {
        const { port, session } = await withSession(version, store)
        assert.equal(await resumes(port, session), true)
        assert.equal(await resumes(port, session), version === 'TLSv1.2')
        const lookups = store.asked.filter((name) => name === 'get' || name === 'take')
        assert.deepEqual(
          new Set(lookups),
          new Set([version === 'TLSv1.3' && store instanceof TakingStore ? 'take' : 'get']),
        )
      }
    })

    it('stores a session for as long as it can be resumed', async () => {
      const sessionStore = new NotingStore()
      const { port } = await serve({ ...only(version), sessionStore, sessionTimeout: 60 })
      await exchange(await dialled(port), 'x')
      const stored = [...sessionStore.sessions.values()].map((der) => Session.fromDER(der))
      assert.equal(stored.length, version === 'TLSv1.2' ? 1 : 2)
      for (const [index, session] of stored.entries()) {
        const late = (sessionStore.ends[index] ?? 0) - (session.time + 60)
        assert.ok(Math.abs(late) < 0.1, `${late} s`)
      }
    })

    it('resumes nothing that has expired', async () => {
      const sessionStore = new NotingStore()
      const { port } = await serve({ ...only(version), sessionStore, sessionTimeout: 1 })
      const session = await sessionOf(await dialled(port))
      await new Promise((resolve) => setTimeout(resolve, 2100))
      assert.equal(await resumes(port, session), false)
    })

    it('leaves the store as it is when the server goes away', async () => {
      const store = new NotingStore()
      const { server, session } = await withSession(version, store)
      const size = store.sessions.size
      await new Promise((resolve) => server.close(resolve))
      server.secureContext.free()
      assert.equal(store.sessions.size, size)
      const { port } = await serve({ ...only(version), sessionStore: store })
      assert.equal(await resumes(port, session), true)
    })

    it('waits for a store that answers later', async () => {
      const inner = new MemorySessionStore()
      const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))
      const sessionStore: SessionStore = {
        get: (id) => later().then(() => inner.get(id)),
        take: (id) => later().then(() => inner.take(id)),
        set: (id, session, ttl) => later().then(() => inner.set(id, session, ttl)),
        delete: (id) => later().then(() => inner.delete(id)),
      }
      const { port, session } = await withSession(version, sessionStore)
      assert.equal(await resumes(port, session), true)
    })

    it("tells the session's protocol, name and application to nobody else", async () => {
      const sessionStore = new MemorySessionStore()
      const { port: one } = await serve({ ...only(version), sessionStore, sessionIdContext: 'one' })
      const { port: two } = await serve({ ...only(version), sessionStore, sessionIdContext: 'two' })
      const session = await sessionOf(await dialled(one))
      assert.equal(await resumes(two, session), false)
    })

    const broken: [string, Partial<SessionStore>, string | RegExp, SessionStoreError['operation'][]][] = [
      [
        'throws',
        failing(() => {
          throw new Error('store is down')
        }),
        /store is down/,
        ['get', 'take'],
      ],
      ['rejects', failing(() => Promise.reject(new Error('store is down'))), /store is down/, ['get', 'take']],
      [
        'throws something strange',
        failing(() => {
          throw undefined
        }),
        /undefined/,
        ['get', 'take'],
      ],
      ['returns damaged bytes', failing(() => Buffer.from('nonsense')), /not the DER form/, ['get', 'take']],
      [
        'returns damaged bytes by a promise',
        failing(async () => Buffer.from('nonsense')),
        /not the DER form/,
        ['get', 'take'],
      ],
      ['returns no bytes', failing(() => 'text' as unknown as Buffer), /no Buffer/, ['get', 'take']],
    ]
    for (const [what, methods, message, operations] of broken) {
      it(`that ${what} in a look-up answers in full and says so once`, async () => {
        const store = Object.assign(new TakingStore(), methods)
        const { port, session, errors } = await withSession(version, store)
        assert.equal(errors.length, 0)
        assert.equal(await resumes(port, session), false)
        await until(() => errors.length > 0)
        assert.equal(errors.length, 1)
        const [error] = errors
        assert.equal(error?.code, 'ERR_SESSION_STORE')
        assert.ok(operations.includes(error?.operation as 'get'))
        assert.match(error?.message ?? '', message as RegExp)
        assert.equal(error?.id.length, 32)
      })
    }

    it('that returns another session than it was asked for answers in full and says so', async () => {
      const store = new TakingStore()
      const { port, session, errors } = await withSession(version, store)
      const { session: other } = await withSession(version, store)
      assert.ok(other)
      const [any] = [...store.sessions.values()].slice(-1)
      const wrong = (): Buffer => any as Buffer
      Object.assign(store, { get: wrong, take: async () => wrong() })
      assert.equal(await resumes(port, session), false)
      assert.match(errors[0]?.message ?? '', /another id/)
    })

    it('that never answers a look-up answers in full after lookupTimeout', async () => {
      const { store, session } = await neverAnswering(version)
      const { server, port } = await serve({ ...only(version), sessionStore: store, lookupTimeout: 50 })
      const errors: SessionStoreError[] = []
      server.on('sessionStoreError', (error) => errors.push(error))
      const started = Date.now()
      assert.equal(await resumes(port, session), false)
      assert.ok(Date.now() - started >= 45)
      assert.equal((errors[0] as SessionStoreError & { cause: { code?: string } }).cause.code, 'ERR_LOOKUP_TIMEOUT')
      assert.equal(errors.length, 1)
    })

    it('that never answers a look-up answers in full, however short its lookupTimeout and wherever connections come from', async () => {
      const { store, session } = await neverAnswering(version)
      const { server, port } = await serve({ ...only(version), sessionStore: store, lookupTimeout: 0 })
      server.on('sessionStoreError', () => {})
      assert.equal(await resumes(port, session), false)
      const outside = await listen(net.createServer((socket) => server.emit('connection', socket)))
      assert.equal(await resumes(outside, session), false)
    })

    it('that cannot write goes on, and says so', async () => {
      for (const fail of [
        (): void => {
          throw new Error('disk full')
        },
        (): Promise<void> => Promise.reject(new Error('disk full')),
      ]) {
        const store = Object.assign(new TakingStore(), { set: fail })
        const { server, port, session, errors } = await withSession(version, store)
        await until(() => server.stats().store?.failures === (version === 'TLSv1.2' ? 1 : 2))
        assert.deepEqual(
          errors.map(({ operation }) => operation),
          ['set'],
        )
        assert.equal(await resumes(port, session), false)
      }
    })

    it('that answers after the client has gone does no harm', async () => {
      const store = new TakingStore()
      const { session } = await withSession(version, store)
      let answer: (bytes: Buffer | undefined) => void = () => {}
      const asked = new Promise<void>((resolve) => {
        const slow = (id: Buffer): Promise<Buffer | undefined> => {
          const found = store.sessions.get(id.toString('hex'))
          resolve()
          return new Promise((settle) => {
            answer = () => settle(found)
          })
        }
        Object.assign(store, { get: slow, take: slow })
      })
      const { server, port } = await serve({ ...only(version), sessionStore: store })
      const failed = once(server, 'tlsClientError')
      const client = dial(port, { session })
      await asked
      client.destroy()
      await failed
      answer(undefined)
      Object.assign(store, { get: () => undefined, take: () => undefined })
      assert.equal(await resumes(port, session), false)
    })

    it('shows its client certificates on resumed connections', async () => {
      const sessionStore = new MemorySessionStore()
      const { client: credentials, root } = certs()
      const options = { ...only(version), sessionStore, requestCert: true, ca: root.cert }
      const [one, two] = [await serve(options), await serve(options)]
      const session = await sessionOf(await dialled(one.port, { cert: credentials.chain, key: credentials.key }))
      const accepted = once(two.server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(two.port, { session })
      const [connection] = await accepted
      assert.equal(client.isSessionReused(), true)
      assert.equal(connection.authorized, true)
      assert.equal(connection.getPeerCertificate().subject.CN, 'client')
    })
  })

  const ends: [string, (client: net.Socket, server: Server) => unknown][] = [
    ['whose client has left', (client) => client.destroy()],
    ['whose client has reset the connection', (client) => client.resetAndDestroy()],
    ['that the server has ended', (_client, server) => server.closeAllConnections()],
    ['that has taken too long', () => {}],
  ]
  for (const [which, end] of ends) {
    it(`keeps the session that was taken for a handshake ${which}`, async () => {
      const store = new HesitantStore()
      const { server, port, session } = await withSession('TLSv1.3', store, { handshakeTimeout: 500 })
      server.on('tlsClientError', () => {})
      const stored = [...store.sessions.keys()].toSorted()
      const handingOn = await listen(net.createServer((raw) => void server.emit('connection', raw)))
      for (const target of [port, handingOn]) {
        const transport = net.connect(target, '127.0.0.1')
        dial(port, { socket: transport, session, threads: 0 }).on('error', () => {})
        await until(() => store.waiting === 1)
        assert.equal(store.sessions.size, stored.length - 1)
        end(transport, server)
        await until(() => server.stats().handshaking === 0)
        store.answerAll()
        await until(() => store.sessions.size === stored.length)
        assert.deepEqual([...store.sessions.keys()].toSorted(), stored)
      }
      await resumesOnce(store, port, session)
    })
  }

  // On the JavaScript thread nothing ends unheard.
  if (home === 'engine') {
    it('keeps a session that was taken for a handshake that has ended before JavaScript hears of it', async () => {
      const store = new HesitantStore()
      const { server, port, session } = await withSession('TLSv1.3', store)
      const size = store.sessions.size
      const handingOn = await listen(net.createServer((raw) => void server.emit('connection', raw)))
      for (const target of [port, handingOn]) {
        const failed = once(server, 'tlsClientError')
        const client = dial(target, { session })
        await until(() => store.waiting === 1)
        client.destroy()
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
        store.answerAll()
        await failed
        await until(() => store.sessions.size === size)
      }
      await resumesOnce(store, port, session)
    })
  }

  async function resumesOnce(store: HesitantStore, port: number, session: Buffer): Promise<void> {
    for (const expected of [true, false]) {
      const visit = resumes(port, session)
      await until(() => store.waiting === 1)
      store.answerAll()
      assert.equal(await visit, expected)
    }
  }

  it('deletes a session of TLS 1.2 whose connection was closed uncleanly', async () => {
    const store = new NotingStore()
    const { server, port } = await serve({ ...only('TLSv1.2'), sessionStore: store })
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    const client = await dialled(port)
    const session = client.getSession() as Buffer
    const [connection] = await accepted
    assert.equal(store.sessions.size, 1)
    client.destroy()
    await once(connection, 'close')
    assert.equal(store.sessions.size, 0)
    assert.equal(await resumes(port, session), false)
  })

  it('says so when it cannot delete', async () => {
    const store = Object.assign(new NotingStore(), { delete: () => Promise.reject(new Error('read only')) })
    const { server, port } = await serve({ ...only('TLSv1.2'), sessionStore: store })
    const failed = once(server, 'sessionStoreError') as Promise<[SessionStoreError]>
    const client = await dialled(port)
    client.destroy()
    assert.equal((await failed)[0].operation, 'delete')
  })

  it('is asked for ids that nobody knows by clients of TLS 1.3 when it speaks TLS 1.2', async () => {
    const store = new NotingStore()
    const { port } = await serve({ ...only('TLSv1.2'), sessionStore: store })
    const client = await dialledNode(port)
    assert.equal(client.getProtocol(), 'TLSv1.2')
    assert.ok(store.asked.includes('get'))
    assert.equal(await exchange(client as never, 'works'), 'works')
  })

  it('works with newSession listeners as well', async () => {
    const store = new NotingStore()
    const { server, port } = await serve({ sessionStore: store })
    const ids: string[] = []
    server.on('newSession', (id, _session, done) => {
      ids.push(id.toString('hex'))
      done()
    })
    await exchange(await dialled(port), 'x')
    assert.deepEqual(ids, [...store.sessions.keys()])
  })

  it('does what it can where handshakes cannot pause: a thread waits for the store, or a store that answers at once will do', () => {
    const script = new URL('../no-async.mjs', import.meta.url)
    writeFileSync(
      script,
      `
      import { connect, createServer } from 'openssl-session'
      const sessions = new Map()
      const late = process.argv[2] === 'late'
      const sessionStore = {
        get: (id) => (late ? Promise.resolve(sessions.get(id.toString('hex'))) : sessions.get(id.toString('hex'))),
        set: (id, session) => void sessions.set(id.toString('hex'), session),
        delete: () => {},
      }
      const { CERT: cert, KEY: key, THREADS } = process.env
      const threads = Number(THREADS)
      const server = createServer({ threads, cert, key, minVersion: 'TLSv1.3', sessionStore }, (socket) => socket.end('x'))
      server.on('sessionStoreError', ({ operation, id, cause }) => console.log(operation, id.length, cause.code))
      const visit = (session, next) => {
        const client = connect({ threads, port: server.address().port, rejectUnauthorized: false, session })
        client.on('secureConnect', () => session && console.log(client.isSessionReused()))
        client.on('session', (ticket) => { session = ticket })
        client.on('close', () => next(session))
        client.resume()
      }
      server.listen(0, () => visit(undefined, (session) => visit(session, () => server.close())))`,
    )
    const { server } = certs()
    const THREADS = String(atHome({}).threads)
    const env = { ...process.env, CERT: server.chain, KEY: server.key, THREADS, OPENSSL_SESSION_ASYNC: '0' }
    const run = (when: string): string => execFileSync(process.execPath, [script.pathname, when], { env }).toString()
    assert.equal(run('at once'), 'true\n')
    // A thread of the engine waits for the answer itself; the JavaScript thread, which would have to give it, cannot.
    const expected = home === 'engine' ? ['', 'true'] : ['', 'false', 'get 32 ERR_SYNC_ANSWER_REQUIRED']
    assert.deepEqual(run('late').split('\n').toSorted(), expected)
  })

  it('takes sockets of another server through the connection event', async () => {
    const sessionStore = new MemorySessionStore()
    const tls = createServer({ ...identity(), sessionStore }, (socket) => socket.pipe(socket))
    const port = await listen(net.createServer((raw) => void tls.emit('connection', raw)))
    const session = await sessionOf(await dialled(port))
    assert.equal(await resumes(port, session), true)
  })
})

describe('a server with a sessionStore', () => {
  it('refuses a lookupTimeout that is none', () => {
    const sessionStore = new MemorySessionStore()
    assert.throws(() => createServer({ sessionStore, lookupTimeout: -1 }), { code: 'ERR_OUT_OF_RANGE' })
    assert.throws(() => createServer({ sessionStore, lookupTimeout: '5' as unknown as number }), {
      code: 'ERR_INVALID_ARG_TYPE',
    })
  })

  it('has the same session id context in every process that runs the same script', async () => {
    const script = new URL('../id-context.mjs', import.meta.url)
    writeFileSync(
      script,
      `
      import { createServer, connect, Session } from 'openssl-session'
      const server = createServer({ cert: process.env.CERT, key: process.env.KEY }, (socket) => socket.end())
      server.secureContext.newSessionCallback = (_socket, session) => {
        console.log(session.idContext.toString('hex'))
        process.exit()
      }
      server.listen(0, () => connect({ port: server.address().port, rejectUnauthorized: false }))`,
    )
    const { server } = certs()
    const env = { ...process.env, CERT: server.chain, KEY: server.key }
    const run = (...args: string[]): string =>
      execFileSync(process.execPath, [script.pathname, ...args], { env }).toString()
    const [plain, withArguments] = [run(), run('--port', '8443')]
    assert.match(plain, /^[0-9a-f]{64}\n$/)
    assert.equal(withArguments, plain)
  })
})

/** A store whose look-ups all do the same. */
function failing(lookup: () => Buffer | Promise<Buffer>): Partial<SessionStore> {
  return { get: lookup, take: lookup }
}
