// The session callbacks and the cache of a SecureContext: OpenSSL's own, arriving with sockets and Session objects.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  createSecureContext,
  type FoundSession,
  type SecureContext,
  type SecureContextOptions,
  Session,
  type SessionCallbackError,
  TLSSocket,
} from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { certs } from '../support/certs.js'
import {
  closeAll,
  describeInEachHome,
  dial,
  dialled,
  dialledNode,
  exchange,
  failure,
  hangUp,
  inEachVersion,
  only,
  serve,
  sessionOf,
  until,
} from '../support/tls.js'

const stateful = { secureOptions: libssl.SSL_OP_NO_TICKET }

function serverContext(options: SecureContextOptions): SecureContext {
  const { server } = certs()
  return createSecureContext({ cert: server.chain, key: server.key, ...stateful, ...options })
}

/** What went wrong in the application's callback. */
function causeOf(error: SessionCallbackError | undefined): Error & { code?: string } {
  assert.ok(error?.cause instanceof Error)
  return error.cause
}

describeInEachHome('newSessionCallback', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it('gets the socket and a Session that stays usable', async () => {
      const context = serverContext(only(version))
      const told: [TLSSocket, Session][] = []
      context.newSessionCallback = (socket, session) => told.push([socket, session])
      const { server, port } = await serve({ secureContext: context })
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(port)
      await exchange(client, 'x')
      const [connection] = await accepted
      assert.equal(told.length, version === 'TLSv1.2' ? 1 : 2)
      await hangUp(client)
      for (const [socket, session] of told) {
        assert.equal(socket, connection)
        assert.equal(session.protocol, version)
        assert.equal(Session.fromDER(session.toDER()).id.equals(session.id), true)
        session.free()
      }
    })

    it('is called on clients, too, with what the session event gives as bytes', async () => {
      const { port } = await serve(only(version))
      const context = createSecureContext({ ca: certs().root.cert })
      const told: Buffer[] = []
      context.newSessionCallback = (socket, session) => {
        assert.ok(socket instanceof TLSSocket)
        told.push(session.toDER())
        session.free()
      }
      const client = dial(port, { secureContext: context })
      const events: Buffer[] = []
      client.on('session', (session) => events.push(session))
      await once(client, 'secureConnect')
      await exchange(client, 'x')
      assert.equal(told.length, version === 'TLSv1.2' ? 1 : 2)
      assert.deepEqual(events, told)
      await hangUp(client)
    })

    it("gets sessions that resume connections of another client's context, too", async () => {
      const { port } = await serve(only(version))
      const context = createSecureContext({ ca: certs().root.cert })
      const told: Session[] = []
      context.newSessionCallback = (_socket, session) => told.push(session)
      const client = await dialled(port, { secureContext: context })
      await exchange(client, 'x')
      await hangUp(client)
      for (const session of told) {
        assert.equal((await dialled(port, { session })).isSessionReused(), true)
        session.free()
      }
    })

    it('may throw or reject without harm to the connection', async () => {
      const context = serverContext(only(version))
      const errors: [SessionCallbackError, TLSSocket | null][] = []
      context.on('callbackError', (...args) => errors.push(args))
      let turn = 0
      context.newSessionCallback = (_socket, session) => {
        session.free()
        turn += 1
        if (turn === 1) throw new Error('thrown')
        return Promise.reject(new Error('rejected'))
      }
      const { port } = await serve({ secureContext: context })
      for (let i = 0; i < 2; i++) {
        const client = await dialled(port)
        assert.equal(await exchange(client, 'works'), 'works')
        await hangUp(client)
      }
      await until(() => errors.length === turn)
      const [first, second] = errors
      assert.equal(first?.[0].code, 'ERR_SESSION_CALLBACK')
      assert.equal(first?.[0].callback, 'newSessionCallback')
      assert.equal(causeOf(first?.[0]).message, 'thrown')
      assert.ok(first?.[1] instanceof TLSSocket)
      assert.equal(causeOf(second?.[0]).message, 'rejected')
    })
  })

  it('that throws is a process warning when nobody listens for its errors', async () => {
    const context = serverContext(only('TLSv1.3'))
    context.newSessionCallback = () => {
      throw new Error('unnoticed')
    }
    const { port } = await serve({ secureContext: context })
    const warned = once(process, 'warning') as Promise<[Error]>
    const client = await dialled(port)
    const [warning] = await warned
    assert.match(warning.message, /newSessionCallback failed: unnoticed/)
    await hangUp(client)
  })
})

