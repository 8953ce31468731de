// The certificate callback: when a handshake asks for certificates, how a server picks them by name (SNI), and how it
// takes its time over it.

import assert from 'node:assert/strict'
import { setImmediate, setTimeout } from 'node:timers/promises'
import {
  type CertCallback,
  type SSL,
  type SSL_CTX,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_set_cert_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_verify,
  SSL_CTX_set_verify_continue,
  SSL_CTX_use_certificate_file,
  SSL_CTX_use_PrivateKey_file,
  SSL_clear,
  SSL_do_handshake,
  SSL_ERROR_WANT_X509_LOOKUP,
  SSL_FILETYPE_PEM,
  SSL_free,
  SSL_get_certificate,
  SSL_get_error,
  SSL_get_SSL_CTX,
  SSL_get_servername,
  type SSL_get0_session,
  SSL_get1_peer_certificate,
  SSL_set_SSL_CTX,
  SSL_set_tlsext_host_name,
  SSL_VERIFY_PEER,
  SSL_waiting_for_async,
  SSL_waiting_session,
  SSL_want,
  SSL_X509_LOOKUP,
  TLSEXT_NAMETYPE_host_name,
  X509_cmp,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live } from '../support/accounts.js'
import { certs, type Identity } from '../support/certs.js'
import { externalCache } from '../support/external_cache.js'
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
import { Story } from '../support/story.js'

/** A server's context that shows a certificate of the tests' authority. */
function contextWith(version: number, identity: Identity): SSL_CTX {
  const ctx = serverContext(version)
  assert.equal(SSL_CTX_use_certificate_file(ctx, identity.certFile, SSL_FILETYPE_PEM), 1)
  assert.equal(SSL_CTX_use_PrivateKey_file(ctx, identity.keyFile, SSL_FILETYPE_PEM), 1)
  return ctx
}

/** Whether the client has been shown the certificate of this context. */
function wasShown(client: SSL, ctx: SSL_CTX): boolean {
  const probe = connect(ctx, clientContext())
  const [seen, its] = [client, probe.client].map((ssl) => keep(present(SSL_get1_peer_certificate(ssl))))
  probe.close()
  return X509_cmp(present(seen), present(its)) === 0
}

/** A connection that asks for a host by name, with the ClientHello on its way. */
function asking(serverCtx: SSL_CTX, clientCtx: SSL_CTX, name: string): Pair {
  const pair = new Pair(serverCtx, clientCtx)
  SSL_set_tlsext_host_name(pair.client, name)
  return pair
}

const nameOf = (ssl: SSL) => SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)

