// node:tls's session events on a server, 'newSession' and 'resumeSession': they work in TLS 1.3, too.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type ServerEvents, type SessionStoreError, type TLSSocket } from 'openssl-session'
import { SSL_OP_NO_TICKET } from 'openssl-session/libssl'
import { certs } from '../support/certs.js'
import { openSession, resumesSession } from '../support/programs.js'
import {
  atHome,
  aWhile,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  dialledNode,
  exchange,
  failure,
  hangUp,
  identity,
  inEachVersion,
  listen,
  only,
  serve,
  sessionOf,
} from '../support/tls.js'
import { alertCode } from '../support/versions.js'

/** Keeps a server's sessions in a map, as the documentation of node:tls does. */
function keepSessions(server: Server): Map<string, Buffer> {
  const sessions = new Map<string, Buffer>()
  server.on('newSession', (id, session, done) => {
    sessions.set(id.toString('hex'), session)
    done()
  })
  server.on('resumeSession', (id, done) => done(null, sessions.get(id.toString('hex')) ?? null))
  return sessions
}

describeInEachHome("the events 'newSession' and 'resumeSession'", () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it('resume a session on another server, with our client and with that of node:tls', async () => {
      const [one, two] = [await serve(only(version)), await serve(only(version))]
      const sessions = keepSessions(one.server)
      two.server.on('resumeSession', (id, done) =>
        setTimeout(() => done(null, sessions.get(id.toString('hex')) ?? null), 5),
      )
      const session = await sessionOf(await dialled(one.port))
      assert.ok(sessions.size > 0)
      const resumed = await dialled(two.port, { session })
      assert.equal(resumed.isSessionReused(), true)
      assert.equal(await exchange(resumed, 'resumed'), 'resumed')

      const theirs = await dialledNode(one.port)
      const theirSession =
        version === 'TLSv1.2' ? theirs.getSession() : ((await once(theirs, 'session')) as [Buffer])[0]
      const theirSecond = await dialledNode(two.port, { session: theirSession })
      assert.equal(theirSecond.isSessionReused(), true)
    })

    it('resume a session of openssl s_client', async () => {
      const server = createServer(identity(only(version)))
      keepSessions(server)
      const port = await listen(server)
      const file = `${certs().root.certFile}.${version}.session`
      await openSession(port, version, file)
      assert.equal(await resumesSession(port, version, file), true)
    })

    it('hold the handshake back until newSession is answered', async () => {
      const { server, port } = await serve({ ...only(version), secureOptions: SSL_OP_NO_TICKET })
      let release: () => void = () => {}
      const asked = new Promise<void>((resolve) => {
        server.once('newSession', (_id, _session, done) => {
          release = done
          resolve()
        })
        server.on('newSession', (_id, _session, done) => {
          if (done !== release) done()
        })
      })
      const events: string[] = []
      server.on('secureConnection', () => events.push('server'))
      const client = dial(port)
      client.on('secureConnect', () => events.push('client'))
      client.on('session', () => events.push('session'))
      await asked
      await aWhile()
      assert.deepEqual(events, version === 'TLSv1.2' ? [] : ['client'])
      release()
      release()
      assert.equal(await exchange(client, 'and on'), 'and on')
      assert.ok(events.includes('server'))
      assert.ok(events.includes('session'))
    })

    it('may be answered twice by a listener of newSession', async () => {
      const { server, port } = await serve(only(version))
      server.on('newSession', (_id, _session, done) => {
        done()
        done()
      })
      server.on('resumeSession', (_id, done) => done(null, null))
      const accepted = once(server, 'secureConnection')
      assert.equal(await exchange(await dialled(port), 'and on'), 'and on')
      await accepted
    })

    it('are a full handshake when the listener has nothing', async () => {
      const { server, port } = await serve(only(version))
      server.on('resumeSession', (_id, done) => done(null, null))
      const session = await sessionOf(await dialled(port))
      assert.equal((await dialled(port, { session })).isSessionReused(), false)
    })

    it('are a full handshake and one event when the listener has something damaged', async () => {
      const { server, port } = await serve(only(version))
      const errors: SessionStoreError[] = []
      server.on('sessionStoreError', (error) => errors.push(error))
      server.on('resumeSession', (_id, done) => done(null, Buffer.from('nonsense')))
      const session = await sessionOf(await dialled(port, only(version)))
      const client = await dialled(port, { session, ...only(version) })
      assert.equal(client.isSessionReused(), false)
      assert.equal(await exchange(client, 'works'), 'works')
      assert.deepEqual(
        errors.map(({ code, operation }) => [code, operation]),
        [['ERR_SESSION_STORE', 'resumeSession']],
      )
    })

    const mistakes: [
      string,
      ServerEvents['resumeSession'] extends [Buffer, infer C] ? (id: Buffer, done: C) => void : never,
      string,
    ][] = [
      ['answers with an error', (_id, done) => done(Object.assign(new Error('no'), { code: 'MINE' })), 'MINE'],
      [
        'throws',
        () => {
          throw Object.assign(new Error('no'), { code: 'MINE' })
        },
        'MINE',
      ],
      [
        'answers twice',
        (_id, done) => {
          done(null, null)
          done(null, null)
        },
        'ERR_MULTIPLE_CALLBACK',
      ],
    ]
    for (const [what, listener, code] of mistakes) {
      it(`cost the connection, and no other, when the listener ${what}`, async () => {
        const { server, port } = await serve(only(version))
        const session = await sessionOf(await dialled(port, only(version)))
        server.on('resumeSession', listener)
        server.on('newSession', (_id, _session, done) => done())
        const stateful = await sessionOf(await dialled(port, only(version)))
        const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
        const client = dial(port, { session: stateful, ...only(version) })
        await Promise.all([closed(client), failed])
        assert.equal((await failed)[0].code, code)
        server.off('resumeSession', listener)
        const next = await dialled(port, only(version))
        assert.equal(await exchange(next, 'next'), 'next')
        assert.ok(session)
      })
    }

    it('cost the connection when a newSession listener throws', async () => {
      const { server, port } = await serve({ ...only(version), secureOptions: SSL_OP_NO_TICKET })
      server.once('newSession', () => {
        throw new Error('cannot store')
      })
      const failed = once(server, 'tlsClientError') as Promise<[Error]>
      const client = dial(port)
      await Promise.all([closed(client), failed])
      assert.equal((await failed)[0].message, 'cannot store')
    })
  })

  it('end the handshake when its client has gone before the answer', async () => {
    const { server, port } = await serve(only('TLSv1.3'))
    keepSessions(server)
    const session = await sessionOf(await dialled(port))
    server.removeAllListeners('resumeSession')
    let answer: (error: Error | null, session?: Buffer | null) => void = () => {}
    const asked = new Promise<void>((resolve) => {
      server.on('resumeSession', (_id, done) => {
        answer = done
        resolve()
      })
    })
    const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }, TLSSocket]>
    const client = dial(port, { session })
    await asked
    client.destroy()
    assert.equal((await failed)[0].code, 'ECONNRESET')
    answer(null, null)
    assert.equal((await dialled(port)).isSessionReused(), false)
  })
})