describeInEachHome('getSessionCallback', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    /** A server whose sessions are in a map, found by `find`. */
    async function setup(find: (session: Session | undefined) => FoundSession | Promise<FoundSession>) {
      const context = serverContext(only(version))
      const stored = new Map<string, Session>()
      const asked: string[] = []
      const errors: SessionCallbackError[] = []
      context.on('callbackError', (error) => errors.push(error))
      context.newSessionCallback = (_socket, session) => stored.set(session.id.toString('hex'), session)
      context.getSessionCallback = (socket, id) => {
        assert.ok(socket instanceof TLSSocket)
        asked.push(id.toString('hex'))
        return find(stored.get(id.toString('hex')))
      }
      const { port } = await serve({ secureContext: context })
      const first = await dialled(port, only(version))
      const session = await sessionOf(first)
      await hangUp(first)
      assert.deepEqual(asked, [])
      return { context, port, session, stored, asked, errors }
    }

    const forms: [string, (session: Session | undefined) => FoundSession | Promise<FoundSession>][] = [
      ['a Session', (session) => session],
      ['a promise of a Session', async (session) => session],
      ['the DER form', (session) => session?.toDER()],
      [
        'a promise of the DER form, later',
        async (session) => {
          await new Promise((resolve) => setTimeout(resolve, 20))
          return session?.toDER()
        },
      ],
    ]
    for (const [what, find] of forms) {
      it(`resumes with ${what}`, async () => {
        const { port, session, stored, asked, context } = await setup(find)
        const client = await dialled(port, { session })
        assert.equal(client.isSessionReused(), true)
        assert.equal(asked.length, 1)
        assert.ok(stored.has(`${asked[0]}`))
        assert.equal(context.sessionStats().cbHits, 1)
        assert.equal(await exchange(client, 'resumed'), 'resumed')
        await hangUp(client)
      })
    }

    it('leaves a Session that it answered with to its owner', async () => {
      const { port, session, stored } = await setup((found) => found)
      const client = await dialled(port, { session })
      await hangUp(client)
      for (const kept of stored.values()) {
        assert.equal(kept.id.length, 32)
        kept.free()
      }
    })

    for (const [what, answer] of [
      ['null', null],
      ['undefined', undefined],
      ['a promise of null', Promise.resolve(null)],
    ] as const) {
      it(`answering ${what} is a full handshake`, async () => {
        const { port, session, asked, errors } = await setup(() => answer)
        const client = await dialled(port, { session })
        assert.equal(client.isSessionReused(), false)
        assert.equal(asked.length, 1)
        assert.deepEqual(errors, [])
        await hangUp(client)
      })
    }

    const failures: [string, () => FoundSession | Promise<FoundSession>, RegExp][] = [
      [
        'throws',
        () => {
          throw new Error('broken')
        },
        /broken/,
      ],
      ['rejects', () => Promise.reject(new Error('broken')), /broken/],
      ['answers with damaged bytes', () => Buffer.from('nonsense'), /not the DER form/],
      ['answers with a promise of damaged bytes', async () => Buffer.from('nonsense'), /not the DER form/],
      ['answers with something else', () => 'text' as unknown as FoundSession, /must be a Session, a Buffer or null/],
      [
        'answers with a promise of something else',
        async () => 7 as unknown as FoundSession,
        /must be a Session, a Buffer or null/,
      ],
    ]
    for (const [what, find, message] of failures) {
      it(`that ${what} is a full handshake and one error event`, async () => {
        const { port, session, errors } = await setup(find)
        const client = await dialled(port, { session })
        assert.equal(client.isSessionReused(), false)
        assert.equal(await exchange(client, 'works'), 'works')
        await hangUp(client)
        assert.equal(errors.length, 1)
        assert.equal(errors[0]?.callback, 'getSessionCallback')
        assert.match(causeOf(errors[0]).message, message)
      })
    }

    it("that answers with another context's session is a full handshake and one error event", async () => {
      const other = serverContext(only(version))
      other.sessionCacheMode = libssl.SSL_SESS_CACHE_SERVER
      let foreign: Session | undefined
      other.newSessionCallback = (_socket, session) => {
        foreign = session
      }
      const { port: otherPort } = await serve({ secureContext: other })
      const stranger = await dialled(otherPort)
      await sessionOf(stranger)
      const { port, session, errors } = await setup(() => foreign)
      const client = await dialled(port, { session })
      assert.equal(client.isSessionReused(), false)
      await hangUp(client)
      assert.equal(errors.length, 1)
      assert.equal(causeOf(errors[0]).code, 'ERR_WRONG_CONTEXT')
    })

    it('that never answers ends with its connection', async () => {
      const before = libssl.leaks().live.SSL
      const { port, session, asked } = await setup(() => new Promise(() => {}))
      const client = dial(port, { session })
      await until(() => asked.length === 1)
      client.destroy()
      await once(client, 'close')
      await until(() => libssl.leaks().live.SSL === before)
    })

    it('that never answers ends with the handshake timeout', async () => {
      const context = serverContext(only(version))
      context.getSessionCallback = () => new Promise(() => {})
      const patient = await serve({ secureContext: context })
      const { server, port } = await serve({ secureContext: context, handshakeTimeout: 100 })
      const first = await dialled(patient.port, only(version))
      const session = await sessionOf(first)
      await hangUp(first)
      const timedOut = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
      const client = dial(port, { session })
      client.on('error', () => {})
      assert.equal((await timedOut)[0].code, 'ERR_TLS_HANDSHAKE_TIMEOUT')
      await until(() => client.destroyed)
    })
  })

  it('is asked for ids that nobody knows when a client of TLS 1.3 meets a server of TLS 1.2', async () => {
    const context = serverContext(only('TLSv1.2'))
    const ids: Buffer[] = []
    context.getSessionCallback = (_socket, id) => {
      ids.push(id)
      return null
    }
    const { port } = await serve({ secureContext: context })
    const client = await dialledNode(port)
    assert.equal(client.getProtocol(), 'TLSv1.2')
    assert.equal(ids.length, 1)
    assert.equal(ids[0]?.length, 32)
    await hangUp(client)
  })
})