describe('The certificate callback', () => {
  leaveNothingBehind()
  before(() => void certs())

  inEachProtocol((version) => {
    it('is called once, on a server, when the name that the client asks for is known', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_cert_cb(serverCtx, (ssl) => story.tell('cert', ssl, nameOf(ssl)))
      const pair = asking(serverCtx, clientCtx, 'a.example.com')
      story.call({ server: pair.server })
      pair.handshake()
      story.expect('cert server a.example.com')
    })

    it('may switch the connection to the context of the name, whose certificate the client is shown', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const byName = new Map([
        ['a.example.com', contextWith(version, certs().a)],
        ['b.example.org', contextWith(version, certs().wildcard)],
      ])
      SSL_CTX_set_cert_cb(serverCtx, (ssl) => {
        const ctx = byName.get(nameOf(ssl) ?? '')
        if (ctx !== undefined) assert.equal(SSL_set_SSL_CTX(ssl, ctx), ctx)
      })
      for (const [name, ctx] of [...byName, ['unknown.example.net', serverCtx] as const]) {
        const pair = asking(serverCtx, clientCtx, name).handshake()
        assert.equal(SSL_get_SSL_CTX(pair.server), ctx)
        assert.ok(wasShown(pair.client, ctx), name)
      }
    })

    it('leaves the session callbacks and the cache of the first context in charge when it switches', () => {
      const story = new Story()
      const [serverCtx, clientCtx, other] = [serverContext(version), clientContext(), contextWith(version, certs().a)]
      SSL_CTX_set_num_tickets(serverCtx, 1)
      SSL_CTX_set_cert_cb(serverCtx, (ssl) => void SSL_set_SSL_CTX(ssl, other))
      SSL_CTX_sess_set_new_cb(serverCtx, (ssl, session) => story.tell('new', ssl, session))
      SSL_CTX_sess_set_new_cb(other, () => story.tell('wrong'))
      const tickets: ReturnType<typeof SSL_get0_session>[] = []
      SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, session) => tickets.push(keep(session)))
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, true)
    })

    it('is not called when a session is resumed, for that needs no certificate', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      let calls = 0
      SSL_CTX_set_cert_cb(serverCtx, () => void calls++)
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
      assert.equal(calls, 0)
    })

    it('is called after the get callback has found nothing', async () => {
      for (const answer of [null, Promise.resolve(null)]) {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        const story = new Story()
        SSL_CTX_sess_set_get_cb(serverCtx, () => {
          story.tell('get')
          return answer
        })
        SSL_CTX_set_cert_cb(serverCtx, async () => {
          await setTimeout(1)
          story.tell('cert')
        })
        const pair = await new Pair(serverCtx, clientCtx, ticket).handshakeAwaiting()
        assert.equal(pair.reused, false)
        story.expect('get', 'cert')
      }
    })

    for (const answer of [1, true, undefined]) {
      it(`lets the handshake go on by answering ${answer}, at once or by a promise`, async () => {
        for (const callback of [() => answer, async () => answer]) {
          const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
          SSL_CTX_set_cert_cb(serverCtx, callback)
          await new Pair(serverCtx, clientCtx).handshakeAwaiting()
        }
      })
    }

    for (const answer of [0, false]) {
      it(`fails the handshake with an alert by answering ${answer}, at once or by a promise`, async () => {
        for (const callback of [() => answer, async () => answer]) {
          const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
          SSL_CTX_set_cert_cb(serverCtx, callback)
          const pair = new Pair(serverCtx, clientCtx)
          await assert.rejects(pair.handshakeAwaiting(), { side: 'server', reason: 'cert cb error' })
          assert.ok(transfer(pair.server, pair.client) > 0)
          assert.throws(
            () => pair.handshake(),
            (error) => error instanceof HandshakeFailure && /alert internal error/.test(error.reason),
          )
        }
      })
    }

    it('fails the handshake when it throws: the exception comes out of the call, the alert goes out with the next', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const failure = new Error('no such host')
      SSL_CTX_set_cert_cb(serverCtx, () => {
        throw failure
      })
      const pair = new Pair(serverCtx, clientCtx)
      assert.throws(
        () => pair.handshake(),
        (error) => error === failure,
      )
      assert.throws(() => pair.handshake(), { side: 'server', reason: 'cert cb error' })
    })

    it('fails the handshake when its promise is broken: the reason comes out of the next call', async () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const failure = new Error('no such host')
      SSL_CTX_set_cert_cb(serverCtx, () => Promise.reject(failure))
      const pair = new Pair(serverCtx, clientCtx)
      await assert.rejects(pair.handshakeAwaiting(), (error) => error === failure)
      assert.throws(() => pair.handshake(), { side: 'server', reason: 'cert cb error' })
    })

    it('fails the handshake by answering nonsense, at once or by a promise', async () => {
      for (const nonsense of ['yes', {}, Symbol('yes'), null]) {
        for (const callback of [() => nonsense, async () => nonsense]) {
          const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
          SSL_CTX_set_cert_cb(serverCtx, callback as unknown as CertCallback)
          const pair = new Pair(serverCtx, clientCtx)
          await assert.rejects(pair.handshakeAwaiting(), { name: 'TypeError', code: 'ERR_INVALID_RETURN_VALUE' })
          assert.throws(() => pair.handshake(), { side: 'server', reason: 'cert cb error' })
        }
      }
    })

    it('pauses the handshake with a promise, during which it may switch the context', async () => {
      const [serverCtx, clientCtx, other] = [serverContext(version), clientContext(), contextWith(version, certs().a)]
      let calls = 0
      let find: () => void = () => {}
      const found = new Promise<void>((resolve) => {
        find = resolve
      })
      SSL_CTX_set_cert_cb(serverCtx, async (ssl) => {
        calls++
        await found
        SSL_set_SSL_CTX(ssl, other)
      })
      const pair = asking(serverCtx, clientCtx, 'a.example.com')
      SSL_do_handshake(pair.client)
      transfer(pair.client, pair.server)
      for (let again = 0; again < 2; again++) {
        const result = SSL_do_handshake(pair.server)
        assert.equal(result, -1)
        assert.equal(SSL_get_error(pair.server, result), SSL_ERROR_WANT_X509_LOOKUP)
        assert.equal(SSL_want(pair.server), SSL_X509_LOOKUP)
        assert.equal(SSL_waiting_for_async(pair.server), 0)
      }
      let waited = false
      const waiting = SSL_waiting_session(pair.server).then(() => {
        waited = true
      })
      await setImmediate()
      assert.equal(waited, false)
      find()
      await waiting
      pair.handshake()
      assert.equal(calls, 1)
      assert.ok(wasShown(pair.client, other))
    })

    it('whose promise is never kept leaves nothing behind when the connection is freed or cleared', async () => {
      const connections = live('SSL')
      for (const end of [SSL_free, SSL_clear]) {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        SSL_CTX_set_cert_cb(serverCtx, () => new Promise(() => {}))
        const pair = new Pair(serverCtx, clientCtx)
        SSL_do_handshake(pair.client)
        transfer(pair.client, pair.server)
        assert.equal(SSL_do_handshake(pair.server), -1)
        const waiting = SSL_waiting_session(pair.server)
        end(pair.server)
        assert.equal(await waiting, undefined)
        SSL_free(pair.client)
        if (end === SSL_clear) SSL_free(pair.server)
      }
      assert.equal(live('SSL'), connections)
    })

    it('may free its connection', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_cert_cb(serverCtx, (ssl) => SSL_free(ssl))
      const pair = new Pair(serverCtx, clientCtx)
      SSL_do_handshake(pair.client)
      transfer(pair.client, pair.server)
      assert.equal(SSL_do_handshake(pair.server), -1)
      assert.throws(() => SSL_do_handshake(pair.server), { code: 'ERR_HANDLE_FREED' })
    })

    it('may do a whole handshake of its own', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const [outer, inner] = [new Pair(serverCtx, clientCtx), new Pair(serverCtx, clientCtx)]
      SSL_CTX_set_cert_cb(serverCtx, (ssl) => {
        if (ssl === outer.server) inner.handshake()
      })
      outer.handshake()
      assert.deepEqual([outer.reused, inner.reused], [false, false])
    })

    it('is asked again for each handshake, until it is cleared', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const seen: SSL[] = []
      SSL_CTX_set_cert_cb(serverCtx, (ssl) => void seen.push(ssl))
      const pairs = [connect(serverCtx, clientCtx), connect(serverCtx, clientCtx)]
      assert.deepEqual([seen.length, ...pairs.map(({ server }, index) => seen[index] === server)], [2, true, true])
      SSL_CTX_set_cert_cb(serverCtx, null)
      connect(serverCtx, clientCtx)
      assert.equal(seen.length, 2)
    })

    it('is called on a client when the server asks for its certificate, which it may then choose', async () => {
      const { certFile, keyFile } = certs().client
      for (const wait of [false, true]) {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        SSL_CTX_set_verify_continue(serverCtx, SSL_VERIFY_PEER)
        const identity = keep(clientContext())
        SSL_CTX_use_certificate_file(identity, certFile, SSL_FILETYPE_PEM)
        SSL_CTX_use_PrivateKey_file(identity, keyFile, SSL_FILETYPE_PEM)
        SSL_CTX_set_cert_cb(clientCtx, (ssl) => {
          SSL_set_SSL_CTX(ssl, identity)
          return wait ? setTimeout(1, true) : undefined
        })
        const pair = new Pair(serverCtx, clientCtx)
        SSL_do_handshake(pair.client)
        transfer(pair.client, pair.server)
        SSL_do_handshake(pair.server)
        transfer(pair.server, pair.client)
        if (wait) {
          const result = SSL_do_handshake(pair.client)
          assert.equal(SSL_get_error(pair.client, result), SSL_ERROR_WANT_X509_LOOKUP)
          await SSL_waiting_session(pair.client)
        }
        pair.handshake()
        const seen = keep(present(SSL_get1_peer_certificate(pair.server)))
        assert.equal(X509_cmp(seen, present(SSL_get_certificate(pair.client))), 0)
      }
    })

    it('is not called on a client whose certificate nobody asks for', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      let calls = 0
      SSL_CTX_set_cert_cb(clientCtx, () => void calls++)
      SSL_CTX_set_verify(clientCtx, 0)
      connect(serverCtx, clientCtx)
      assert.equal(calls, 0)
    })
  })
})
