// Who is on the other side: certificates of servers and clients, names (SNI), and application protocols (ALPN).

import assert from 'node:assert/strict'
import { once } from 'node:events'
import nodeTls from 'node:tls'
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  createServer,
  type ServerOptions,
  type SNICallback,
  TLSSocket,
} from 'openssl-session'
import { MemorySessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { Program, versionFlag } from '../support/programs.js'
import {
  afterTest,
  atHome,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  dialledNode,
  exchange,
  failure,
  hangUp,
  inEachVersion,
  listen,
  only,
  serve,
  serveNode,
  sessionOf,
  whereSystemTrusts,
} from '../support/tls.js'
import { alertCode, noApplicationProtocol } from '../support/versions.js'

/** The error that a client's handshake ends with, or null when it succeeds. */
function outcome(client: TLSSocket | nodeTls.TLSSocket): Promise<(Error & { code?: string }) | null> {
  return new Promise((resolve) => {
    ;(client as nodeTls.TLSSocket).once('secureConnect', () => resolve(null))
    client.once('error', resolve)
  })
}

describeInEachHome("a server's certificate", () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    /** How our client and node:tls's judge the same server: an error code, or authorized and authorizationError. */
    async function judged(port: number, options: ConnectionOptions & nodeTls.ConnectionOptions): Promise<unknown[]> {
      const clients = [
        connect(atHome({ port, host: '127.0.0.1', ...options })),
        nodeTls.connect({ port, host: '127.0.0.1', ...options }),
      ]
      return Promise.all(
        clients.map(async (client) => {
          afterTest(client)
          const error = await outcome(client)
          if (error !== null) return { code: error.code, authorized: client.authorized }
          return { authorized: client.authorized, error: client.authorizationError }
        }),
      )
    }

    const { root, selfSigned, a } = certs()
    const cases: [string, ServerOptions, ConnectionOptions, object][] = [
      [
        'that a trusted root has signed is accepted',
        {},
        { ca: root.cert, servername: 'localhost' },
        { authorized: true, error: null },
      ],
      ['for the address that was dialled is accepted', {}, { ca: root.cert }, { authorized: true, error: null }],
      [
        'signed by itself is refused',
        { cert: selfSigned.cert, key: selfSigned.key },
        { ca: root.cert },
        { code: 'DEPTH_ZERO_SELF_SIGNED_CERT', authorized: false },
      ],
      [
        'signed by itself and trusted is accepted',
        { cert: selfSigned.cert, key: selfSigned.key },
        { ca: selfSigned.cert },
        { authorized: true, error: null },
      ],
      [
        'whose chain is not sent is refused',
        { cert: certs().server.cert },
        { ca: root.cert },
        { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', authorized: false },
      ],
      [
        'for another name is refused',
        { cert: a.chain, key: a.key },
        { ca: root.cert, servername: 'localhost' },
        { code: 'ERR_TLS_CERT_ALTNAME_INVALID', authorized: false },
      ],
      [
        'for another name is noted when rejectUnauthorized is off',
        { cert: a.chain, key: a.key },
        { ca: root.cert, rejectUnauthorized: false },
        { authorized: false, error: 'ERR_TLS_CERT_ALTNAME_INVALID' },
      ],
      [
        'signed by itself is noted when rejectUnauthorized is off',
        { cert: selfSigned.cert, key: selfSigned.key },
        { ca: root.cert, rejectUnauthorized: false },
        { authorized: false, error: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
      ],
    ]
    for (const [what, options, client, expected] of cases) {
      it(what, async () => {
        const { port } = await serve({ ...only(version), ...options })
        const [ours, theirs] = await judged(port, client as ConnectionOptions & nodeTls.ConnectionOptions)
        assert.deepEqual(ours, expected)
        assert.deepEqual(ours, theirs)
      })
    }

    it('is judged by checkServerIdentity, with the name and the whole chain', async () => {
      const { port } = await serve(only(version))
      const seen: unknown[] = []
      const client = await dialled(port, {
        servername: 'any.name',
        checkServerIdentity: (name, certificate) => {
          const { issuerCertificate } = certificate as nodeTls.DetailedPeerCertificate
          seen.push([name, certificate.subject.CN, issuerCertificate.subject.CN])
          return undefined
        },
      })
      assert.deepEqual(seen, [['any.name', 'localhost', 'test intermediate']])
      assert.equal(client.authorized, true)
      const refusing = dial(port, {
        checkServerIdentity: () => Object.assign(new Error('not this one'), { code: 'MY_CODE' }),
      })
      assert.equal((await failure(refusing)).code, 'MY_CODE')
      assert.throws(() => connect({ port, checkServerIdentity: 'no' as unknown as () => undefined }), {
        code: 'ERR_INVALID_ARG_TYPE',
      })
    })

    it('stays the judgement of a resumed connection', async () => {
      const { port } = await serve(only(version))
      const session = await sessionOf(await dialled(port))
      const checks: string[] = []
      const options = {
        session,
        checkServerIdentity: (name: string) => {
          checks.push(name)
          return undefined
        },
      }
      const resumed = await dialled(port, options)
      assert.equal(resumed.isSessionReused(), true)
      assert.equal(resumed.authorized, true)
      assert.deepEqual(checks, [])
    })

    it('accepted by openssl s_client keeps its error messages away from the server', async () => {
      const { server, port } = await serve(only(version))
      const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }, TLSSocket]>
      const args = ['-connect', `127.0.0.1:${port}`, '-CAfile', certs().selfSigned.certFile, '-verify_return_error']
      const client = afterTest(new Program('s_client', ...args, versionFlag(version)))
      const [error] = await failed
      assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA')
      await client.ended()
    })
  })
})

