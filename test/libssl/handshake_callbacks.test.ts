// What else takes part in a handshake of the libssl layer besides session callbacks: the cert callback, the keylog callback,
// and the choice of an application protocol.

import assert from 'node:assert/strict'
import {
  type CertCallback,
  i2d_X509,
  SSL_CTX_set_alpn_protos,
  SSL_CTX_set_alpn_select_protos,
  SSL_CTX_set_cert_cb,
  SSL_CTX_set_keylog_callback,
  SSL_CTX_use_certificate_file,
  SSL_CTX_use_PrivateKey_file,
  SSL_do_handshake,
  SSL_ERROR_WANT_X509_LOOKUP,
  SSL_FILETYPE_PEM,
  SSL_free,
  SSL_get_error,
  SSL_get_SSL_CTX,
  SSL_get_servername,
  SSL_get0_alpn_selected,
  SSL_get0_session,
  SSL_get1_peer_certificate,
  SSL_is_init_finished,
  SSL_SESSION_get_master_key,
  SSL_SESSION_get0_alpn_selected,
  SSL_set_SSL_CTX,
  SSL_set_tlsext_host_name,
  SSL_waiting_session,
  TLS1_2_VERSION,
  TLSEXT_NAMETYPE_host_name,
  type X509,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import { certs } from '../support/certs.js'
import {
  clientContext,
  connect,
  HandshakeFailure,
  inEachProtocol,
  keep,
  Pair,
  present,
  serverContext,
  transfer,
} from '../support/peers.js'

/** A server and a client that have not begun, with a cert callback on the server. */
function withCertCallback(version: number, callback: CertCallback): Pair {
  const serverCtx = serverContext(version)
  SSL_CTX_set_cert_cb(serverCtx, callback)
  return new Pair(serverCtx, clientContext())
}

/** Takes the client's hello to the server and has it answered. Returns what the server's call returns. */
function hello(pair: Pair): number {
  SSL_do_handshake(pair.client)
  transfer(pair.client, pair.server)
  return SSL_do_handshake(pair.server)
}

const shown = (pair: Pair): X509 => keep(present(SSL_get1_peer_certificate(pair.client)))

describe('The cert callback', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    for (const answer of [1, true, undefined, 7]) {
      it(`goes on when it answers ${answer}`, () => {
        const asked: unknown[] = []
        const pair = withCertCallback(version, (ssl) => {
          asked.push(ssl, SSL_is_init_finished(ssl))
          return answer
        })
        pair.handshake()
        assert.deepEqual(asked, [pair.server, 0])
      })
    }

    for (const answer of [0, false]) {
      it(`fails the handshake when it answers ${answer}, at once or by a promise`, async () => {
        for (const callback of [() => answer, async () => answer]) {
          const pair = withCertCallback(version, callback)
          await assert.rejects(
            () => pair.handshakeAwaiting(),
            (error) =>
              error instanceof HandshakeFailure && error.side === 'server' && /cert cb error/.test(error.reason),
          )
        }
      })
    }

    it('pauses the handshake with SSL_ERROR_WANT_X509_LOOKUP until its promise is kept', async () => {
      let answer: (value: boolean) => void = () => {}
      let calls = 0
      const pair = withCertCallback(version, () => {
        calls++
        return new Promise((resolve) => {
          answer = resolve
        })
      })
      assert.equal(hello(pair), -1)
      for (let i = 0; i < 2; i++) {
        assert.equal(SSL_get_error(pair.server, -1), SSL_ERROR_WANT_X509_LOOKUP)
        assert.equal(SSL_do_handshake(pair.server), -1)
      }
      const waiting = SSL_waiting_session(pair.server)
      answer(true)
      assert.equal(await waiting, undefined)
      transfer(pair.server, pair.client)
      pair.handshake()
      assert.equal(calls, 1)
    })

    it('chooses the context whose certificate is shown, at once or before its promise is kept', async () => {
      const { a } = certs()
      const chosen = serverContext(version)
      SSL_CTX_use_certificate_file(chosen, a.certFile, SSL_FILETYPE_PEM)
      SSL_CTX_use_PrivateKey_file(chosen, a.keyFile, SSL_FILETYPE_PEM)
      const choose: CertCallback = (ssl) => {
        if (SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) === 'a.example.com') SSL_set_SSL_CTX(ssl, chosen)
      }
      for (const callback of [
        choose,
        async (ssl: Parameters<CertCallback>[0]) => {
          await null
          choose(ssl)
        },
      ]) {
        const [known, unknown] = [withCertCallback(version, callback), withCertCallback(version, callback)]
        SSL_set_tlsext_host_name(known.client, 'a.example.com')
        SSL_set_tlsext_host_name(unknown.client, 'b.example.com')
        await known.handshakeAwaiting()
        await unknown.handshakeAwaiting()
        assert.equal(SSL_get_SSL_CTX(known.server), chosen)
        assert.notEqual(SSL_get_SSL_CTX(unknown.server), chosen)
        assert.notDeepEqual(i2d_X509(shown(known)), i2d_X509(shown(unknown)))
      }
    })

    it('that throws fails the handshake, and its exception comes out of the call', () => {
      const pair = withCertCallback(version, () => {
        throw new Error('no certificate today')
      })
      assert.throws(() => hello(pair), { message: 'no certificate today' })
      assert.throws(
        () => pair.handshake(),
        (error) => error instanceof HandshakeFailure,
      )
    })

    it('whose promise is broken fails the handshake, and the reason comes out of the next call', async () => {
      const pair = withCertCallback(version, async () => {
        throw new Error('no certificate tomorrow')
      })
      assert.equal(hello(pair), -1)
      await SSL_waiting_session(pair.server)
      assert.throws(() => SSL_do_handshake(pair.server), { message: 'no certificate tomorrow' })
      assert.throws(
        () => pair.handshake(),
        (error) => error instanceof HandshakeFailure,
      )
    })

    it('may leave its promise for ever: the connection can be freed', async () => {
      const pair = withCertCallback(version, () => new Promise(() => {}))
      assert.equal(hello(pair), -1)
      const waiting = SSL_waiting_session(pair.server)
      SSL_free(pair.server)
      assert.equal(await waiting, undefined)
    })
  })
})

