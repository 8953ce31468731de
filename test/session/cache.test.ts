// The internal cache: adding and removing by hand, the modes that switch its parts off, and its counters.

import assert from 'node:assert/strict'
import {
  SSL_CTX_add_session,
  SSL_CTX_flush_sessions,
  SSL_CTX_get_session_cache_mode,
  SSL_CTX_remove_session,
  SSL_CTX_sess_accept,
  SSL_CTX_sess_accept_good,
  SSL_CTX_sess_accept_renegotiate,
  SSL_CTX_sess_cache_full,
  SSL_CTX_sess_cb_hits,
  SSL_CTX_sess_connect,
  SSL_CTX_sess_connect_good,
  SSL_CTX_sess_connect_renegotiate,
  SSL_CTX_sess_get_cache_size,
  SSL_CTX_sess_hits,
  SSL_CTX_sess_misses,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_cache_size,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_timeouts,
  SSL_CTX_set_cipher_list,
  SSL_CTX_set_ciphersuites,
  SSL_CTX_set_max_proto_version,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_session_cache_mode,
  SSL_do_handshake,
  SSL_get0_session,
  SSL_has_matching_session_id,
  SSL_SESS_CACHE_BOTH,
  SSL_SESS_CACHE_NO_AUTO_CLEAR,
  SSL_SESS_CACHE_NO_INTERNAL,
  SSL_SESS_CACHE_NO_INTERNAL_LOOKUP,
  SSL_SESS_CACHE_NO_INTERNAL_STORE,
  SSL_SESS_CACHE_SERVER,
  SSL_SESSION_CACHE_MAX_SIZE_DEFAULT,
  SSL_SESSION_dup,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_is_resumable,
  SSL_SESSION_new,
  SSL_SESSION_set_time,
  SSL_set_session,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live } from '../support/accounts.js'
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
import { Story, tellCaching } from '../support/story.js'

describe('SSL_CTX_add_session', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    it('returns 1 and takes a reference of its own', () => {
      const { serverCtx, session } = externalCache(version)
      const added = restored(session)
      const alive = live('SSL_SESSION')
      assert.equal(SSL_CTX_add_session(serverCtx, added), 1)
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      SSL_SESSION_free(added)
      assert.equal(live('SSL_SESSION'), alive)
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(live('SSL_SESSION'), alive - 1)
    })

    it('returns 0 for the object that is there already, and changes nothing', () => {
      const { serverCtx, session } = externalCache(version)
      const added = restored(session)
      assert.equal(SSL_CTX_add_session(serverCtx, added), 1)
      assert.equal(SSL_CTX_add_session(serverCtx, added), 0)
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(SSL_SESSION_is_resumable(added), 1)
      const alive = live('SSL_SESSION')
      SSL_SESSION_free(added)
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(live('SSL_SESSION'), alive - 1)
    })

    it('replaces another object with the same id, frees it, and calls no remove callback for it', () => {
      const { serverCtx, session } = externalCache(version)
      const story = new Story().call({ serverCtx, session })
      tellCaching(story, serverCtx, 0)
      const alive = live('SSL_SESSION')
      const old = restored(session)
      SSL_CTX_add_session(serverCtx, old)
      SSL_SESSION_free(old)
      assert.equal(live('SSL_SESSION'), alive + 1)
      assert.equal(SSL_CTX_add_session(serverCtx, session), 1)
      assert.equal(live('SSL_SESSION'), alive)
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      story.expect()
      SSL_CTX_flush_sessions(serverCtx, 0)
      story.expect('remove serverCtx session')
    })

    it('leaves a replaced object resumable for who still holds it', () => {
      const { serverCtx, session } = externalCache(version)
      const old = keep(restored(session))
      SSL_CTX_add_session(serverCtx, old)
      SSL_CTX_add_session(serverCtx, session)
      assert.equal(SSL_SESSION_is_resumable(old), 1)
      assert.equal(SSL_CTX_add_session(serverCtx, old), 1)
    })

    it('makes a session resumable without any lookup', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL_STORE)
      const again = keep(present(SSL_SESSION_dup(ticket)))
      assert.equal(connect(serverCtx, clientCtx, again).reused, false)
      SSL_CTX_add_session(serverCtx, session)
      const pair = connect(serverCtx, clientCtx, ticket)
      assert.equal(pair.reused, true)
      assert.equal(SSL_has_matching_session_id(pair.server, SSL_SESSION_get_id(session)), 1)
    })

    it('refuses a session of another context with ERR_WRONG_CONTEXT, and takes its duplicate', () => {
      const [one, other] = [externalCache(version), externalCache(version)]
      assert.equal(SSL_CTX_add_session(one.serverCtx, one.session), 1)
      assert.throws(() => SSL_CTX_add_session(other.serverCtx, one.session), {
        code: 'ERR_WRONG_CONTEXT',
        message: /SSL_SESSION_dup/,
      })
      assert.equal(SSL_CTX_sess_number(other.serverCtx), 0)
      assert.equal(SSL_CTX_sess_number(one.serverCtx), 1)
      const copy = keep(present(SSL_SESSION_dup(one.session)))
      assert.equal(SSL_CTX_add_session(other.serverCtx, copy), 1)
      assert.throws(() => SSL_CTX_add_session(one.serverCtx, copy), { code: 'ERR_WRONG_CONTEXT' })
    })

    it('is not deceived when a connection of another context has used the session', () => {
      const [one, other] = [externalCache(version), externalCache(version)]
      assert.equal(SSL_CTX_sess_number(one.clientCtx), 1)
      const pair = new Pair(one.serverCtx, other.clientCtx)
      SSL_set_session(pair.client, one.ticket)
      assert.equal(SSL_get0_session(pair.client), one.ticket)
      assert.throws(() => SSL_CTX_add_session(other.clientCtx, one.ticket), { code: 'ERR_WRONG_CONTEXT' })
      assert.equal(SSL_CTX_sess_number(one.clientCtx), 1)
    })
  })

  it('takes sessions without an id for one and the same', () => {
    const serverCtx = serverContext(TLS1_2_VERSION)
    const [one, other] = [keep(present(SSL_SESSION_new())), keep(present(SSL_SESSION_new()))]
    assert.equal(SSL_CTX_add_session(serverCtx, one), 1)
    assert.equal(SSL_CTX_add_session(serverCtx, other), 1)
    assert.equal(SSL_CTX_sess_number(serverCtx), 1)
    // By its id nothing can be found that has none.
    assert.equal(SSL_CTX_remove_session(serverCtx, other), 0)
    SSL_CTX_flush_sessions(serverCtx, 0)
    assert.equal(SSL_CTX_sess_number(serverCtx), 0)
  })
})

