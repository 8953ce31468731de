// The new callback: when it is called, with what, and who owns the session afterwards.

import assert from 'node:assert/strict'
import {
  type NewSessionCallback,
  SSL_CTX_free,
  SSL_CTX_sess_accept_renegotiate,
  SSL_CTX_sess_connect_renegotiate,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_options,
  SSL_CTX_set_session_cache_mode,
  SSL_do_handshake,
  SSL_free,
  SSL_get_version,
  SSL_get0_session,
  SSL_is_init_finished,
  SSL_new_session_ticket,
  SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION,
  SSL_renegotiate,
  SSL_SESS_CACHE_BOTH,
  SSL_SESS_CACHE_CLIENT,
  SSL_SESS_CACHE_OFF,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_get_protocol_version,
  SSL_SESSION_is_resumable,
  SSL_SESSION_up_ref,
  SSL_set_num_tickets,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import {
  clientContext,
  connect,
  inEachProtocol,
  keep,
  Pair,
  present,
  readNothing,
  serverContext,
  transfer,
} from '../support/peers.js'
import { Story, tellCaching } from '../support/story.js'
import { atLeast } from '../support/versions.js'

/** How many sessions a full handshake makes, with the default number of tickets. */
const sessionsPerHandshake = (version: number) => (version === TLS1_3_VERSION ? 2 : 1)

/** Does the next flight of one side and sends it; tells of it after the callbacks that it gave rise to. */
function flight(story: Story, pair: Pair, side: 'server' | 'client'): void {
  const result = SSL_do_handshake(pair[side])
  story.tell(side, result === 1 ? 'done' : 'waits')
  if (side === 'server') transfer(pair.server, pair.client)
  else transfer(pair.client, pair.server)
}

describe('The new callback', () => {
  leaveNothingBehind()

  describe('in TLS 1.2', () => {
    it('is called once on either side, by the very call that completes the handshake', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION), clientContext()]
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      const pair = new Pair(serverCtx, clientCtx)
      story.call({ server: pair.server, client: pair.client })
      flight(story, pair, 'client')
      flight(story, pair, 'server')
      flight(story, pair, 'client')
      story.expect('client waits', 'server waits', 'client waits')
      flight(story, pair, 'server')
      flight(story, pair, 'client')
      story.expect('new server session1', 'server done', 'new client session2', 'client done')
    })

    it('is not called when a session is resumed', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION), clientContext()]
      tellCaching(story, serverCtx, 0)
      const sessions = tellCaching(story, clientCtx, 1)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1', 'new ssl2 session2')
      const resumed = connect(serverCtx, clientCtx, present(sessions[0]))
      assert.equal(resumed.reused, true)
      story.expect()
    })

    it('is called on the client only when the server puts the session into a ticket', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION, 'stateless'), clientContext()]
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      const pair = new Pair(serverCtx, clientCtx)
      story.call({ client: pair.client })
      pair.handshake()
      story.expect('new client session1')
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
    })
  })

  it('is called for a renegotiation, which only TLS 1.2 has, unless that resumes the session, as it does by default', () => {
    for (const options of [0, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION]) {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION), clientContext()]
      SSL_CTX_set_options(serverCtx, options)
      tellCaching(story, serverCtx, 0)
      const pair = connect(serverCtx, clientCtx)
      story.expect('new ssl1 session1')
      assert.equal(SSL_renegotiate(pair.server), 1)
      assert.equal(SSL_do_handshake(pair.server), 1)
      for (let flights = 0; flights < 3; flights++) {
        transfer(pair.server, pair.client)
        readNothing(pair.client)
        transfer(pair.client, pair.server)
        readNothing(pair.server)
      }
      assert.ok(SSL_CTX_sess_accept_renegotiate(serverCtx) > 0)
      assert.ok(SSL_CTX_sess_connect_renegotiate(clientCtx) > 0)
      assert.equal(pair.reused, options === 0)
      story.expect(...(options === 0 ? [] : ['new ssl1 session2']))
    }
    assert.equal(SSL_renegotiate(connect(serverContext(TLS1_3_VERSION), clientContext()).server), 0)
  })

  describe('in TLS 1.3', () => {
    it('is called for each ticket: on the server when it sends them, on the client after the handshake, when it reads them', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      const pair = new Pair(serverCtx, clientCtx)
      story.call({ server: pair.server, client: pair.client })
      flight(story, pair, 'client')
      flight(story, pair, 'server')
      flight(story, pair, 'client')
      story.expect('client waits', 'server waits', 'client done')
      flight(story, pair, 'server')
      story.expect('new server session1', 'new server session2', 'server done')
      readNothing(pair.client)
      story.expect('new client session3', 'new client session4')
    })

    it('is called for stateless tickets too', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION, 'stateless'), clientContext()]
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      const pair = new Pair(serverCtx, clientCtx)
      story.call({ server: pair.server, client: pair.client })
      pair.handshake()
      story.expect('new server session1', 'new server session2', 'new client session3', 'new client session4')
    })

    it('is called once when a session is resumed, which is worth one ticket', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      const sessions = tellCaching(new Story(), clientCtx, 1)
      connect(serverCtx, clientCtx).close()
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      const pair = new Pair(serverCtx, clientCtx, present(sessions[0]))
      story.call({ server: pair.server, client: pair.client, used: present(sessions[0]), clientCtx })
      pair.handshake()
      assert.equal(pair.reused, true)
      story.expect('remove clientCtx used', 'new server session1', 'new client session2')
    })

    for (const tickets of [0, 1, 5]) {
      it(`is called ${tickets} times when SSL_CTX_set_num_tickets says ${tickets}`, () => {
        const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
        assert.equal(SSL_CTX_set_num_tickets(serverCtx, tickets), 1)
        const calls = { server: 0, client: 0 }
        SSL_CTX_sess_set_new_cb(serverCtx, () => void calls.server++)
        SSL_CTX_sess_set_new_cb(clientCtx, () => void calls.client++)
        connect(serverCtx, clientCtx)
        assert.deepEqual(calls, { server: tickets, client: tickets })
      })
    }

    it('is called as often as SSL_set_num_tickets says for one connection', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      tellCaching(story, serverCtx, 0)
      const [three, usual] = [new Pair(serverCtx, clientCtx), new Pair(serverCtx, clientCtx)]
      story.call({ three: three.server, usual: usual.server })
      assert.equal(SSL_set_num_tickets(three.server, 3), 1)
      three.handshake()
      story.expect('new three session1', 'new three session2', 'new three session3')
      usual.handshake()
      story.expect('new usual session4', 'new usual session5')
    })

    it('is called for a ticket that SSL_new_session_ticket asks for', () => {
      if (SSL_new_session_ticket === undefined) return assert.ok(!atLeast(3, 0))
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      const pair = connect(serverCtx, clientCtx)
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      story.call({ server: pair.server, client: pair.client })
      assert.equal(SSL_new_session_ticket(pair.server), 1)
      story.expect()
      assert.equal(SSL_do_handshake(pair.server), 1)
      story.expect('new server session1')
      transfer(pair.server, pair.client)
      readNothing(pair.client)
      story.expect('new client session2')
    })
  })

  inEachProtocol((version) => {
    it('gets the connection itself, and the session that this connection has now', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const pair = new Pair(serverCtx, clientCtx)
      const seen: SSL_SESSION[] = []
      const check: (expected: Pair['server']) => NewSessionCallback = (expected) => (ssl, session) => {
        assert.equal(ssl, expected)
        assert.equal(SSL_is_init_finished(ssl), 1)
        assert.equal(SSL_SESSION_get_protocol_version(session), version)
        assert.equal(SSL_SESSION_is_resumable(session), 1)
        assert.equal(SSL_SESSION_get_id(session).length, 32)
        keep(session)
        seen.push(session)
        return 1
      }
      SSL_CTX_sess_set_new_cb(serverCtx, check(pair.server))
      SSL_CTX_sess_set_new_cb(clientCtx, check(pair.client))
      pair.handshake()
      const count = sessionsPerHandshake(version)
      assert.equal(seen.length, 2 * count)
      assert.equal(new Set(seen).size, 2 * count)
      assert.equal(SSL_get0_session(pair.server), seen[count - 1])
      assert.equal(SSL_get0_session(pair.client), seen.at(-1))
    })

    it('is not called when the cache mode is off', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      tellCaching(story, serverCtx, 0)
      tellCaching(story, clientCtx, 0)
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_OFF)
      SSL_CTX_set_session_cache_mode(clientCtx, SSL_SESS_CACHE_OFF)
      connect(serverCtx, clientCtx)
      story.expect()
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
    })

    it('is called for the roles that the cache mode names, and for no other', () => {
      const roles = { server: SSL_SESS_CACHE_SERVER, client: SSL_SESS_CACHE_CLIENT }
      for (const role of ['server', 'client'] as const) {
        for (const mode of [SSL_SESS_CACHE_SERVER, SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_BOTH]) {
          const contexts = { server: serverContext(version), client: clientContext() }
          SSL_CTX_set_session_cache_mode(contexts[role], mode)
          let calls = 0
          SSL_CTX_sess_set_new_cb(contexts[role], () => void calls++)
          connect(contexts.server, contexts.client)
          assert.equal(calls, mode & roles[role] ? sessionsPerHandshake(version) : 0, `${role} ${mode}`)
        }
      }
    })

    for (const answer of [1, true, 2, -1]) {
      it(`leaves the reference to the application when it answers ${answer}`, () => {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        const [alive, ownedBefore] = [live('SSL_SESSION'), owned('SSL_SESSION')]
        const kept: SSL_SESSION[] = []
        SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
          kept.push(session)
          return answer
        })
        connect(serverCtx, clientCtx).drop()
        SSL_CTX_free(serverCtx)
        const count = sessionsPerHandshake(version)
        assert.equal(kept.length, count)
        assert.equal(owned('SSL_SESSION') - ownedBefore, count)
        for (const session of kept) assert.equal(SSL_SESSION_get_id(session).length, 32)
        SSL_CTX_free(clientCtx)
        assert.equal(live('SSL_SESSION') - alive, count)
        for (const session of kept) SSL_SESSION_free(session)
        assert.equal(live('SSL_SESSION'), alive)
        for (const session of kept) assert.throws(() => SSL_SESSION_free(session), { code: 'ERR_HANDLE_FREED' })
      })
    }

    for (const answer of [0, false, undefined]) {
      it(`gives the reference back when it answers ${answer}`, () => {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        const seen: SSL_SESSION[] = []
        SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
          assert.equal(owned('SSL_SESSION'), 1)
          seen.push(session)
          return answer
        })
        connect(serverCtx, clientCtx)
        assert.equal(seen.length, sessionsPerHandshake(version))
        assert.equal(owned('SSL_SESSION'), 0)
        for (const session of seen) assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
      })
    }

    it('leaves the internal cache alone when it answers 0, whatever the man page says', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_sess_set_new_cb(serverCtx, () => 0)
      const sessions = tellCaching(new Story(), clientCtx, 1)
      connect(serverCtx, clientCtx).close()
      assert.equal(SSL_CTX_sess_number(serverCtx), sessionsPerHandshake(version))
      const resumed = connect(serverCtx, clientCtx, present(sessions.at(-1)))
      assert.equal(resumed.reused, true)
    })

    for (const [what, answer] of [
      ['a string', 'yes'],
      ['null', null],
      ['an object', {}],
      ['NaN', Number.NaN],
      ['a promise, as an async function does', Promise.resolve(1)],
    ] as const) {
      it(`costs a TypeError and keeps no reference when it answers ${what}`, () => {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        SSL_CTX_set_num_tickets(serverCtx, 1)
        SSL_CTX_sess_set_new_cb(serverCtx, (() => answer) as unknown as NewSessionCallback)
        const pair = new Pair(serverCtx, clientCtx)
        assert.throws(() => pair.handshake(), { name: 'TypeError', code: 'ERR_INVALID_RETURN_VALUE' })
        assert.equal(owned('SSL_SESSION'), 0)
        assert.equal(pair.handshake().reused, false)
      })
    }

    it('may free the reference itself and say so by answering 0', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
        SSL_SESSION_free(session)
        assert.throws(() => SSL_SESSION_free(session), { code: 'ERR_HANDLE_FREED' })
        return 0
      })
      const pair = connect(serverCtx, clientCtx)
      assert.equal(owned('SSL_SESSION'), 0)
      assert.equal(SSL_SESSION_is_resumable(present(SSL_get0_session(pair.server))), 1)
    })

    it('may take a reference more than the one that its answer gives back', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
        assert.equal(SSL_SESSION_up_ref(session), 1)
        keep(session)
        return 0
      })
      connect(serverCtx, clientCtx).drop()
      assert.equal(owned('SSL_SESSION'), sessionsPerHandshake(version))
    })

    it('may free its connection', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_num_tickets(serverCtx, 1)
      const connections = live('SSL')
      SSL_CTX_sess_set_new_cb(serverCtx, (ssl) => SSL_free(ssl))
      const pair = new Pair(serverCtx, clientCtx)
      assert.throws(() => pair.handshake(), { code: 'ERR_HANDLE_FREED' })
      assert.equal(live('SSL'), connections + 1)
      assert.throws(() => SSL_get_version(pair.server), { code: 'ERR_HANDLE_FREED' })
    })

    it('may free its context, which the connection keeps for itself', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const contexts = live('SSL_CTX')
      let calls = 0
      SSL_CTX_sess_set_new_cb(serverCtx, () => {
        if (calls++ === 0) SSL_CTX_free(serverCtx)
      })
      const pair = connect(serverCtx, clientCtx)
      assert.equal(calls, sessionsPerHandshake(version))
      assert.equal(live('SSL_CTX'), contexts)
      pair.drop()
      assert.equal(live('SSL_CTX'), contexts - 1)
    })

    it('may do a whole handshake of its own, whose callbacks come after those that wait already', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const [outer, inner] = [new Pair(serverCtx, clientCtx), new Pair(serverCtx, clientCtx)]
      story.call({ outer: outer.server, inner: inner.server })
      let nested = false
      SSL_CTX_sess_set_new_cb(serverCtx, (ssl, session) => {
        story.tell('new', ssl, session)
        if (nested) return
        nested = true
        inner.handshake()
        story.tell('back')
      })
      outer.handshake()
      if (version === TLS1_3_VERSION) {
        story.expect('new outer session1', 'new outer session2', 'new inner session3', 'new inner session4', 'back')
      } else {
        story.expect('new outer session1', 'new inner session2', 'back')
      }
      assert.equal(SSL_CTX_sess_number(serverCtx), 2 * sessionsPerHandshake(version))
    })
  })
})