describe('The keylog callback', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    it('is called on either side with the same secrets, line by line, and with its connection', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const lines = { server: [] as string[], client: [] as string[] }
      const pair = new Pair(serverCtx, clientCtx)
      for (const [side, ctx] of [
        ['server', serverCtx],
        ['client', clientCtx],
      ] as const) {
        SSL_CTX_set_keylog_callback(ctx, (ssl, line) => {
          assert.equal(ssl, pair[side])
          lines[side].push(line)
        })
      }
      pair.handshake()
      assert.deepEqual(lines.server.toSorted(), lines.client.toSorted())
      for (const line of lines.server) assert.match(line, /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,}$/)
      const labels = lines.server.map((line) => line.split(' ')[0]).toSorted()
      if (version === TLS1_2_VERSION) {
        const secret = SSL_SESSION_get_master_key(present(SSL_get0_session(pair.server))).toString('hex')
        assert.deepEqual(labels, ['CLIENT_RANDOM'])
        assert.ok(lines.client[0]?.endsWith(` ${secret}`))
      } else {
        assert.deepEqual(labels, [
          'CLIENT_HANDSHAKE_TRAFFIC_SECRET',
          'CLIENT_TRAFFIC_SECRET_0',
          'EXPORTER_SECRET',
          'SERVER_HANDSHAKE_TRAFFIC_SECRET',
          'SERVER_TRAFFIC_SECRET_0',
        ])
      }
    })

    it('is not called any more once it is cleared', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      let calls = 0
      SSL_CTX_set_keylog_callback(serverCtx, () => void calls++)
      connect(serverCtx, clientCtx).close()
      const before = calls
      assert.ok(before > 0)
      SSL_CTX_set_keylog_callback(serverCtx, null)
      connect(serverCtx, clientCtx).close()
      assert.equal(calls, before)
    })
  })
})

describe('An application protocol', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    /** Connects with lists in the form that both sides take: each name after a byte with its length. */
    function negotiate(served: string | null, offered: string | null): Pair {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      if (served !== null) assert.equal(SSL_CTX_set_alpn_select_protos(serverCtx, Buffer.from(served)), 0)
      if (offered !== null) assert.equal(SSL_CTX_set_alpn_protos(clientCtx, Buffer.from(offered)), 0)
      return connect(serverCtx, clientCtx)
    }

    const selected = ({ server, client }: Pair) => [server, client].map((ssl) => String(SSL_get0_alpn_selected(ssl)))

    it("is selected by the server's preference", () => {
      assert.deepEqual(selected(negotiate('\x02h2\x08http/1.1', '\x08http/1.1\x02h2')), ['h2', 'h2'])
      assert.deepEqual(selected(negotiate('\x02h2\x08http/1.1', '\x08http/1.1')), ['http/1.1', 'http/1.1'])
    })

    it('stays with the session', () => {
      const pair = negotiate('\x02h2', '\x02h2')
      for (const ssl of [pair.server, pair.client]) {
        assert.equal(String(SSL_SESSION_get0_alpn_selected(present(SSL_get0_session(ssl)))), 'h2')
      }
    })

    it('is none when either side says nothing, and none after SSL_CTX_set_alpn_select_protos(ctx, null)', () => {
      assert.deepEqual(selected(negotiate(null, '\x02h2')), ['', ''])
      assert.deepEqual(selected(negotiate('\x02h2', null)), ['', ''])
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_alpn_protos(clientCtx, Buffer.from('\x03foo'))
      SSL_CTX_set_alpn_select_protos(serverCtx, Buffer.from('\x02h2'))
      SSL_CTX_set_alpn_select_protos(serverCtx, null)
      assert.deepEqual(selected(connect(serverCtx, clientCtx)), ['', ''])
    })

    it('that both sides know is needed: a client that has none in common is refused', () => {
      assert.throws(
        () => negotiate('\x02h2', '\x03foo'),
        (error) =>
          error instanceof HandshakeFailure && error.side === 'server' && error.reason === 'no application protocol',
      )
    })

    it('has to be well formed, on either side', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      for (const wrong of ['\x03h2', '\x00', 'h2']) {
        assert.notEqual(SSL_CTX_set_alpn_protos(clientCtx, Buffer.from(wrong)), 0)
        assert.notEqual(SSL_CTX_set_alpn_select_protos(serverCtx, Buffer.from(wrong)), 0)
      }
    })
  })
})
