// What a SecureContext takes: certificates, keys, trust and protocol settings, in every form of node:tls; and how it refuses the rest.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import nodeTls from 'node:tls'
import { connect, createSecureContext, createServer, SecureContext, type SecureContextOptions } from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { collectGarbage } from '../support/accounts.js'
import { certs, type Identity } from '../support/certs.js'
import { Program } from '../support/programs.js'
import {
  afterTest,
  atHome,
  closeAll,
  describeInEachHome,
  dial,
  dialled,
  failure,
  hangUp,
  inEachHome,
  inEachVersion,
  listen,
  only,
  serve,
  sessionOf,
  type Version,
  whereSystemTrusts,
} from '../support/tls.js'

/** The name on the certificate that a server with these options shows to our client. */
async function shown(options: SecureContextOptions, client: SecureContextOptions = {}): Promise<string> {
  const port = await listen(createServer(atHome(options)))
  const socket = await dialled(port, client)
  const certificate = socket.getPeerX509Certificate()
  await hangUp(socket)
  return `${certificate?.subject} ${certificate?.publicKey.asymmetricKeyType}`
}

describe('createSecureContext', () => {
  afterEach(closeAll)

  describeInEachHome('takes a certificate and its key', () => {
    it('as strings', async () => {
      const { server } = certs()
      assert.equal(await shown({ cert: server.chain, key: server.key }), 'CN=localhost ec')
    })

    it('as Buffers, typed arrays and DataViews', async () => {
      const { server } = certs()
      const bytes = Buffer.from(server.key)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      assert.equal(await shown({ cert: new Uint8Array(Buffer.from(server.chain)), key: view }), 'CN=localhost ec')
    })

    it('with the key encrypted, and a passphrase', async () => {
      const { server, encryptedKey, passphrase } = certs()
      assert.equal(await shown({ cert: server.chain, key: encryptedKey, passphrase }), 'CN=localhost ec')
    })

    it('with a passphrase of the key itself', async () => {
      const { server, encryptedKey: pem, passphrase } = certs()
      assert.equal(await shown({ cert: server.chain, key: [{ pem, passphrase }] }), 'CN=localhost ec')
      assert.equal(await shown({ cert: server.chain, key: [{ pem }], passphrase }), 'CN=localhost ec')
    })

    it('in a PKCS#12 file, with the chain that is in it', async () => {
      const { pfx, passphrase } = certs()
      assert.equal(await shown({ pfx, passphrase }), 'CN=localhost ec')
      assert.equal(await shown({ pfx: [{ buf: pfx, passphrase }] }), 'CN=localhost ec')
      assert.equal(await shown({ pfx: [pfx], passphrase }), 'CN=localhost ec')
    })

    it('of two key types, and shows the one that the client can use', async () => {
      const { server, rsa } = certs()
      const both = { cert: [server.chain, rsa.chain], key: [server.key, rsa.key] }
      assert.equal(await shown(both, { sigalgs: 'ECDSA+SHA256', ...only('TLSv1.2') }), 'CN=localhost ec')
      const rsaOnly = { sigalgs: 'RSA+SHA256:rsa_pss_rsae_sha256', ...only('TLSv1.2') }
      assert.equal(await shown(both, { ...rsaOnly, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }), 'CN=localhost rsa')
    })
  })

  describeInEachHome('trusts', () => {
    it('only what `ca` names, in one text or in several', async () => {
      const { root, selfSigned } = certs()
      const port = (await serve()).port
      for (const ca of [
        root.cert,
        [root.cert],
        [selfSigned.cert, Buffer.from(root.cert)],
        selfSigned.cert + root.cert,
      ]) {
        const socket = await dialled(port, { ca })
        assert.equal(socket.authorized, true)
      }
      assert.equal((await failure(dial(port, { ca: selfSigned.cert }))).code, 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY')
      assert.equal((await failure(dial(port, { ca: [] }))).code, 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY')
    })

    it("the system's certificates by default", async () => {
      const { port } = await serve()
      const options = atHome({ port, host: '127.0.0.1', servername: 'localhost' })
      await whereSystemTrusts(certs().root.certFile, async () => {
        const socket = afterTest(connect(options))
        await once(socket, 'secureConnect')
        assert.equal(socket.authorized, true)
      })
      const stranger = afterTest(connect(options))
      assert.match((await failure(stranger)).code ?? '', /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT/)
    })

    describe("the system's certificates", () => {
      let root: Identity
      let selfSigned: Identity
      let folder: string
      let file: string

      beforeEach(() => {
        ;({ root, selfSigned } = certs())
        folder = mkdtempSync(join(tmpdir(), 'openssl-session-trust-'))
        file = join(folder, 'trusted.pem')
      })

      afterEach(() => rmSync(folder, { recursive: true }))

      /** Whether a new client trusts the server. */
      async function trusts(port: number): Promise<boolean> {
        const options = { port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }
        const socket = afterTest(connect(atHome(options)))
        await once(socket, 'secureConnect')
        return socket.authorized
      }

      it('as they are now, when their file has changed', async () => {
        const { port } = await serve()
        await whereSystemTrusts(file, async () => {
          assert.equal(await trusts(port), false)
          for (const [content, expected] of [
            [root.cert, true],
            [selfSigned.cert, false],
            [`${selfSigned.cert}${root.cert}`, true],
          ] as const) {
            writeFileSync(file, content)
            assert.equal(await trusts(port), expected)
          }
          rmSync(file)
          assert.equal(await trusts(port), false)
        })
      })

      it('in a folder with hashed names', async () => {
        const { port } = await serve()
        writeFileSync(file, root.cert)
        const [hash = ''] = spawnSync('openssl', ['x509', '-hash', '-noout', '-in', file], {
          encoding: 'utf8',
        }).stdout.split('\n')
        writeFileSync(join(folder, `${hash}.0`), root.cert)
        process.env.SSL_CERT_DIR = folder
        try {
          await whereSystemTrusts('/nowhere', async () => assert.equal(await trusts(port), true))
        } finally {
          delete process.env.SSL_CERT_DIR
        }
      })

      it('in forms that only OpenSSL reads, and none of a damaged file', async () => {
        const { port } = await serve()
        writeFileSync(file, root.cert)
        spawnSync('openssl', ['x509', '-addtrust', 'serverAuth', '-trustout', '-in', file, '-out', file])
        assert.match(readFileSync(file, 'utf8'), /BEGIN TRUSTED CERTIFICATE/)
        await whereSystemTrusts(file, async () => {
          assert.equal(await trusts(port), true)
          writeFileSync(file, `${root.cert}${selfSigned.cert.replace(/\n..../, '\n!!!!')}`)
          assert.equal(await trusts(port), false)
        })
      })

      it('reads them once, and keeps them when an application frees what it was given of them', async () => {
        const { port } = await serve()
        await whereSystemTrusts(root.certFile, async () => {
          assert.equal(await trusts(port), true)
          await collectGarbage()
          const { owned } = libssl.leaks()
          for (let count = 0; count < 3; count++) {
            const socket = afterTest(connect(atHome({ port, host: '127.0.0.1', servername: 'localhost' })))
            await once(socket, 'secureConnect')
            const chain = libssl.SSL_get0_verified_chain(socket.handle as libssl.SSL) ?? []
            assert.ok(chain.length > 1)
            for (const x509 of chain) libssl.X509_free(x509)
          }
          await collectGarbage()
          assert.equal(libssl.leaks().owned.X509, owned.X509)
        })
      })
    })

    it("the system's certificates as a client when it serves as well", async () => {
      const { root, server: own } = certs()
      await whereSystemTrusts(root.certFile, async () => {
        const secureContext = createSecureContext({ cert: own.chain, key: own.key })
        const { port } = await serve({ secureContext })
        await serve({ secureContext, requestCert: true })
        for (let count = 0; count < 2; count++) {
          const socket = afterTest(connect(atHome({ port, host: '127.0.0.1', servername: 'localhost', secureContext })))
          await once(socket, 'secureConnect')
          assert.equal(socket.authorized, true)
        }
      })
    })
  })

  describeInEachHome('negotiates', () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] satisfies Version[]) {
      it(`${version} when minVersion and maxVersion allow nothing else`, async () => {
        const { port } = await serve(only(version))
        assert.equal((await dialled(port)).getProtocol(), version)
        const other = version === 'TLSv1.2' ? 'TLSv1.3' : 'TLSv1.2'
        const error = await failure(dial(port, only(other)))
        assert.match(
          error.code ?? '',
          /^ERR_SSL_(TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|WRONG_VERSION_NUMBER)$/,
        )
      })
    }

    it('the ciphers that are named, those of TLS 1.3 among them', async () => {
      const { port } = await serve({ ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:TLS_CHACHA20_POLY1305_SHA256' })
      const modern = await dialled(port)
      assert.equal(modern.getCipher()?.name, 'TLS_CHACHA20_POLY1305_SHA256')
      const old = await dialled(port, { maxVersion: 'TLSv1.2' })
      assert.deepEqual(old.getCipher(), {
        name: 'ECDHE-ECDSA-CHACHA20-POLY1305',
        standardName: 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
        version: 'TLSv1.2',
      })
    })

    it('nothing below TLS 1.3 when only ciphers of TLS 1.3 are named', async () => {
      const { port } = await serve({ ciphers: 'TLS_AES_256_GCM_SHA384' })
      assert.equal((await dialled(port)).getCipher()?.name, 'TLS_AES_256_GCM_SHA384')
      await failure(dial(port, { maxVersion: 'TLSv1.2' }))
    })

    it("the server's favourite cipher, unless honorCipherOrder is off", async () => {
      const [one, two] = ['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-GCM-SHA256']
      const ciphers = `${one}:${two}`
      const client = { ciphers: `${two}:${one}`, ...only('TLSv1.2') }
      const strict = await serve({ ciphers, ...only('TLSv1.2') })
      assert.equal((await dialled(strict.port, client)).getCipher()?.name, one)
      const lenient = await serve({ ciphers, honorCipherOrder: false, ...only('TLSv1.2') })
      assert.equal((await dialled(lenient.port, client)).getCipher()?.name, two)
    })

    it('the groups of ecdhCurve', async () => {
      const { port } = await serve({ ecdhCurve: 'P-384' })
      const peer = nodeTls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
      await once(afterTest(peer), 'secureConnect')
      assert.deepEqual(peer.getEphemeralKeyInfo(), { type: 'ECDH', name: 'secp384r1', size: 384 })
      const error = await failure(dial(port, { ecdhCurve: 'X25519' }))
      assert.match(error.code ?? '', /^ERR_SSL_/)
    })

    it('the signature algorithms of sigalgs', async () => {
      const { port } = await serve({ sigalgs: 'ecdsa_secp256r1_sha256' })
      const client = afterTest(new Program('s_client', '-connect', `127.0.0.1:${port}`))
      await client.prints(/Peer signing digest: SHA256/)
      assert.match((await failure(dial(port, { sigalgs: 'rsa_pss_rsae_sha256' }))).code ?? '', /^ERR_SSL_/)
    })

    it('without tickets when secureOptions says so', async () => {
      const { port } = await serve({ ...only('TLSv1.2'), secureOptions: libssl.SSL_OP_NO_TICKET })
      assert.equal((await dialled(port)).getTLSTicket(), undefined)
      const withTickets = await serve(only('TLSv1.2'))
      assert.ok(Buffer.isBuffer((await dialled(withTickets.port)).getTLSTicket()))
    })

    it('finite field Diffie-Hellman with dhparam auto', async () => {
      const { rsa } = certs()
      const ciphers = 'DHE-RSA-AES128-GCM-SHA256'
      const { port } = await serve({ cert: rsa.chain, key: rsa.key, dhparam: 'auto', ciphers, ...only('TLSv1.2') })
      assert.equal((await dialled(port, { ciphers })).getCipher()?.name, ciphers)
    })

    it('no renegotiation', async () => {
      const { server, port } = await serve(only('TLSv1.2'))
      const errors: Error[] = []
      server.on('secureConnection', (socket) => socket.on('error', (error) => errors.push(error)))
      const client = afterTest(new Program('s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2'))
      await client.prints(/Verify return code/)
      client.write('R\n')
      await client.prints(/no renegotiation/)
    })
  })

  it('is what new SecureContext makes, too', () => {
    const { server } = certs()
    const context = new SecureContext({ cert: server.chain, key: server.key })
    assert.ok(context.handle instanceof libssl.SSL_CTX)
    assert.ok(createSecureContext() instanceof SecureContext)
    context.free()
    assert.throws(() => context.sessionTimeout, { code: 'ERR_HANDLE_FREED' })
  })

  inEachHome(() => {
    it('serves connections that are open when it is freed', async () => {
      const { port } = await serve()
      const context = createSecureContext({ ca: certs().root.cert })
      const socket = await dialled(port, { secureContext: context })
      context.free()
      socket.write('still here')
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.equal(answer.toString(), 'still here')
      await hangUp(socket)
    })
  })

  describe('refuses with a clear error', () => {
    const { server, rsa, client, encryptedKey, pfx } = certs()
    const damaged = server.cert.replace(/\n[A-Za-z0-9+/]{20}/, '\n====================')
    const refusals: [string, SecureContextOptions | object, { code: string | RegExp; message?: RegExp }][] = [
      [
        'a certificate that is none',
        { cert: 'nonsense' },
        { code: 'ERR_OSSL_PEM_NO_START_LINE', message: /options\.cert/ },
      ],
      ['a damaged certificate', { cert: damaged }, { code: /^ERR_OSSL_/, message: /options\.cert/ }],
      ['a damaged certificate in a chain', { cert: server.cert + damaged }, { code: /^ERR_OSSL_/, message: /damaged/ }],
      ['a key that is none', { cert: server.cert, key: 'nonsense' }, { code: /^ERR_OSSL_/, message: /options\.key/ }],
      [
        'a key of another certificate',
        { cert: server.cert, key: client.key },
        { code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' },
      ],
      [
        'a key of another type',
        { cert: server.cert, key: rsa.key },
        { code: 'ERR_SSL_NO_CERTIFICATE_ASSIGNED', message: /belong/ },
      ],
      ['an encrypted key without its passphrase', { cert: server.cert, key: encryptedKey }, { code: /^ERR_OSSL_/ }],
      [
        'an encrypted key with a wrong passphrase',
        { cert: server.cert, key: encryptedKey, passphrase: 'wrong' },
        { code: /^ERR_OSSL_/ },
      ],
      ['a passphrase that is no string', { key: encryptedKey, passphrase: 7 }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['a PKCS#12 file that is none', { pfx: Buffer.from('nonsense') }, { code: /^ERR_OSSL_/, message: /PKCS#12/ }],
      ['a PKCS#12 file with a wrong passphrase', { pfx, passphrase: 'wrong' }, { code: /^ERR_OSSL_PKCS12_/ }],
      ['a CA that is none', { ca: 'nonsense' }, { code: 'ERR_INVALID_ARG_VALUE', message: /options\.ca/ }],
      ['a damaged CA', { ca: damaged }, { code: /^ERR_OSSL_/, message: /options\.ca/ }],
      ['a CA of the wrong type', { ca: 7 }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['unknown ciphers', { ciphers: 'NONSENSE' }, { code: 'ERR_SSL_NO_CIPHER_MATCH' }],
      ['unknown TLS 1.3 ciphers', { ciphers: 'TLS_NONSENSE' }, { code: 'ERR_SSL_NO_CIPHER_MATCH' }],
      ['ciphers of the wrong type', { ciphers: 7 }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['no ciphers at all', { ciphers: ':' }, { code: 'ERR_INVALID_ARG_VALUE' }],
      ['an unknown curve', { ecdhCurve: 'nonsense' }, { code: 'ERR_CRYPTO_OPERATION_FAILED' }],
      ['unknown signature algorithms', { sigalgs: 'nonsense' }, { code: /^ERR_(SSL|OSSL)_/ }],
      ['empty signature algorithms', { sigalgs: '' }, { code: 'ERR_INVALID_ARG_VALUE' }],
      [
        'an unknown version',
        { minVersion: 'TLSv1.4' },
        { code: 'ERR_TLS_INVALID_PROTOCOL_VERSION', message: /"TLSv1.4".*minimum/ },
      ],
      ['Diffie-Hellman parameters', { dhparam: '-----BEGIN DH PARAMETERS-----' }, { code: 'ERR_INVALID_ARG_VALUE' }],
      ['options that are no number', { secureOptions: 'all' }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['a session id context of 33 bytes', { sessionIdContext: 'x'.repeat(33) }, { code: 'ERR_INVALID_ARG_VALUE' }],
      ['a session id context that is no string', { sessionIdContext: 7 }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['a negative session timeout', { sessionTimeout: -1 }, { code: 'ERR_OUT_OF_RANGE' }],
      ['a session timeout that is no number', { sessionTimeout: '1' }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['ticket keys of 47 bytes', { ticketKeys: Buffer.alloc(47) }, { code: 'ERR_INVALID_ARG_VALUE' }],
      ['ticket keys that are no Buffer', { ticketKeys: 'x'.repeat(48) }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['a callback that is no function', { newSessionCallback: 7 }, { code: 'ERR_INVALID_ARG_TYPE' }],
      ['an option of node:tls that is not there', { crl: 'x' }, { code: 'ERR_FEATURE_UNAVAILABLE', message: /"crl"/ }],
    ]
    for (const [what, options, expected] of refusals) {
      it(what, () => assert.throws(() => createSecureContext(options as SecureContextOptions), expected))
    }

    it('and tells what OpenSSL said about it', () => {
      assert.throws(
        () => createSecureContext({ cert: server.cert, key: client.key }),
        (error: Error & { library?: string; reason?: string }) => {
          assert.match(error.message, /private key.*error:[0-9A-F]+:x509/i)
          assert.match(error.library ?? '', /x509/)
          assert.match(error.reason ?? '', /mismatch/)
          return true
        },
      )
    })

    it('and leaves no context behind', () => {
      const before = libssl.leaks().live.SSL_CTX
      for (let i = 0; i < 10; i++) assert.throws(() => createSecureContext({ cert: 'nonsense' }))
      assert.equal(libssl.leaks().live.SSL_CTX, before)
    })
  })
})

describeInEachHome('ticket keys', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    for (const length of [48, 80]) {
      it(`of ${length} bytes let one server resume what another began`, async () => {
        const ticketKeys = randomBytes(length)
        const [first, second] = [
          await serve({ ...only(version), ticketKeys }),
          await serve({ ...only(version), ticketKeys }),
        ]
        const session = await sessionOf(await dialled(first.port))
        assert.equal((await dialled(second.port, { session })).isSessionReused(), true)
        const stranger = await serve(only(version))
        assert.equal((await dialled(stranger.port, { session })).isSessionReused(), false)
      })
    }

    it('pass from one server to another with getTicketKeys and setTicketKeys', async () => {
      const [first, second] = [await serve(only(version)), await serve(only(version))]
      const keys = first.server.getTicketKeys()
      assert.equal(keys.length, 80)
      second.server.setTicketKeys(keys)
      assert.deepEqual(second.server.getTicketKeys(), keys)
      const session = await sessionOf(await dialled(first.port))
      assert.equal((await dialled(second.port, { session })).isSessionReused(), true)
    })
  })
})