describeInEachHome("a client's certificate", () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    const { client: identity, root, selfSigned } = certs()
    const asking = { ...only(version), requestCert: true, ca: root.cert }

    /** What a server finds out about our client. */
    async function seen(options: ServerOptions, client: ConnectionOptions): Promise<object> {
      const { server, port } = await serve(options)
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const socket = await dialled(port, client)
      const [connection] = await accepted
      const { authorized, authorizationError } = connection
      const name = connection.getPeerCertificate().subject?.CN
      await hangUp(socket)
      return { authorized, authorizationError, name }
    }

    it('that a trusted root has signed authorizes it', async () => {
      const client = { cert: identity.chain, key: identity.key }
      assert.deepEqual(await seen(asking, client), { authorized: true, authorizationError: null, name: 'client' })
    })

    it('is not asked for by default', async () => {
      const client = { cert: identity.chain, key: identity.key }
      const found = await seen(only(version), client)
      assert.deepEqual(found, { authorized: false, authorizationError: null, name: undefined })
    })

    it('that is missing or bad is noted when rejectUnauthorized is off, as in node:tls', async () => {
      const options = { ...asking, rejectUnauthorized: false }
      for (const [client, error] of [
        [{}, 'UNABLE_TO_GET_ISSUER_CERT'],
        [{ cert: selfSigned.cert, key: selfSigned.key }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      ] as const) {
        const ours = (await seen(options, client)) as { authorized: boolean; authorizationError: string }
        assert.deepEqual([ours.authorized, ours.authorizationError], [false, error])
        const { server, port } = await serveNode(options)
        const accepted = once(server, 'secureConnection') as Promise<[nodeTls.TLSSocket]>
        const socket = await dialled(port, client)
        const [theirs] = await accepted
        assert.equal(theirs.authorizationError, error)
        await hangUp(socket)
      }
    })

    it('that is missing is refused by default, with an alert', async () => {
      const { server, port } = await serve(asking)
      const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
      const client = dial(port)
      const told = failure(client)
      assert.equal((await failed)[0].code, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')
      const alerts = [alertCode('HANDSHAKE_FAILURE'), 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'ECONNRESET']
      const { code = '' } = await told
      assert.ok(alerts.includes(code), code)
    })

    it('that is bad is refused by default', async () => {
      const { server, port } = await serve(asking)
      const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string; cause?: { code: string } }]>
      const client = dial(port, { cert: selfSigned.cert, key: selfSigned.key })
      const [error] = await failed
      assert.equal(error.code, 'ECONNRESET')
      assert.equal(error.cause?.code, 'DEPTH_ZERO_SELF_SIGNED_CERT')
      await closed(client)
    })

    it('stays with its session', async () => {
      const { server, port } = await serve({ ...asking, sessionIdContext: 'with certificates' })
      const credentials = { cert: identity.chain, key: identity.key }
      const first = await dialled(port, credentials)
      const session = await sessionOf(first)
      await hangUp(first)
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const second = await dialled(port, { session })
      const [connection] = await accepted
      assert.equal(second.isSessionReused(), true)
      assert.equal(connection.authorized, true)
      assert.equal(connection.getPeerCertificate().subject.CN, 'client')
      await hangUp(second)
    })

    it('that was missing when its session began is missing still', async () => {
      for (const store of [{}, { sessionStore: new MemorySessionStore() }]) {
        const shared = { ...only(version), ...store, ticketKeys: Buffer.alloc(80, 7), ca: root.cert }
        const lenient = await serve({ ...shared, requestCert: true, rejectUnauthorized: false })
        const strict = await serve({ ...shared, requestCert: true })
        const first = await dialled(lenient.port)
        const session = await sessionOf(first)
        await hangUp(first)
        const accepted = once(lenient.server, 'secureConnection') as Promise<[TLSSocket]>
        const again = await dialled(lenient.port, { session })
        const [connection] = await accepted
        assert.equal(connection.isSessionReused(), true)
        assert.deepEqual([connection.authorized, connection.authorizationError], [false, 'UNABLE_TO_GET_ISSUER_CERT'])
        const next = again.getProtocol() === 'TLSv1.2' ? session : await sessionOf(again)
        await hangUp(again)
        strict.server.on('secureConnection', () => assert.fail('nobody has shown a certificate'))
        const refused = once(strict.server, 'tlsClientError') as Promise<[Error & { cause?: { code: string } }]>
        const client = dial(strict.port, { session: next })
        assert.equal((await refused)[0].cause?.code, 'UNABLE_TO_GET_ISSUER_CERT')
        await closed(client)
      }
    })

    it('reaches node:tls from us, and us from node:tls and openssl s_client', async () => {
      const { server: theirs, port } = await serveNode(asking)
      const accepted = once(theirs, 'secureConnection') as Promise<[nodeTls.TLSSocket]>
      const ours = await dialled(port, { cert: identity.chain, key: identity.key })
      assert.equal((await accepted)[0].authorized, true)
      assert.equal((ours.getCertificate() as nodeTls.PeerCertificate).subject.CN, 'client')
      await hangUp(ours)

      const { server, port: ourPort } = await serve(asking)
      const names: unknown[] = []
      server.on('secureConnection', (socket) => names.push([socket.authorized, socket.getPeerCertificate().subject.CN]))
      await hangUp(await dialledNode(ourPort, { cert: identity.chain, key: identity.key }))
      const keys = ['-cert', identity.certFile, '-cert_chain', identity.chainFile, '-key', identity.keyFile]
      const program = afterTest(new Program('s_client', '-connect', `127.0.0.1:${ourPort}`, ...keys))
      await program.prints(/Acceptable client certificate CA names\s+CN ?= ?test root/)
      await program.prints(/Verify return code/)
      program.write('certified\n')
      await program.prints(/certified/)
      await program.end()
      assert.deepEqual(names, [
        [true, 'client'],
        [true, 'client'],
      ])
    })
  })
})