describeInEachHome('removeSessionCallback', () => {
  afterEach(closeAll)

  it('is told when a connection of TLS 1.2 is closed without a goodbye', async () => {
    const context = serverContext(only('TLSv1.2'))
    const removed: Buffer[] = []
    context.removeSessionCallback = (where, session) => {
      assert.equal(where, context)
      removed.push(session.id)
      assert.equal(session.isResumable, false)
      session.free()
    }
    const { server, port } = await serve({ secureContext: context })
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    const client = await dialled(port)
    const [connection] = await accepted
    using session = Session.fromDER(client.getSession() as Buffer)
    client.destroy()
    await once(connection, 'close')
    assert.deepEqual(removed, [session.id])
  })

  it('is not told when a connection is closed as it should be', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const context = serverContext(only(version))
      let removed = 0
      context.removeSessionCallback = () => {
        removed += 1
      }
      const { server, port } = await serve({ secureContext: context })
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(port)
      const [connection] = await accepted
      await hangUp(client)
      if (!connection.closed) await once(connection, 'close')
      assert.equal(removed, 0)
    }
  })

  it('may throw, and touch the cache that it is called about', async () => {
    const context = serverContext({ ...only('TLSv1.2'), sessionCacheMode: libssl.SSL_SESS_CACHE_SERVER })
    const errors: SessionCallbackError[] = []
    context.on('callbackError', (error, socket) => {
      assert.equal(socket, null)
      errors.push(error)
    })
    context.removeSessionCallback = (where, session) => {
      using copy = session.dup()
      where.addSession(copy)
      where.removeSessionCallback = null
      where.removeSession(copy)
      session.free()
      throw new Error('and then this')
    }
    const { port } = await serve({ secureContext: context })
    const client = await dialled(port)
    await hangUp(client)
    assert.equal(context.sessionStats().number, 1)
    context.flushSessions(0)
    assert.equal(context.sessionStats().number, 0)
    await until(() => errors.length === 1)
    assert.equal(causeOf(errors[0]).message, 'and then this')
  })
})

