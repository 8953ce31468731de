// What the man pages say between the lines, or do not say, about the three callbacks and the cache: exceptions to "always",
// and recommendations that must work when they are followed. The main story of each callback is in its own file.

import assert from 'node:assert/strict'
import {
  d2i_SSL_SESSION,
  i2d_SSL_SESSION,
  SSL_CTX_add_session,
  SSL_CTX_flush_sessions,
  SSL_CTX_remove_session,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_session_cache_mode,
  SSL_CTX_set_session_id_context,
  SSL_CTX_set_verify_continue,
  SSL_do_handshake,
  SSL_SESS_CACHE_SERVER,
  SSL_SESS_CACHE_UPDATE_TIME,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_get_id,
  SSL_SESSION_get_time,
  SSL_SESSION_is_resumable,
  SSL_SESSION_new,
  SSL_SESSION_set_time,
  SSL_SESSION_set1_id,
  SSL_SESSION_up_ref,
  SSL_VERIFY_PEER,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import { externalCache, restored } from '../support/external_cache.js'
import {
  clientContext,
  connect,
  inEachProtocol,
  keep,
  Pair,
  present,
  serverContext,
  transfer,
} from '../support/peers.js'
import { Story, tellCaching, tellLookups } from '../support/story.js'
import { atLeast } from '../support/versions.js'

const again = (ticket: SSL_SESSION): SSL_SESSION => keep(present(SSL_SESSION_dup(ticket)))

describe('The fine print of', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    describe('the new callback', () => {
      it('keeps it from a server that asks for certificates and has no session id context', () => {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        const story = new Story()
        tellCaching(story, serverCtx, 0)
        SSL_CTX_set_verify_continue(serverCtx, SSL_VERIFY_PEER)
        SSL_CTX_set_session_id_context(serverCtx, Buffer.alloc(0))
        connect(serverCtx, clientCtx).close()
        story.expect()
        assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      })
    })

    describe('the get callback', () => {
      it('keeps it from tickets that hold their session, whether or not the server can open them', () => {
        const [issuer, stranger, clientCtx] = [
          serverContext(version, 'stateless'),
          serverContext(version, 'stateless'),
          clientContext(),
        ]
        const tickets = tellCaching(new Story(), clientCtx, 1)
        connect(issuer, clientCtx).close()
        const ticket = present(tickets[0])
        const story = new Story()
        tellLookups(story, issuer)
        tellLookups(story, stranger)
        assert.equal(connect(stranger, clientCtx, again(ticket)).reused, false)
        assert.equal(connect(issuer, clientCtx, again(ticket)).reused, true)
        story.expect()
      })
    })

    describe('the remove callback', () => {
      it('keeps it from a session whose resumption ends in the middle, without an alert: it can be tried again', () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        const story = new Story()
        tellCaching(story, serverCtx, 0)
        tellLookups(new Story(), serverCtx, () => session)
        const pair = new Pair(serverCtx, clientCtx, again(ticket))
        SSL_do_handshake(pair.client)
        transfer(pair.client, pair.server)
        SSL_do_handshake(pair.server)
        pair.drop()
        story.expect()
        assert.equal(SSL_SESSION_is_resumable(session), 1)
        assert.equal(connect(serverCtx, clientCtx, again(ticket)).reused, true)
      })

      it('takes no answer: whatever it returns is ignored', () => {
        const { serverCtx, session } = externalCache(version)
        let calls = 0
        for (const answer of [0, false, null, 'text', session, Promise.resolve(session)]) {
          SSL_CTX_sess_set_remove_cb(serverCtx, (() => {
            calls++
            return answer
          }) as () => void)
          const added = keep(restored(session))
          SSL_CTX_add_session(serverCtx, added)
          assert.equal(SSL_CTX_remove_session(serverCtx, added), 1)
          assert.equal(SSL_CTX_sess_number(serverCtx), 0)
          assert.equal(SSL_SESSION_is_resumable(added), 0)
        }
        assert.equal(calls, 6)
      })
    })

    describe('the three callbacks', () => {
      it('is enough for a cache that holds nothing but DER, and serves several servers', () => {
        const stored = new Map<string, Buffer>()
        const key = (session: SSL_SESSION) => SSL_SESSION_get_id(session).toString('hex')
        const servers = [serverContext(version), serverContext(version)] as const
        for (const ctx of servers) {
          SSL_CTX_set_num_tickets(ctx, 1)
          SSL_CTX_sess_set_new_cb(
            ctx,
            (_ssl, session) => void stored.set(key(session), present(i2d_SSL_SESSION(session))),
          )
          SSL_CTX_sess_set_remove_cb(ctx, (_ctx, session) => void stored.delete(key(session)))
          SSL_CTX_sess_set_get_cb(ctx, (_ssl, id, copy) => {
            const der = stored.get(id.toString('hex'))
            // The decoded session is handed over, so that nothing is left to be freed.
            copy.value = 0
            return der === undefined ? null : d2i_SSL_SESSION(der)
          })
        }
        const clientCtx = clientContext()
        const tickets = tellCaching(new Story(), clientCtx, 1)
        connect(servers[0], clientCtx).close()
        assert.equal(stored.size, 1)
        const ticket = present(tickets[0])
        const resumed = connect(servers[1], clientCtx, again(ticket))
        assert.equal(resumed.reused, true)
        resumed.close()
        for (const ctx of servers) SSL_CTX_flush_sessions(ctx, 0)
        assert.equal(stored.size, 0)
        assert.equal(connect(servers[1], clientCtx, again(ticket)).reused, false)
      })
    })

    describe('SSL_CTX_add_session', () => {
      it('renews the time of the object that is there already with UPDATE_TIME, and so is no no-op then', () => {
        const { serverCtx, session } = externalCache(version)
        SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER)
        SSL_CTX_add_session(serverCtx, session)
        SSL_SESSION_set_time(session, 1000)
        assert.equal(SSL_CTX_add_session(serverCtx, session), 0)
        assert.equal(SSL_SESSION_get_time(session), 1000)
        if (SSL_SESS_CACHE_UPDATE_TIME === undefined) return assert.ok(!atLeast(3, 0))
        SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_UPDATE_TIME)
        assert.equal(SSL_CTX_add_session(serverCtx, session), 0)
        assert.ok(Math.abs(SSL_SESSION_get_time(session) - Date.now() / 1000) < 60)
      })
    })

    describe('SSL_CTX_remove_session', () => {
      it('has one reference given up, that of the cache: who has another keeps the session', () => {
        const { serverCtx, session } = externalCache(version)
        const added = keep(restored(session))
        SSL_SESSION_up_ref(added)
        keep(added)
        SSL_CTX_add_session(serverCtx, added)
        assert.equal(SSL_CTX_remove_session(serverCtx, added), 1)
        assert.equal(SSL_CTX_remove_session(serverCtx, added), 0)
        assert.deepEqual(SSL_SESSION_get_id(added), SSL_SESSION_get_id(session))
      })

      it('takes a session out of use after its first use, when a server calls it then', () => {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        SSL_CTX_set_num_tickets(serverCtx, 1)
        const sessions = tellCaching(new Story(), serverCtx, 1)
        const tickets = tellCaching(new Story(), clientCtx, 1)
        connect(serverCtx, clientCtx).close()
        const [session, ticket] = [present(sessions[0]), present(tickets[0])]
        const first = connect(serverCtx, clientCtx, again(ticket))
        assert.equal(first.reused, true)
        assert.equal(SSL_CTX_remove_session(serverCtx, session), 1)
        first.close()
        assert.equal(connect(serverCtx, clientCtx, again(ticket)).reused, false)
      })
    })
  })

  describe('the get callback', () => {
    it('gives it ids as short as clients of TLS 1.2 propose them', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(TLS1_2_VERSION)
      for (const length of [1, 5, 31, 32]) {
        const id = Buffer.alloc(length, length)
        const [theirs, ours] = [again(ticket), keep(restored(session))]
        for (const each of [theirs, ours]) assert.equal(SSL_SESSION_set1_id(each, id), 1)
        const asked: Buffer[] = []
        SSL_CTX_sess_set_get_cb(serverCtx, (_ssl, proposed) => {
          asked.push(proposed)
          return ours
        })
        assert.equal(connect(serverCtx, clientCtx, theirs).reused, true)
        assert.deepEqual(asked, [id])
      }
    })

    it('lets a client use a TLS 1.3 session again unless somebody removes it', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(TLS1_3_VERSION)
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      for (let i = 0; i < 2; i++) assert.equal(connect(serverCtx, clientCtx, again(ticket)).reused, true)
    })
  })

  describe('SSL_CTX_remove_session', () => {
    it('does nothing at all to a session without an id', () => {
      const serverCtx = serverContext(TLS1_2_VERSION)
      const story = new Story()
      tellCaching(story, serverCtx, 0)
      const session = keep(present(SSL_SESSION_new()))
      assert.equal(SSL_CTX_remove_session(serverCtx, session), 0)
      story.expect()
      SSL_SESSION_set1_id(session, Buffer.from('now it has one'))
      assert.equal(SSL_SESSION_is_resumable(session), 1)
    })
  })
})