describeInEachHome('a name that a client asks for', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    const { a, wildcard, client: identity, root } = certs()

    /** The certificate that a server shows for a name. */
    async function shownFor(port: number, servername: string | undefined): Promise<string> {
      const client = await dialled(port, { rejectUnauthorized: false, servername })
      const { CN } = client.getPeerCertificate().subject
      await hangUp(client)
      return String(CN)
    }

    it('chooses among the contexts of addContext, with wildcards', async () => {
      const { server, port } = await serve(only(version))
      server.addContext('a.example.com', { cert: a.chain, key: a.key })
      server.addContext('*.example.org', createSecureContext({ cert: wildcard.chain, key: wildcard.key }))
      assert.equal(await shownFor(port, 'a.example.com'), 'a.example.com')
      assert.equal(await shownFor(port, 'b.example.org'), 'example.org')
      assert.equal(await shownFor(port, 'b.c.example.org'), 'localhost')
      assert.equal(await shownFor(port, 'aXexample.com'), 'localhost')
      assert.equal(await shownFor(port, 'elsewhere.net'), 'localhost')
      assert.equal(await shownFor(port, undefined), 'localhost')
      server.addContext('a.example.com', { cert: wildcard.chain, key: wildcard.key })
      assert.equal(await shownFor(port, 'a.example.com'), 'example.org')
      assert.throws(() => server.addContext('', {}), { code: 'ERR_TLS_REQUIRED_SERVER_NAME' })
    })

    it('is not an address: that is looked for in the certificate and not sent', async () => {
      const { server, port } = await serve(only(version))
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(port, { servername: '127.0.0.1' })
      const [connection] = await accepted
      assert.equal(client.authorized, true)
      assert.equal(connection.servername, false)
    })

    it('is known on a resumed connection, too', async () => {
      const { server, port } = await serve(only(version))
      const names: unknown[] = []
      server.on('secureConnection', (socket) => names.push([socket.isSessionReused(), socket.servername]))
      const session = await sessionOf(await dialled(port))
      await exchange(await dialled(port, { session }), 'x')
      assert.deepEqual(names, [
        [false, 'localhost'],
        [true, 'localhost'],
      ])
    })

    for (const [how, later] of [
      ['at once', (answer: () => void) => answer()],
      ['later', (answer: () => void) => void setTimeout(answer, 20)],
    ] as const) {
      it(`is given to SNICallback, which answers ${how}`, async () => {
        const context = createSecureContext({ cert: a.chain, key: a.key })
        const asked: unknown[] = []
        const { port } = await serve({
          ...only(version),
          SNICallback(name, callback) {
            asked.push(this instanceof TLSSocket, name)
            later(() => callback(null, name === 'a.example.com' ? context : null))
          },
        })
        assert.equal(await shownFor(port, 'a.example.com'), 'a.example.com')
        assert.equal(await shownFor(port, 'other.example'), 'localhost')
        assert.equal(await shownFor(port, undefined), 'localhost')
        assert.deepEqual(asked, [true, 'a.example.com', true, 'other.example'])
      })

      it(`fails the handshake when SNICallback answers ${how} with an error`, async () => {
        const reason = Object.assign(new Error('unknown name'), { code: 'MY_CODE' })
        const { server, port } = await serve({
          ...only(version),
          SNICallback: (_name, callback) => later(() => callback(reason)),
        })
        const failed = once(server, 'tlsClientError') as Promise<[Error, TLSSocket]>
        const client = dial(port)
        const told = failure(client)
        assert.equal((await failed)[0], reason)
        assert.match((await told).code ?? '', /^ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR$|^ERR_SSL_.*ALERT/)
      })
    }

    const mistakes: [string, ServerOptions['SNICallback'], string | RegExp][] = [
      [
        'throws',
        () => {
          throw Object.assign(new Error('oops'), { code: 'THROWN' })
        },
        'THROWN',
      ],
      [
        'rejects',
        (async () => {
          throw Object.assign(new Error('oops'), { code: 'REJECTED' })
        }) as ServerOptions['SNICallback'],
        'REJECTED',
      ],
      ['answers with no context', (_name, callback) => callback(null, {} as never), 'ERR_TLS_INVALID_CONTEXT'],
    ]
    for (const [what, SNICallback, code] of mistakes) {
      it(`costs one connection when SNICallback ${what}`, async () => {
        const { server, port } = await serve({ ...only(version), SNICallback })
        const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
        const client = dial(port)
        const told = failure(client)
        assert.equal((await failed)[0].code, code)
        await told
        assert.equal(await shownFor(port, undefined), 'localhost')
      })
    }

    it("chooses among contexts that trust the system's certificates, unless they name others", async () => {
      const { a, client, root, server: own, wildcard, selfSigned } = certs()
      const shown = { cert: client.chain, key: client.key }
      const chosen = { cert: wildcard.chain, key: wildcard.key }
      await whereSystemTrusts(root.certFile, async () => {
        const asking = { ...only(version), requestCert: true, rejectUnauthorized: false }
        const listed = await serve(asking)
        listed.server.addContext('a.example.com', { cert: a.chain, key: a.key })
        listed.server.addContext('localhost', { cert: own.chain, key: own.key, ca: selfSigned.cert })
        const SNICallback: SNICallback = (_name, done) => done(null, createSecureContext(chosen))
        const called = await serve({ ...asking, SNICallback })
        for (const [{ server, port }, servername, authorized] of [
          [listed, 'a.example.com', true],
          [listed, 'localhost', false],
          [called, 'b.example.org', true],
        ] as const) {
          const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
          await dialled(port, { ...shown, servername })
          assert.equal((await accepted)[0].authorized, authorized, servername)
        }
      })
    })

    it('does not change who has to show a certificate', async () => {
      const { server, port } = await serve({ ...only(version), requestCert: true, ca: root.cert })
      server.addContext('a.example.com', { cert: a.chain, key: a.key, ca: root.cert })
      const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
      const stranger = dial(port, { servername: 'a.example.com' })
      stranger.on('error', () => {})
      assert.equal((await failed)[0].code, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(port, { servername: 'a.example.com', cert: identity.chain, key: identity.key })
      assert.equal((await accepted)[0].authorized, true)
      await hangUp(client)
    })

    it('may be set on a client before the handshake, and on no server', async () => {
      const { server, port } = await serve(only(version))
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = dial(port, { servername: undefined })
      client.setServername('set.example')
      const [connection] = await accepted
      assert.equal(connection.servername, 'set.example')
      assert.throws(() => connection.setServername('x'), { code: 'ERR_TLS_SNI_FROM_SERVER' })
      assert.throws(() => client.setServername(7 as unknown as string), { code: 'ERR_INVALID_ARG_TYPE' })
      client.on('error', () => {})
    })
  })

  it('changes nothing about whose sessions are resumed, when the client is asked for another group, either', async () => {
    const { a } = certs()
    const name = 'a.example.com'
    for (const requestCert of [false, true]) {
      const ports: number[] = []
      for (const sessionIdContext of ['tenant A', 'tenant B']) {
        const rules = { ecdhCurve: 'P-384', sessionIdContext, requestCert, rejectUnauthorized: false }
        const { server, port } = await serve({ ...rules, ticketKeys: Buffer.alloc(80, 7) })
        server.addContext(name, { cert: a.chain, key: a.key, ecdhCurve: 'P-384' })
        ports.push(port)
      }
      const [own, other] = ports as [number, number]
      for (const ecdhCurve of ['P-384', 'X25519:P-384']) {
        const first = await dialled(own, { servername: name, ecdhCurve })
        const session = await sessionOf(first)
        await hangUp(first)
        for (const [port, reused] of [
          [other, false],
          [own, true],
        ] as const) {
          const again = await dialled(port, { servername: name, ecdhCurve, session })
          assert.equal(again.isSessionReused(), reused)
          await hangUp(again)
        }
      }
    }
  })

  it('must be chosen by a function', () => {
    assert.throws(() => createServer({ SNICallback: 'text' as never }), { code: 'ERR_INVALID_ARG_TYPE' })
  })
})