describe('the session cache of a SecureContext', () => {
  it('reads back the callbacks that were set, and null when there is none', () => {
    const context = createSecureContext()
    const listener = (): null => null
    for (const name of ['newSessionCallback', 'removeSessionCallback', 'getSessionCallback'] as const) {
      assert.equal(context[name], null)
      context[name] = listener
      assert.equal(context[name], listener)
      context[name] = null
      assert.equal(context[name], null)
      assert.throws(
        () => {
          context[name] = 'text' as unknown as null
        },
        { code: 'ERR_INVALID_ARG_TYPE' },
      )
      assert.equal(createSecureContext({ [name]: listener })[name], listener)
    }
  })

  it('keeps no sessions by default, as in node:tls', () => {
    const context = createSecureContext()
    assert.equal(context.sessionCacheMode, libssl.SSL_SESS_CACHE_BOTH | libssl.SSL_SESS_CACHE_NO_INTERNAL)
  })

  it('takes mode, size and timeout as options and as properties', () => {
    const options = { sessionCacheMode: libssl.SSL_SESS_CACHE_SERVER, sessionCacheSize: 7, sessionTimeout: 77 }
    const context = createSecureContext(options)
    assert.equal(context.sessionCacheMode, libssl.SSL_SESS_CACHE_SERVER)
    assert.equal(context.sessionCacheSize, 7)
    assert.equal(context.sessionTimeout, 77)
    context.sessionCacheMode = libssl.SSL_SESS_CACHE_OFF
    context.sessionCacheSize = 0
    context.sessionTimeout = 5
    assert.equal(libssl.SSL_CTX_get_session_cache_mode(context.handle), libssl.SSL_SESS_CACHE_OFF)
    assert.equal(libssl.SSL_CTX_sess_get_cache_size(context.handle), 0)
    assert.equal(libssl.SSL_CTX_get_timeout(context.handle), 5)
    for (const name of ['sessionCacheMode', 'sessionCacheSize', 'sessionTimeout'] as const) {
      assert.throws(
        () => {
          context[name] = -1
        },
        { code: 'ERR_OUT_OF_RANGE' },
      )
      assert.throws(
        () => {
          context[name] = 1.5
        },
        { code: 'ERR_OUT_OF_RANGE' },
      )
      assert.throws(
        () => {
          context[name] = '1' as unknown as number
        },
        { code: 'ERR_INVALID_ARG_TYPE' },
      )
    }
  })

  it("counts with all of OpenSSL's twelve counters", () => {
    const stats = createSecureContext().sessionStats()
    assert.deepEqual(Object.keys(stats).toSorted(), [
      'accept',
      'acceptGood',
      'acceptRenegotiate',
      'cacheFull',
      'cbHits',
      'connect',
      'connectGood',
      'connectRenegotiate',
      'hits',
      'misses',
      'number',
      'timeouts',
    ])
    assert.ok(Object.values(stats).every((count) => count === 0))
  })

  it('refuses what is no Session', () => {
    const context = createSecureContext()
    assert.throws(() => context.addSession(Buffer.alloc(9) as unknown as Session), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.throws(() => context.removeSession(null as unknown as Session), { code: 'ERR_INVALID_ARG_TYPE' })
  })
})

describeInEachHome('the session cache of a SecureContext', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it('resumes from the internal cache without asking getSessionCallback', async () => {
      const context = serverContext({ ...only(version), sessionCacheMode: libssl.SSL_SESS_CACHE_SERVER })
      let asked = 0
      context.getSessionCallback = () => {
        asked += 1
        return null
      }
      const { port } = await serve({ secureContext: context })
      const first = await dialled(port)
      const session = await sessionOf(first)
      await hangUp(first)
      asked = 0
      const second = await dialled(port, { session })
      assert.equal(second.isSessionReused(), true)
      assert.equal(asked, 0)
      await exchange(second, 'x')
      const { accept, acceptGood, hits, cbHits, misses } = context.sessionStats()
      assert.deepEqual({ accept, acceptGood, hits, cbHits }, { accept: 2, acceptGood: 2, hits: 1, cbHits: 0 })
      assert.ok(misses <= 1)
      await hangUp(second)
    })

    it('can be filled by hand, and emptied', async () => {
      const mode = { ...only(version), sessionCacheMode: libssl.SSL_SESS_CACHE_SERVER }
      const [first, second] = [
        serverContext({ ...mode, sessionIdContext: 'shared' }),
        serverContext({ ...mode, sessionIdContext: 'shared' }),
      ]
      const made: Session[] = []
      first.newSessionCallback = (_socket, session) => made.push(session)
      const removed: Buffer[] = []
      first.removeSessionCallback = (_context, gone) => {
        removed.push(gone.id)
        gone.free()
      }
      const [one, two] = [await serve({ secureContext: first }), await serve({ secureContext: second })]
      const client = await dialled(one.port)
      const session = await sessionOf(client)
      await exchange(client, 'x')
      await hangUp(client)
      for (const original of made) {
        assert.throws(() => second.addSession(original), { code: 'ERR_WRONG_CONTEXT' })
        using copy = original.dup()
        assert.equal(second.addSession(copy), true)
        assert.equal(second.addSession(copy), false)
      }
      assert.equal(second.sessionStats().number, made.length)
      const resumed = await dialled(two.port, { session })
      assert.equal(resumed.isSessionReused(), true)
      await hangUp(resumed)
      assert.equal(first.removeSession(made[0] as Session), true)
      assert.equal(first.removeSession(made[0] as Session), false)
      assert.deepEqual(removed, [made[0]?.id, made[0]?.id])
      first.flushSessions()
      assert.equal(first.sessionStats().number, made.length - 1)
      first.flushSessions(Date.now() / 1000 + 1_000_000)
      assert.equal(first.sessionStats().number, 0)
      for (const original of made) original.free()
    })
  })

  it('does not resume between applications with other session id contexts', async () => {
    const { port: one } = await serve({ ...only('TLSv1.2'), sessionIdContext: 'one', ticketKeys: Buffer.alloc(80, 1) })
    const { port: two } = await serve({ ...only('TLSv1.2'), sessionIdContext: 'two', ticketKeys: Buffer.alloc(80, 1) })
    const client = await dialled(one)
    const session = await sessionOf(client)
    assert.equal((await dialled(one, { session })).isSessionReused(), true)
    assert.equal((await dialled(two, { session })).isSessionReused(), false)
  })

  it('is for sessions that clients get only once their server is accepted', async () => {
    const { port } = await serve(only('TLSv1.3'))
    const events: Buffer[] = []
    const client = dial(port, { servername: 'elsewhere' })
    client.on('session', (session) => events.push(session))
    assert.equal((await failure(client)).code, 'ERR_TLS_CERT_ALTNAME_INVALID')
    assert.deepEqual(events, [])
  })
})
