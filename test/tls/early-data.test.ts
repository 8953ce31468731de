// Early data (0-RTT): accepted once for each session, and only where a store gives the session to one connection of the fleet; nothing that a
// client sends early is lost, whatever becomes of it.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import Keyv from 'keyv'
import { createServer, type ServerOptions, Session, type SessionStoreError, type TLSSocket } from 'openssl-session'
import { SSL_CTX_set_max_early_data, SSL_OP_NO_TLSv1_3, SSL_SESSION_set_max_early_data } from 'openssl-session/libssl'
import { KeyvSessionStore, MemorySessionStore, SealedSessionStore, type SessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { Gate } from '../support/gate.js'
import { openSession, Program } from '../support/programs.js'
import {
  afterTest,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  failure,
  hangUp,
  identity,
  listen,
  only,
  type Running,
  readAll,
  serve,
  sessionOf,
  until,
} from '../support/tls.js'

const message = 'before the handshake\n'
const earlyData = Buffer.from(message)
const limit = 1024

/** What a server has seen of one connection. */
interface Visit {
  readonly socket: TLSSocket
  /** What was read before the handshake was complete, and after. */
  early: string
  late: string
  error: (Error & { code?: string }) | null
}

/** A server that sends back what it gets, and notes when it came. */
async function accepting(options: ServerOptions = {}): Promise<Running & { visits: Visit[] }> {
  const visits: Visit[] = []
  const running = await serve({ sessionStore: new MemorySessionStore(), maxEarlyData: limit, ...options }, note(visits))
  return { ...running, visits }
}

function note(visits: Visit[]): (socket: TLSSocket) => void {
  return (socket) => {
    const visit: Visit = { socket, early: '', late: '', error: null }
    visits.push(visit)
    socket.on('error', (error) => {
      visit.error = error
    })
    socket.on('data', (chunk) => {
      visit[socket.handshakeComplete ? 'late' : 'early'] += chunk.toString()
      socket.write(chunk)
    })
    socket.on('end', () => socket.end())
  }
}

/** A session for a client. */
async function opened(port: number, options: Parameters<typeof dial>[1] = {}): Promise<Buffer> {
  const client = await dialled(port, options)
  const session = await sessionOf(client)
  await hangUp(client)
  return session
}

/** Collects what comes from a stream. */
function heard(stream: TLSSocket): { text: string } {
  const all = { text: '' }
  stream.on('data', (chunk) => {
    all.text += chunk
  })
  return all
}

/** Sends early data and something after it; everything has to come back, in order. Returns what the client knows then. */
async function visit(port: number, options: Parameters<typeof dial>[1]): Promise<TLSSocket> {
  const client = dial(port, { earlyData, ...options })
  const answer = heard(client)
  client.write('after')
  const all = `${Buffer.from(options?.earlyData ?? earlyData)}after`
  await until(() => answer.text.length >= all.length || client.destroyed)
  assert.equal(answer.text, all)
  assert.equal(client.bytesWritten, all.length)
  return client
}

/** A store that can be told how to take. */
class TellableStore extends MemorySessionStore {
  taking: (id: Buffer) => Buffer | undefined | Promise<Buffer | undefined> = (id) => super.take(id)
  override take(id: Buffer): Buffer | undefined {
    return this.taking(id) as Buffer | undefined
  }
  reallyTake(id: Buffer): Buffer | undefined {
    return super.take(id)
  }
}

describeInEachHome('early data', (home) => {
  afterEach(closeAll)

  it('of the openssl program is accepted, and once', async () => {
    const { port, visits } = await accepting()
    const [session, data] = [`${certs().root.certFile}.${home}.early`, `${certs().root.certFile}.${home}.data`]
    writeFileSync(data, message)
    await openSession(port, 'TLSv1.3', session)
    for (const outcome of ['accepted', 'rejected'] as const) {
      const args = ['-connect', `127.0.0.1:${port}`, '-tls1_3', '-sess_in', session, '-early_data', data]
      const program = new Program('s_client', ...args)
      try {
        await program.prints(new RegExp(`^Early data was ${outcome}`, 'm'))
        if (outcome === 'accepted') await program.prints(/^before the handshake/m)
        program.write('after\n')
        await program.prints(/^after/m)
        const visit = visits.at(-1) as Visit
        assert.equal(visit.early, outcome === 'accepted' ? message : '')
        assert.equal(visit.late, 'after\n')
        assert.equal(visit.socket.earlyData, outcome)
        assert.equal(visit.socket.isSessionReused(), outcome === 'accepted')
      } finally {
        program.destroy()
      }
    }
  })

  it('of our client is accepted, and what follows it is not early', async () => {
    const { port, visits } = await accepting()
    const session = await opened(port)
    const client = await visit(port, { session })
    assert.equal(client.earlyData, 'accepted')
    assert.equal(client.isSessionReused(), true)
    const [, seen] = visits as [Visit, Visit]
    assert.deepEqual([seen.early, seen.late], [message, 'after'])
    assert.equal(seen.socket.earlyData, 'accepted')
    assert.equal(seen.socket.handshakeComplete, true)
    assert.equal(visits[0]?.socket.earlyData, 'none')
    await hangUp(client)
  })

  it('is answered before the handshake is complete, which the server is told later', async () => {
    const { server, port, visits } = await accepting()
    const session = await opened(port)
    const gate = afterTest(await Gate.start(port))
    gate.closeAfterFirstFlight()
    const client = dial(gate.port, { session, earlyData })
    const answer = heard(client)
    await until(() => answer.text === message)
    const seen = visits.at(-1) as Visit
    assert.equal(seen.socket.handshakeComplete, false)
    assert.equal(seen.socket.secureConnecting, false)
    assert.equal(seen.socket.getProtocol(), 'TLSv1.3')
    assert.equal(seen.socket.isSessionReused(), true)
    assert.equal(server.stats().handshakes['TLSv1.3']?.resumed, 1)
    const secure = once(seen.socket, 'secure')
    gate.open()
    await secure
    assert.equal(seen.socket.handshakeComplete, true)
    client.write('after')
    await until(() => answer.text === `${message}after`)
    assert.deepEqual([seen.early, seen.late], [message, 'after'])
  })

  it('of a connection that a net.Server has accepted is accepted too', async () => {
    const sessionStore = new MemorySessionStore()
    const { port: first } = await accepting({ sessionStore })
    const visits: Visit[] = []
    const server = createServer(identity({ sessionStore, maxEarlyData: limit }), note(visits))
    const outer = net.createServer((socket) => server.emit('connection', socket))
    const port = await listen(outer)
    const client = await visit(port, { session: await opened(first) })
    assert.equal(client.earlyData, 'accepted')
    assert.equal(visits[0]?.early, message)
    client.destroy()
  })

  it('comes with the certificate that the session began with', async () => {
    const { client: own, root } = certs()
    const { port, visits } = await accepting({ requestCert: true, ca: root.cert })
    const credentials = { cert: own.chain, key: own.key }
    const client = await visit(port, { ...credentials, session: await opened(port, credentials) })
    assert.equal(client.earlyData, 'accepted')
    assert.equal(visits[1]?.socket.authorized, true)
    assert.equal(visits[1]?.early, message)
  })

  it('is followed by an end that waits for the handshake', async () => {
    const sessionStore = new MemorySessionStore()
    const { port } = await serve({ sessionStore, maxEarlyData: limit }, (socket) => {
      socket.on('error', () => {})
      socket.resume()
      socket.end(socket.handshakeComplete ? 'late' : 'early')
    })
    const session = await opened(port)
    const client = dial(port, { session, earlyData })
    const answer = heard(client)
    await once(client, 'end')
    assert.equal(answer.text, 'early')
    assert.equal(await closed(client), false)
  })

  if (home === 'engine') {
    it('is answered with all that was written, when the socket is destroyed right after that', async () => {
      const sessionStore = new MemorySessionStore()
      const answer = Buffer.alloc(50_000, 'answer')
      const { port: first } = await accepting({ sessionStore })
      const { port } = await serve({ sessionStore, maxEarlyData: limit }, (socket) => {
        socket.on('error', () => {})
        socket.write(answer)
        socket.destroy()
      })
      const client = dial(port, { session: await opened(first), earlyData })
      const heard = await readAll(client)
      assert.ok(heard.equals(answer))
      assert.equal(client.earlyData, 'accepted')
    })
  }

  describe('is rejected, and nothing of it lost,', () => {
    /** Servers that share a store; the first accepts early data, `options` are those of the second. */
    async function pair(options: ServerOptions): Promise<{ session: Buffer; port: number; visits: Visit[] }> {
      const sessionStore = new MemorySessionStore()
      const { port: first } = await accepting({ sessionStore })
      return { session: await opened(first), ...(await accepting({ sessionStore, ...options })) }
    }

    /** The client's data arrives after the handshake, once, and before what is written. */
    async function arrivesLate(
      { session, port, visits }: { session: Buffer; port: number; visits: Visit[] },
      resumed: boolean,
      options: Parameters<typeof dial>[1] = {},
    ): Promise<void> {
      const client = await visit(port, { session, ...options })
      assert.equal(client.earlyData, 'rejected')
      assert.equal(client.isSessionReused(), resumed)
      const seen = visits.at(-1) as Visit
      assert.deepEqual([seen.early, seen.late], ['', `${message}after`])
      assert.equal(seen.socket.earlyData, 'rejected')
    }

    const withoutTake = (inner: SessionStore): SessionStore => ({
      get: (id) => inner.get(id),
      set: (id, session, ttl) => inner.set(id, session, ttl),
      delete: (id) => inner.delete(id),
    })

    /** A session out of a server that accepts early data with it, shown to one that has the same sessions in `second`. */
    async function rejectedWith(first: SessionStore, second: SessionStore): Promise<void> {
      const { port } = await accepting({ sessionStore: first })
      const session = await opened(port)
      await arrivesLate({ session, ...(await accepting({ sessionStore: second })) }, true)
    }

    it('by a server whose store cannot take', async () => {
      const inner = new MemorySessionStore()
      await rejectedWith(inner, withoutTake(inner))
    })

    it('by a server whose store seals what another keeps that cannot take', async () => {
      const inner = new MemorySessionStore()
      const keys = [randomBytes(32)]
      const sealed = (store: SessionStore): SessionStore => new SealedSessionStore({ store, keys })
      await rejectedWith(sealed(inner), sealed(withoutTake(inner)))
    })

    it('by a server whose store takes as well as Keyv can, sealed or not, unless the application vouches for the adapter', async () => {
      const keys = [randomBytes(32)]
      const sealed = (store: SessionStore): SessionStore => new SealedSessionStore({ store, keys })
      for (const around of [(store: SessionStore) => store, sealed]) {
        const keyv = new Keyv()
        const vouched = around(new KeyvSessionStore({ keyv, atomicDelete: true }))
        await rejectedWith(vouched, around(new KeyvSessionStore(keyv)))
        await rejectedWith(vouched, around(new KeyvSessionStore({ keyv, atomicDelete: false })))
        const { port, visits } = await accepting({ sessionStore: vouched })
        const session = await opened(port)
        for (const outcome of ['accepted', 'rejected']) {
          const client = await visit(port, { session })
          assert.equal(client.earlyData, outcome)
          assert.equal(visits.at(-1)?.early, outcome === 'accepted' ? message : '')
        }
      }
    })

    it('by a server that takes none', async () => {
      await arrivesLate(await pair({ maxEarlyData: 0 }), true)
    })

    it('by a server that takes less than when the session began', async () => {
      await arrivesLate(await pair({ maxEarlyData: limit / 2 }), true)
    })

    it('by a server that skips all of it, however much that is', async () => {
      const maxEarlyData = 1 << 18
      const { port } = await accepting({ maxEarlyData })
      const much = Buffer.alloc(maxEarlyData, 'abcdefg')
      const session = await opened(port)
      for (const status of ['accepted', 'rejected']) {
        const client = await visit(port, { session, earlyData: much })
        assert.equal(client.earlyData, status)
      }
    })

    it('by a server that does not know the session', async () => {
      await arrivesLate(await pair({ sessionStore: new MemorySessionStore() }), false)
    })

    it('by a server that asks the client for another group, and resumes', async () => {
      const client = { ecdhCurve: 'X25519:P-384' }
      await arrivesLate(await pair({ ecdhCurve: 'P-384' }), true, client)
    })

    it('by a server that gets the session from a callback, not out of the store', async () => {
      const sessions = new Map<string, Buffer>()
      const { port } = await accepting({
        newSessionCallback: (_socket, session) => {
          sessions.set(session.id.toString('hex'), session.toDER())
        },
      })
      const session = await opened(port)
      const getSessionCallback = (_socket: TLSSocket, id: Buffer) => sessions.get(id.toString('hex'))
      await arrivesLate({ session, ...(await accepting({ getSessionCallback })) }, true)
    })

    it('by a server that knows the key of a stateless ticket', async () => {
      const ticketKeys = Buffer.alloc(80, 7)
      const { server, port } = await serve({ ticketKeys, ...(home === 'engine' ? { threads: 0 } : {}) })
      SSL_CTX_set_max_early_data(server.secureContext.handle, limit)
      const session = await opened(port)
      await arrivesLate({ session, ...(await accepting({ ticketKeys })) }, false)
    })

    it('unless the application wants to decide that', async () => {
      const { session, port, visits } = await pair({ maxEarlyData: 0 })
      const client = await dialled(port, { session, earlyData, resendEarlyData: false })
      assert.equal(client.earlyData, 'rejected')
      const answer = heard(client)
      client.write('something else')
      await until(() => answer.text.length > 0)
      assert.equal(visits.at(-1)?.late, 'something else')
      assert.equal(answer.text, 'something else')
    })

    it('but fails when the server has chosen another protocol, for which it was not meant', async () => {
      const sessionStore = new MemorySessionStore()
      const protocols = { ALPNProtocols: ['one', 'two'] }
      const { port: first } = await accepting({ sessionStore, ALPNProtocols: ['one'] })
      const session = await opened(first, protocols)
      const { port, visits } = await accepting({ sessionStore, ALPNProtocols: ['two'] })
      const client = dial(port, { session, earlyData, ...protocols })
      assert.equal((await failure(client)).code, 'ERR_TLS_EARLY_DATA_REJECTED')
      await until(() => visits.length === 1 && (visits[0] as Visit).socket.destroyed)
      assert.deepEqual([visits[0]?.early, visits[0]?.late], ['', ''])
    })
  })

  describe('goes as ordinary data', () => {
    async function goesLate(port: number, visits: Visit[], options: Parameters<typeof dial>[1]): Promise<void> {
      const client = await visit(port, options)
      assert.equal(client.earlyData, 'none')
      const seen = visits.at(-1) as Visit
      assert.deepEqual([seen.early, seen.late], ['', `${message}after`])
      assert.equal(seen.socket.earlyData, 'none')
    }

    it('without a session', async () => {
      const { port, visits } = await accepting()
      await goesLate(port, visits, {})
    })

    it('with a session of TLS 1.2', async () => {
      const { port, visits } = await accepting()
      const session = await opened(port, only('TLSv1.2'))
      await goesLate(port, visits, { session })
      await goesLate(port, visits, { session, ...only('TLSv1.2') })
    })

    it('with a session that does not allow it, as none does of a server that cannot keep it from coming twice', async () => {
      const { port, visits } = await serveNoting({ maxEarlyData: limit })
      await goesLate(port, visits, { session: await opened(port) })
    })

    it('with a session of another name or protocol', async () => {
      const { port, visits } = await accepting({ ALPNProtocols: ['one', 'two'] })
      const session = await opened(port, { ALPNProtocols: ['one'] })
      await goesLate(port, visits, { session, ALPNProtocols: ['two'] })
      await goesLate(port, visits, { session })
      const named = { ALPNProtocols: ['one'], checkServerIdentity: () => undefined }
      await goesLate(port, visits, { session, servername: 'other', ...named })
    })

    it('with a session of a server that was not trusted, and then not before it is', async () => {
      const { port, visits } = await accepting()
      const doubtful = { ca: certs().client.chain, rejectUnauthorized: false }
      const session = await opened(port, doubtful)
      const client = dial(port, { session, earlyData, ca: certs().client.chain })
      await failure(client)
      await until(() => visits.length === 2 && (visits[1] as Visit).socket.destroyed)
      assert.deepEqual([visits[1]?.early, visits[1]?.late], ['', ''])
      const trusting = await visit(port, { session: await opened(port, doubtful), ...doubtful })
      assert.equal(trusting.earlyData, 'accepted')
    })

    it('with a session of a server that has another name', async () => {
      const { port, visits } = await accepting()
      const session = await opened(port, { servername: 'elsewhere.example', rejectUnauthorized: false })
      await goesLate(port, visits, { session, servername: 'elsewhere.example' })
    })

    it('with a session of a protocol that is not allowed any more', async () => {
      const { port, visits } = await accepting()
      await goesLate(port, visits, { session: await opened(port), maxVersion: 'TLSv1.2' })
      await goesLate(port, visits, { session: await opened(port), secureOptions: SSL_OP_NO_TLSv1_3 })
    })

    it('with a session that has expired', async () => {
      const { port, visits } = await accepting({ sessionTimeout: 1 })
      const session = await opened(port)
      await new Promise((resolve) => setTimeout(resolve, 1100))
      await goesLate(port, visits, { session })
    })

    it('as far as it is more than the session allows', async () => {
      const { port, visits } = await accepting()
      const session = await opened(port)
      const much = Buffer.from('0123456789'.repeat(1000))
      const client = await visit(port, { session, earlyData: much })
      assert.equal(client.earlyData, 'accepted')
      const seen = visits.at(-1) as Visit
      assert.equal(seen.early, much.subarray(0, limit).toString())
      assert.equal(seen.late, `${much.subarray(limit)}after`)
    })
  })

  it('that is empty is none', async () => {
    const { port, visits } = await accepting()
    const client = await visit(port, { session: await opened(port), earlyData: Buffer.alloc(0) })
    assert.equal(client.earlyData, 'none')
    assert.equal(visits.at(-1)?.late, 'after')
  })

  it('of many records is read whole, also by an application that is slow to read', async () => {
    const sessionStore = new MemorySessionStore()
    const sockets: TLSSocket[] = []
    const { port } = await serve({ sessionStore, maxEarlyData: 1 << 20 }, (socket) => {
      socket.on('error', () => {})
      sockets.push(socket)
    })
    const session = await opened(port)
    const much = Buffer.alloc(1 << 20, 'abcdefg')
    const client = await dialled(port, { session, earlyData: much })
    const socket = sockets.at(-1) as TLSSocket
    await until(() => socket.handshakeComplete)
    client.end()
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    assert.ok(Buffer.concat(chunks).equals(much))
    assert.equal(client.earlyData, 'accepted')
  })

  it('beyond the limit ends the connection of a client that takes no notice of it', async () => {
    const { server, port, visits } = await accepting()
    const errors: (Error & { code?: string })[] = []
    server.on('tlsClientError', (error) => errors.push(error))
    // In one record, and in several of which the first is within the limit.
    for (const size of [2000, 40_000]) {
      const session = Session.fromDER(await opened(port))
      SSL_SESSION_set_max_early_data(session.handle, 1 << 20)
      const before = visits.length
      const client = dial(port, { session, earlyData: Buffer.alloc(size) })
      await failure(client)
      await until(() => errors.length > 0 || visits.slice(before).some(({ error }) => error !== null))
      const [error] = [...errors.splice(0), ...visits.slice(before).map(({ error }) => error)]
      assert.equal(error?.code, 'ERR_SSL_TOO_MUCH_EARLY_DATA')
      session.free()
    }
  })

  describe('and a store', () => {
    async function withStore(options: ServerOptions = {}): Promise<{
      store: TellableStore
      session: Buffer
      port: number
      visits: Visit[]
      errors: SessionStoreError[]
    }> {
      const store = new TellableStore()
      const { server, port, visits } = await accepting({ sessionStore: store, ...options })
      const errors: SessionStoreError[] = []
      server.on('sessionStoreError', (error) => errors.push(error))
      return { store, session: await opened(port), port, visits, errors }
    }

    /** The early data of an earlier handshake could have been recorded. */
    async function resumesWithoutEarlyData(port: number, session: Buffer): Promise<void> {
      const client = await visit(port, { session })
      assert.deepEqual([client.isSessionReused(), client.earlyData], [true, 'rejected'])
    }

    it('that takes its time: the handshake waits', async () => {
      const { store, session, port } = await withStore()
      store.taking = async (id) => {
        await new Promise((resolve) => setTimeout(resolve, 50))
        return store.reallyTake(id)
      }
      assert.equal((await visit(port, { session })).earlyData, 'accepted')
    })

    it('that is too late: rejected, and the session stays good for another time, but not for early data', async () => {
      const { store, session, port, visits, errors } = await withStore({ lookupTimeout: 50 })
      let late: () => void = () => {}
      store.taking = (id) => {
        const found = store.reallyTake(id)
        return new Promise((resolve) => {
          late = () => resolve(found)
        })
      }
      const client = await visit(port, { session })
      assert.equal(client.earlyData, 'rejected')
      assert.equal(client.isSessionReused(), false)
      assert.equal(visits.at(-1)?.late, `${message}after`)
      await until(() => errors.length > 0)
      assert.equal((errors as [SessionStoreError & { cause: { code: string } }])[0].cause.code, 'ERR_LOOKUP_TIMEOUT')
      late()
      store.taking = (id) => store.reallyTake(id)
      await resumesWithoutEarlyData(port, session)
    })

    it('that answers after the client has left: the session stays good for another time, but not for early data', async () => {
      const { store, session, port } = await withStore()
      let answer: () => void = () => {}
      const asked = new Promise<void>((resolve) => {
        store.taking = (id) => {
          const found = store.reallyTake(id)
          resolve()
          return new Promise((give) => {
            answer = () => give(found)
          })
        }
      })
      const client = dial(port, { session, earlyData })
      await asked
      client.destroy()
      await closed(client)
      await new Promise((resolve) => setTimeout(resolve, 50))
      answer()
      store.taking = (id) => store.reallyTake(id)
      await resumesWithoutEarlyData(port, session)
    })

    it('that fails: rejected', async () => {
      const { store, session, port } = await withStore()
      store.taking = () => Promise.reject(new Error('store is down'))
      assert.equal((await visit(port, { session })).earlyData, 'rejected')
    })
  })

  it('of a client that never completes the handshake ends with the time for that', async () => {
    const { port, visits } = await accepting({ handshakeTimeout: 300 })
    const session = await opened(port)
    const gate = afterTest(await Gate.start(port))
    gate.closeAfterFirstFlight()
    dial(gate.port, { session, earlyData }).on('error', () => {})
    await until(() => visits.at(-1)?.error != null)
    assert.equal(visits.at(-1)?.error?.code, 'ERR_TLS_HANDSHAKE_TIMEOUT')
    assert.equal(visits.at(-1)?.early, message)
  })

  it('of a client that leaves before the handshake is complete ends with an error', async () => {
    const { port, visits } = await accepting()
    const session = await opened(port)
    const gate = afterTest(await Gate.start(port))
    gate.closeAfterFirstFlight()
    const client = dial(gate.port, { session, earlyData })
    client.on('error', () => {})
    await until(() => visits.at(-1)?.early === message)
    gate.hangUp()
    await until(() => visits.at(-1)?.error != null)
    assert.equal(visits.at(-1)?.error?.code, 'ECONNRESET')
    client.destroy()
  })

  it('must be bytes, and its limit a number', async () => {
    assert.throws(() => dial(1, { earlyData: 'text' as unknown as Buffer }), { code: 'ERR_INVALID_ARG_TYPE' })
    for (const maxEarlyData of [-1, 0.5, 2 ** 31])
      assert.throws(() => createServer({ maxEarlyData }), { code: 'ERR_OUT_OF_RANGE' })
    assert.throws(() => createServer({ maxEarlyData: '1' as unknown as number }), { code: 'ERR_INVALID_ARG_TYPE' })
  })
})

/** A server without a store. */
async function serveNoting(options: ServerOptions): Promise<Running & { visits: Visit[] }> {
  const visits: Visit[] = []
  return { ...(await serve(options, note(visits))), visits }
}