describeInEachHome('setSecureContext', () => {
  afterEach(closeAll)

  it('changes the certificate of new connections and leaves open ones alone', async () => {
    const { rsa, root } = certs()
    const { server, port } = await serve()
    const before = await dialled(port)
    server.setSecureContext({ cert: rsa.chain, key: rsa.key })
    const after = await dialled(port, { ca: root.cert })
    assert.equal(before.getPeerX509Certificate()?.publicKey.asymmetricKeyType, 'ec')
    assert.equal(after.getPeerX509Certificate()?.publicKey.asymmetricKeyType, 'rsa')
    assert.equal(await exchange(before, 'still open'), 'still open')
    await hangUp(before)
  })

  it('keeps what it had when the new certificate is bad', async () => {
    const { server, port } = await serve()
    assert.throws(() => server.setSecureContext({ cert: 'nonsense' }), { code: /^ERR_OSSL_/ })
    assert.throws(() => server.setSecureContext(null as never), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.equal(await exchange(await dialled(port), 'works'), 'works')
  })

  it('keeps ticket keys and session timeout unless they are given', async () => {
    const { server: identity } = certs()
    const { server, port } = await serve({ ticketKeys: Buffer.alloc(48, 7), sessionTimeout: 99 })
    const session = await sessionOf(await dialled(port))
    server.setSecureContext({ cert: identity.chain, key: identity.key })
    assert.equal(server.secureContext.sessionTimeout, 99)
    assert.equal((await dialled(port, { session })).isSessionReused(), true)
  })

  it('is what a server without a certificate needs: it fails each handshake, and says why', async () => {
    const server = createServer(atHome({}))
    const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
    const told = failure(dial(await listen(server)))
    assert.equal((await failed)[0].code, 'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM')
    assert.equal((await told).code, alertCode('HANDSHAKE_FAILURE'))
  })
})
