// The get callback, answering at once: what it is asked, what its answers mean, and who owns the session it answers.
// Answers by promise are in get_promise.test.ts. These tests hold with and without async jobs.

import assert from 'node:assert/strict'
import {
  type GetSessionCallback,
  type SSL_CTX,
  SSL_CTX_free,
  SSL_CTX_remove_session,
  SSL_CTX_sess_cb_hits,
  SSL_CTX_sess_hits,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_sess_timeouts,
  SSL_CTX_set_max_proto_version,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_session_cache_mode,
  SSL_do_handshake,
  SSL_free,
  SSL_get_version,
  SSL_get0_session,
  SSL_is_server,
  SSL_SESS_CACHE_NO_INTERNAL_LOOKUP,
  SSL_SESS_CACHE_OFF,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_get0_ticket,
  SSL_SESSION_is_resumable,
  SSL_SESSION_new,
  SSL_SESSION_set_time,
  SSL_SESSION_set1_id_context,
  SSL_SESSION_up_ref,
  TLS1_2_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import { externalCache, restored } from '../support/external_cache.js'
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
import { Story, tellCaching, tellLookups } from '../support/story.js'
import { checksAnsweredId, checksAnsweredIsResumable } from '../support/versions.js'

/** An external cache, and a story in which its server and its session have names. */
function namedExternalCache(version: number) {
  const cache = externalCache(version)
  return { ...cache, story: new Story().call({ serverCtx: cache.serverCtx, session: cache.session }) }
}

/** A get callback whose answers TypeScript would not let pass. */
const answering = (answer: unknown) => (() => answer) as GetSessionCallback

describe('The get callback', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    it('is asked once, with the connection, the id that the client proposes, and copy at 1', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const pair = new Pair(serverCtx, clientCtx, ticket)
      let calls = 0
      SSL_CTX_sess_set_get_cb(serverCtx, (ssl, id, copy) => {
        calls++
        assert.equal(ssl, pair.server)
        assert.ok(Buffer.isBuffer(id))
        assert.equal(id.length, 32)
        assert.deepEqual(id, SSL_SESSION_get_id(session))
        assert.deepEqual(id, version === TLS1_2_VERSION ? SSL_SESSION_get_id(ticket) : SSL_SESSION_get0_ticket(ticket))
        assert.deepEqual(copy, { value: 1 })
        return null
      })
      pair.handshake()
      assert.equal(calls, 1)
    })

    it('is not asked when the internal cache has the session', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const tickets = tellCaching(new Story(), clientCtx, 1)
      connect(serverCtx, clientCtx).close()
      tellLookups(story, serverCtx)
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, true)
      story.expect()
      assert.equal(SSL_CTX_sess_hits(serverCtx), 1)
    })

    it('is asked though the internal cache has the session when that is not to be searched', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const tickets = tellCaching(new Story(), clientCtx, 1)
      const sessions = tellCaching(story, serverCtx, 1)
      SSL_CTX_set_num_tickets(serverCtx, 1)
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL_LOOKUP)
      connect(serverCtx, clientCtx).close()
      tellLookups(story, serverCtx)
      story.expect('new ssl1 session1')
      const pair = connect(serverCtx, clientCtx, present(tickets[0]))
      assert.equal(pair.reused, false)
      story.expect('get ssl2 id(session1)', 'new ssl2 session2')
      assert.equal(SSL_CTX_remove_session(serverCtx, present(sessions[0])), 1)
    })

    it('is asked even when caching is off', () => {
      const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_OFF)
      tellLookups(story, serverCtx, () => session)
      assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
      story.expect('get ssl1 id(session)')
    })

    it('is not asked when the client proposes nothing', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_max_proto_version(clientCtx, version)
      tellLookups(story, serverCtx)
      connect(serverCtx, clientCtx)
      story.expect()
    })

    it('is never asked on a client', () => {
      const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
      tellLookups(story, clientCtx)
      SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
        assert.equal(SSL_is_server(ssl), 1)
        return session
      })
      assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
      story.expect()
    })

    for (const answer of [null, undefined]) {
      it(`brings about a full handshake when it answers ${answer}`, () => {
        const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => answer)
        tellCaching(story, serverCtx, 0)
        const pair = connect(serverCtx, clientCtx, ticket)
        story.call({ server: pair.server })
        assert.equal(pair.reused, false)
        story.expect('new ssl1 session1')
        assert.deepEqual([SSL_CTX_sess_hits(serverCtx), SSL_CTX_sess_cb_hits(serverCtx)], [0, 0])
        assert.equal(SSL_SESSION_is_resumable(session), 1)
      })
    }

    it('resumes the session that it answers', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      const pair = connect(serverCtx, clientCtx, ticket)
      assert.equal(pair.reused, true)
      assert.deepEqual([SSL_CTX_sess_hits(serverCtx), SSL_CTX_sess_cb_hits(serverCtx)], [1, 1])
    })

    it('has its answer put into the internal cache, so that it is not asked again', () => {
      const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER)
      SSL_CTX_set_num_tickets(serverCtx, 0)
      tellLookups(story, serverCtx, () => session)
      const again = keep(present(SSL_SESSION_dup(ticket)))
      connect(serverCtx, clientCtx, ticket).close()
      story.expect('get ssl1 id(session)')
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(connect(serverCtx, clientCtx, again).reused, true)
      story.expect()
    })

    it('has its answer kept out of the internal cache that is not to be filled', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      connect(serverCtx, clientCtx, ticket).close()
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
    })

    describe('with copy', () => {
      for (const [how, value] of [
        ['left alone', undefined],
        ['set to 1', 1],
      ] as const) {
        it(`${how} keeps its reference, and has to free it`, () => {
          const { serverCtx, clientCtx, session, ticket } = externalCache(version)
          SSL_CTX_set_num_tickets(serverCtx, 0)
          const answer = restored(session)
          SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
            if (value !== undefined) copy.value = value
            return answer
          })
          const pair = connect(serverCtx, clientCtx, ticket)
          assert.equal(pair.reused, true)
          assert.equal(SSL_get0_session(pair.server), answer)
          assert.equal(SSL_SESSION_get_id(answer).length, 32)
          pair.close()
          const alive = live('SSL_SESSION')
          SSL_SESSION_free(answer)
          assert.equal(live('SSL_SESSION'), alive - 1)
        })
      }

      it('set to 0 hands its reference over', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_set_num_tickets(serverCtx, 0)
        const [alive, ownedBefore] = [live('SSL_SESSION'), owned('SSL_SESSION')]
        let answer: SSL_SESSION | undefined
        SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
          copy.value = 0
          answer = restored(session)
          return answer
        })
        const pair = connect(serverCtx, clientCtx, ticket)
        assert.equal(pair.reused, true)
        assert.ok(answer)
        const given = answer
        assert.equal(owned('SSL_SESSION'), ownedBefore)
        assert.equal(live('SSL_SESSION'), alive + 1)
        assert.throws(() => SSL_SESSION_get_id(given), { code: 'ERR_HANDLE_FREED' })
        assert.throws(() => SSL_SESSION_free(given), { code: 'ERR_HANDLE_FREED' })
        // OpenSSL has the session still: asked for, it comes back as the same object.
        assert.equal(SSL_get0_session(pair.server), given)
        assert.deepEqual(SSL_SESSION_get_id(given), SSL_SESSION_get_id(session))
        assert.throws(() => SSL_SESSION_free(given), { code: 'ERR_NOT_OWNED' })
        pair.close()
        assert.equal(live('SSL_SESSION'), alive)
      })

      it('set to 0 hands over one reference of several', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_SESSION_up_ref(session)
        const ownedBefore = owned('SSL_SESSION')
        SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
          copy.value = 0
          return session
        })
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
        assert.equal(owned('SSL_SESSION'), ownedBefore - 1)
        assert.equal(SSL_SESSION_get_id(session).length, 32)
      })

      it('set to 0 cannot hand over a reference that is not its own', () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        const lender = connect(serverCtx, clientCtx)
        SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
          copy.value = 0
          return SSL_get0_session(lender.server)
        })
        const pair = new Pair(serverCtx, clientCtx, ticket)
        assert.throws(() => pair.handshake(), { code: 'ERR_NOT_OWNED' })
        assert.equal(pair.handshake().reused, false)
        assert.equal(SSL_SESSION_is_resumable(present(SSL_get0_session(lender.server))), 1)
      })

      it('left alone may answer a session that it has borrowed', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_set_num_tickets(serverCtx, 0)
        SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
          copy.value = 0
          return restored(session)
        })
        const again = keep(present(SSL_SESSION_dup(ticket)))
        const lender = connect(serverCtx, clientCtx, ticket)
        SSL_CTX_sess_set_get_cb(serverCtx, () => SSL_get0_session(lender.server))
        const pair = connect(serverCtx, clientCtx, again)
        assert.equal(pair.reused, true)
        assert.equal(SSL_get0_session(pair.server), SSL_get0_session(lender.server))
        SSL_CTX_sess_set_get_cb(serverCtx, null)
      })
    })

    describe('makes it a full handshake when it answers', () => {
      it('a session that is not resumable', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_remove_session(serverCtx, session)
        if (!checksAnsweredIsResumable) {
          SSL_CTX_sess_set_get_cb(serverCtx, () => session)
          assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
          return
        }
        for (const copied of [1, 0]) {
          SSL_SESSION_up_ref(session)
          const ownedBefore = owned('SSL_SESSION')
          SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
            copy.value = copied
            return session
          })
          assert.equal(connect(serverCtx, clientCtx, ticket).reused, false)
          assert.equal(owned('SSL_SESSION'), ownedBefore - (copied === 0 ? 1 : 0))
          if (copied === 1) SSL_SESSION_free(session)
        }
        assert.equal(SSL_CTX_sess_cb_hits(serverCtx), 0)
      })

      it('an expired session, which TLS 1.2 then removes', () => {
        const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
        SSL_SESSION_set_time(session, 1000)
        tellLookups(story, serverCtx, () => session)
        SSL_CTX_sess_set_remove_cb(serverCtx, (ctx, removed) => story.tell('remove', ctx, removed))
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, false)
        story.expect('get ssl1 id(session)', ...(version === TLS1_2_VERSION ? ['remove serverCtx session'] : []))
        assert.equal(SSL_SESSION_is_resumable(session), version === TLS1_2_VERSION ? 0 : 1)
        assert.equal(SSL_CTX_sess_timeouts(serverCtx), 1)
        assert.equal(SSL_CTX_sess_hits(serverCtx), 0)
      })

      it('a session of another session id context', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_SESSION_set1_id_context(session, Buffer.from('other'))
        SSL_CTX_sess_set_get_cb(serverCtx, () => session)
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, false)
      })
    })

    it('fails the handshake when it answers another session than the one asked for, or does not resume it, by version', () => {
      const { serverCtx, clientCtx, ticket } = externalCache(version)
      const sessions = tellCaching(new Story(), serverCtx, 1)
      connect(serverCtx, clientCtx).close()
      SSL_CTX_sess_set_get_cb(serverCtx, () => present(sessions[0]))
      if (version === TLS1_2_VERSION && checksAnsweredId) {
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, false)
        return
      }
      assert.throws(
        () => connect(serverCtx, clientCtx, ticket),
        (error) => error instanceof HandshakeFailure,
      )
    })

    describe('costs one error and a full handshake when it answers', () => {
      /** Has a resumption fail with `code`, and the same handshake go on in full. */
      function expectError(serverCtx: SSL_CTX, clientCtx: SSL_CTX, ticket: SSL_SESSION, code: string) {
        const ownedBefore = owned('SSL_SESSION')
        const pair = new Pair(serverCtx, clientCtx, ticket)
        assert.throws(() => pair.handshake(), { code })
        assert.equal(pair.handshake().reused, false)
        assert.equal(owned('SSL_SESSION'), ownedBefore)
        assert.equal(SSL_CTX_sess_cb_hits(serverCtx), 0)
      }

      it('a session of another context', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        const foreign = externalCache(version).session
        for (const value of [1, 0]) {
          SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
            copy.value = value
            return foreign
          })
          expectError(serverCtx, clientCtx, ticket, 'ERR_WRONG_CONTEXT')
        }
        SSL_CTX_sess_set_get_cb(serverCtx, () => keep(present(SSL_SESSION_dup(session))))
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
      })

      it('a session that has been freed', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => {
          const answer = restored(session)
          SSL_SESSION_free(answer)
          return answer
        })
        expectError(serverCtx, clientCtx, ticket, 'ERR_HANDLE_FREED')
      })

      it('an empty session', () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        const empty = keep(present(SSL_SESSION_new()))
        SSL_CTX_sess_set_get_cb(serverCtx, () => empty)
        expectError(serverCtx, clientCtx, ticket, 'ERR_INVALID_RETURN_VALUE')
      })

      for (const answer of [0, 1, true, 'session', Symbol('session'), {}, [], () => null, Buffer.alloc(8)]) {
        it(`something that is no session: ${Buffer.isBuffer(answer) ? 'a Buffer' : typeof answer} ${String(answer)}`, () => {
          const { serverCtx, clientCtx, ticket } = externalCache(version)
          SSL_CTX_sess_set_get_cb(serverCtx, answering(answer))
          expectError(serverCtx, clientCtx, ticket, 'ERR_INVALID_RETURN_VALUE')
        })
      }

      it('a handle of another class', () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, answering(clientCtx))
        expectError(serverCtx, clientCtx, ticket, 'ERR_INVALID_RETURN_VALUE')
      })

      it('nothing, because it throws', () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => {
          throw Object.assign(new Error('the store is on fire'), { code: 'ERR_FIRE' })
        })
        expectError(serverCtx, clientCtx, ticket, 'ERR_FIRE')
      })

      it('with a copy that throws when it is read', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, _id, copy) => {
          Object.defineProperty(copy, 'value', {
            get: () => {
              throw Object.assign(new Error('no'), { code: 'ERR_NO' })
            },
          })
          return session
        })
        expectError(serverCtx, clientCtx, ticket, 'ERR_NO')
      })
    })

    describe('may', () => {
      it('free its connection', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        for (const answer of [null, session]) {
          const pair = new Pair(serverCtx, clientCtx, ticket)
          SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
            SSL_free(ssl)
            return answer
          })
          SSL_do_handshake(pair.client)
          transfer(pair.client, pair.server)
          const connections = live('SSL')
          assert.equal(SSL_do_handshake(pair.server), -1)
          assert.equal(live('SSL'), connections - 1)
          assert.throws(() => SSL_get_version(pair.server), { code: 'ERR_HANDLE_FREED' })
        }
      })

      it('free its connection and answer nevertheless: copy 0 gives the reference up all the same', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        for (const value of [1, 0]) {
          const answer = restored(session)
          const pair = new Pair(serverCtx, clientCtx, ticket)
          SSL_CTX_sess_set_get_cb(serverCtx, (ssl, _id, copy) => {
            SSL_free(ssl)
            copy.value = value
            return answer
          })
          SSL_do_handshake(pair.client)
          transfer(pair.client, pair.server)
          const alive = live('SSL_SESSION')
          assert.equal(SSL_do_handshake(pair.server), -1)
          if (value === 1) SSL_SESSION_free(answer)
          else assert.throws(() => SSL_SESSION_free(answer), { code: 'ERR_HANDLE_FREED' })
          assert.equal(live('SSL_SESSION'), alive - 1)
        }
      })

      it('free its context, which the connection keeps for itself', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => {
          SSL_CTX_free(serverCtx)
          return session
        })
        const contexts = live('SSL_CTX')
        const pair = connect(serverCtx, clientCtx, ticket)
        assert.equal(pair.reused, true)
        pair.close()
        assert.equal(live('SSL_CTX'), contexts - 1)
      })

      it('do a whole handshake, with a lookup of its own, on the same context', () => {
        const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
        const [outer, inner] = [
          new Pair(serverCtx, clientCtx, ticket),
          new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket)))),
        ]
        story.call({ outer: outer.server, inner: inner.server })
        SSL_CTX_sess_set_get_cb(serverCtx, (ssl, id) => {
          story.tell('get', ssl, id)
          if (ssl === outer.server) {
            inner.handshake()
            story.tell('back')
          }
          return session
        })
        outer.handshake()
        story.expect('get outer id(session)', 'get inner id(session)', 'back')
        assert.deepEqual([outer.reused, inner.reused], [true, true])
      })

      it('clear or replace itself', () => {
        const { story, serverCtx, clientCtx, session, ticket } = namedExternalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, (ssl, id) => {
          story.tell('first', ssl, id)
          tellLookups(story, serverCtx)
          return session
        })
        const again = keep(present(SSL_SESSION_dup(ticket)))
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
        assert.equal(connect(serverCtx, clientCtx, again).reused, false)
        story.expect('first ssl1 id(session)', 'get ssl2 id(session)')
      })

      it('answer sessions to many connections that ask at the same time', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => session)
        const pairs = Array.from(
          { length: 20 },
          () => new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket)))),
        )
        for (const { client, server } of pairs) {
          SSL_do_handshake(client)
          transfer(client, server)
        }
        for (const { server } of pairs) SSL_do_handshake(server)
        for (const pair of pairs) assert.equal(pair.handshake().reused, true)
      })
    })
  })

  it('is asked for a random id of 32 bytes by a client that could do TLS 1.3, when the server has TLS 1.2 only', () => {
    const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION), clientContext()]
    const ids: Buffer[] = []
    SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, id) => {
      ids.push(id)
      return null
    })
    for (let i = 0; i < 2; i++) assert.equal(connect(serverCtx, clientCtx).reused, false)
    assert.deepEqual(
      ids.map((id) => id.length),
      [32, 32],
    )
    assert.notDeepEqual(ids[0], ids[1])
  })
})