describeInEachHome('application protocols', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it("are chosen by the server's preference", async () => {
      const { port } = await serve({ ...only(version), ALPNProtocols: ['h2', 'http/1.1'] })
      assert.equal((await dialled(port, { ALPNProtocols: ['http/1.1', 'h2'] })).alpnProtocol, 'h2')
      assert.equal((await dialled(port, { ALPNProtocols: ['http/1.1'] })).alpnProtocol, 'http/1.1')
      assert.equal((await dialledNode(port, { ALPNProtocols: ['http/1.1', 'h2'] })).alpnProtocol, 'h2')
    })

    it('may be given as bytes', async () => {
      const { port } = await serve({ ...only(version), ALPNProtocols: Buffer.from('\x02h2\x08http/1.1') })
      assert.equal((await dialled(port, { ALPNProtocols: Buffer.from('\x08http/1.1') })).alpnProtocol, 'http/1.1')
      assert.equal((await dialled(port, { ALPNProtocols: [Buffer.from('h2')] })).alpnProtocol, 'h2')
    })

    it('may be absent on either side', async () => {
      const { port } = await serve({ ...only(version), ALPNProtocols: ['h2'] })
      assert.equal((await dialled(port)).alpnProtocol, false)
      const { port: without } = await serve(only(version))
      assert.equal((await dialled(without, { ALPNProtocols: ['h2'] })).alpnProtocol, false)
    })

    it('refuse a client that has none in common', async () => {
      const { server, port } = await serve({ ...only(version), ALPNProtocols: ['h2'] })
      const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }]>
      const told = failure(dial(port, { ALPNProtocols: ['spdy/3'] }))
      assert.equal((await failed)[0].code, 'ERR_SSL_NO_APPLICATION_PROTOCOL')
      assert.equal((await told).code, noApplicationProtocol.code)
    })

    it('are those of each server that shares a context, also one that SNI chooses', async () => {
      const { a, server: identity } = certs()
      const shared = createSecureContext({ ...only(version), cert: identity.chain, key: identity.key })
      const named = createSecureContext({ ...only(version), cert: a.chain, key: a.key })
      const protocols = ['one', 'two', undefined]
      const ports: number[] = []
      for (const protocol of protocols) {
        const options = protocol === undefined ? {} : { ALPNProtocols: [protocol] }
        const { server, port } = await serve({ ...options, secureContext: shared })
        server.addContext('a.example.com', named)
        ports.push(port)
      }
      for (const servername of ['localhost', 'a.example.com']) {
        for (const [index, protocol] of protocols.entries()) {
          const client = await dialled(Number(ports[index]), { servername, ALPNProtocols: ['two', 'one'] })
          assert.equal(client.alpnProtocol, protocol ?? false)
        }
      }
    })

    it('are those of the server whatever context its names choose', async () => {
      const { a } = certs()
      const { server, port } = await serve({ ...only(version), ALPNProtocols: ['proto'] })
      server.addContext('a.example.com', { cert: a.chain, key: a.key })
      const client = await dialled(port, { servername: 'a.example.com', ALPNProtocols: ['other', 'proto'] })
      assert.equal(client.getPeerCertificate().subject.CN, 'a.example.com')
      assert.equal(client.alpnProtocol, 'proto')
      assert.equal(await exchange(client, 'x'), 'x')
    })
  })

  it('must be names of 1 to 255 bytes', () => {
    for (const [protocols, code] of [
      [[''], 'ERR_OUT_OF_RANGE'],
      [['x'.repeat(256)], 'ERR_OUT_OF_RANGE'],
      [[7], 'ERR_INVALID_ARG_TYPE'],
      ['h2', 'ERR_INVALID_ARG_TYPE'],
      [Buffer.from('\x05h2'), 'ERR_INVALID_ARG_VALUE'],
      [Buffer.from('\x02h2\0'), 'ERR_INVALID_ARG_VALUE'],
    ] as const) {
      assert.throws(() => createServer({ ALPNProtocols: protocols as unknown as string[] }), { code })
    }
  })

  it('must be well formed when given as bytes', async () => {
    const port = await listen(createServer(atHome({})))
    assert.throws(() => connect(atHome({ port, ALPNProtocols: Buffer.from('\x09h2') })), { code: /^ERR_/ })
  })
})