describe('The internal cache', () => {
  leaveNothingBehind()

  it('is on for servers by default, and holds 20480 sessions', () => {
    const ctx = serverContext(TLS1_3_VERSION)
    assert.equal(SSL_CTX_get_session_cache_mode(ctx), SSL_SESS_CACHE_SERVER)
    assert.equal(SSL_CTX_sess_get_cache_size(ctx), SSL_SESSION_CACHE_MAX_SIZE_DEFAULT)
    assert.equal(SSL_SESSION_CACHE_MAX_SIZE_DEFAULT, 20480)
    assert.equal(SSL_CTX_sess_set_cache_size(ctx, 7), 20480)
    assert.equal(SSL_CTX_sess_get_cache_size(ctx), 7)
    assert.equal(SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH), SSL_SESS_CACHE_SERVER)
    assert.equal(SSL_CTX_get_session_cache_mode(ctx), SSL_SESS_CACHE_BOTH)
  })

  inEachProtocol((version) => {
    /** A server and a client, one session for each handshake, and the client's tickets. */
    function scene(mode: number) {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | mode)
      SSL_CTX_set_max_proto_version(clientCtx, version)
      SSL_CTX_set_num_tickets(serverCtx, 1)
      const story = new Story().call({ serverCtx })
      const tickets = tellCaching(new Story(), clientCtx, 1)
      const sessions = tellCaching(story, serverCtx, 1)
      return { story, serverCtx, clientCtx, tickets, sessions }
    }

    it('is filled and searched by default', () => {
      const { story, serverCtx, clientCtx, tickets } = scene(0)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, true)
    })

    it('is searched but not filled with NO_INTERNAL_STORE', () => {
      const { story, serverCtx, clientCtx, tickets, sessions } = scene(SSL_SESS_CACHE_NO_INTERNAL_STORE)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      const again = keep(present(SSL_SESSION_dup(present(tickets[0]))))
      assert.equal(connect(serverCtx, clientCtx, again).reused, false)
      SSL_CTX_add_session(serverCtx, present(sessions[0]))
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, true)
    })

    it('is filled but not searched with NO_INTERNAL_LOOKUP', () => {
      const { story, serverCtx, clientCtx, tickets } = scene(SSL_SESS_CACHE_NO_INTERNAL_LOOKUP)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, false)
    })

    it('is neither filled nor searched with NO_INTERNAL', () => {
      const { story, serverCtx, clientCtx, tickets, sessions } = scene(SSL_SESS_CACHE_NO_INTERNAL)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      SSL_CTX_add_session(serverCtx, present(sessions[0]))
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, false)
    })

    for (const [what, mode, flushes] of [
      ['is flushed of expired sessions by the 255th connection', 0, true],
      ['is not flushed by itself with NO_AUTO_CLEAR', SSL_SESS_CACHE_NO_AUTO_CLEAR, false],
    ] as const) {
      it(what, () => {
        const { story, serverCtx, clientCtx, sessions } = scene(mode)
        connect(serverCtx, clientCtx).close()
        const expired = present(sessions[0])
        SSL_SESSION_set_time(expired, 1000)
        story.call({ serverCtx, expired })
        SSL_CTX_sess_set_get_cb(serverCtx, null)
        let flushedAt = 0
        for (let connections = 2; connections <= 260; connections++) {
          connect(serverCtx, clientCtx).close()
          if (flushedAt === 0 && SSL_SESSION_is_resumable(expired) === 0) flushedAt = connections
        }
        // A TLS 1.3 server sends its ticket after it has counted the connection, a TLS 1.2 server stores before.
        assert.equal(flushedAt, flushes ? (version === TLS1_3_VERSION ? 255 : 256) : 0)
        assert.equal(SSL_CTX_sess_number(serverCtx), flushes ? 259 : 260)
      })
    }

    it('counts what happens on a server', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_set_max_proto_version(clientCtx, version)
      const counters = () => ({
        number: SSL_CTX_sess_number(serverCtx),
        accept: SSL_CTX_sess_accept(serverCtx),
        accept_good: SSL_CTX_sess_accept_good(serverCtx),
        accept_renegotiate: SSL_CTX_sess_accept_renegotiate(serverCtx),
        connect: SSL_CTX_sess_connect(serverCtx),
        hits: SSL_CTX_sess_hits(serverCtx),
        cb_hits: SSL_CTX_sess_cb_hits(serverCtx),
        misses: SSL_CTX_sess_misses(serverCtx),
        timeouts: SSL_CTX_sess_timeouts(serverCtx),
        cache_full: SSL_CTX_sess_cache_full(serverCtx),
      })
      let expected = counters()
      const start = { accept: 1, accept_good: 1, accept_renegotiate: 0, connect: 0, hits: 0, cb_hits: 0 }
      assert.deepEqual(expected, { ...start, number: 0, misses: expected.misses, timeouts: 0, cache_full: 0 })
      const expectMore = (what: string, more: Partial<typeof expected>) => {
        const told = Object.entries(more).map(([name, by]) => [name, expected[name as keyof typeof expected] + by])
        expected = { ...expected, ...Object.fromEntries(told) }
        assert.deepEqual(counters(), expected, what)
      }
      const propose = () => connect(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket)))).close()
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER)
      SSL_CTX_set_num_tickets(serverCtx, 0)

      propose()
      const made = version === TLS1_2_VERSION ? 1 : 0
      expectMore('a miss', { accept: 1, accept_good: 1, misses: 1, number: made })
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      propose()
      expectMore('an external hit', { accept: 1, accept_good: 1, misses: 1, hits: 1, cb_hits: 1, number: 1 })
      propose()
      expectMore('an internal hit', { accept: 1, accept_good: 1, hits: 1 })
      SSL_SESSION_set_time(session, 1000)
      propose()
      // The full handshake after a timeout makes a session of its own in TLS 1.2, where the expired one has gone.
      expectMore('a timeout', { accept: 1, accept_good: 1, timeouts: 1, number: 0 })
      SSL_CTX_set_num_tickets(serverCtx, 1)
      SSL_CTX_sess_set_cache_size(serverCtx, 1)
      const before = counters().number
      connect(serverCtx, clientCtx).close()
      expectMore('a full cache', { accept: 1, accept_good: 1, cache_full: before, number: 1 - before })
      const begun = new Pair(serverCtx, clientCtx)
      SSL_do_handshake(begun.client)
      transfer(begun.client, begun.server)
      SSL_do_handshake(begun.server)
      begun.drop()
      expectMore('a connection that is broken off', { accept: 1 })
    })

    it('counts what happens on a client', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const counters = () => [
        SSL_CTX_sess_connect(clientCtx),
        SSL_CTX_sess_connect_good(clientCtx),
        SSL_CTX_sess_connect_renegotiate(clientCtx),
        SSL_CTX_sess_hits(clientCtx),
        SSL_CTX_sess_accept(clientCtx),
      ]
      assert.deepEqual(counters(), [1, 1, 0, 0, 0])
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      connect(serverCtx, clientCtx, ticket).close()
      assert.deepEqual(counters(), [2, 2, 0, 1, 0])
      SSL_CTX_set_cipher_list(clientCtx, 'AES128-SHA')
      SSL_CTX_set_ciphersuites(clientCtx, '')
      SSL_CTX_set_max_proto_version(clientCtx, TLS1_2_VERSION)
      assert.throws(() => connect(serverCtx, clientCtx), HandshakeFailure)
      assert.deepEqual(counters(), [3, 2, 0, 1, 0])
    })
  })
})
