// Tickets, stateful and stateless: when a TLS 1.3 server looks sessions up at all, ticket keys, and sessions that expire.
// Early data and its part in lookups is in early_data.test.ts.

import assert from 'node:assert/strict'
import {
  type SSL_CTX,
  SSL_CTX_flush_sessions,
  SSL_CTX_get_tlsext_ticket_keys,
  SSL_CTX_remove_session,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_set_max_early_data,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_options,
  SSL_CTX_set_timeout,
  SSL_CTX_set_tlsext_ticket_keys,
  SSL_ERROR_WANT_READ,
  SSL_get_error,
  SSL_OP_NO_ANTI_REPLAY,
  SSL_READ_EARLY_DATA_ERROR,
  SSL_READ_EARLY_DATA_SUCCESS,
  SSL_read_early_data,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_get_id,
  SSL_SESSION_get_ticket_lifetime_hint,
  SSL_SESSION_get_timeout,
  SSL_SESSION_get0_ticket,
  SSL_SESSION_has_ticket,
  SSL_SESSION_is_resumable,
  SSL_SESSION_set_time,
  SSL_write_early_data,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
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

const copyOf = (ticket: SSL_SESSION | undefined) => keep(present(SSL_SESSION_dup(present(ticket))))

describe('A ticket', () => {
  leaveNothingBehind()

  describe('in TLS 1.3', () => {
    it('is stateless by default: the session travels in it, and nobody is asked for it', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION, 'stateless'), clientContext()]
      tellLookups(story, serverCtx)
      const tickets = tellCaching(new Story(), clientCtx, 1)
      connect(serverCtx, clientCtx).close()
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      assert.ok(SSL_SESSION_get0_ticket(present(tickets[0])).length > 100)
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, true)
      story.expect()
    })

    it('is stateful with SSL_OP_NO_TICKET: 32 bytes, the id of a session that has to be in a cache', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION, 'stateful'), clientContext()]
      SSL_CTX_set_num_tickets(serverCtx, 1)
      const [sessions, tickets] = [tellCaching(story, serverCtx, 1), tellCaching(new Story(), clientCtx, 1)]
      connect(serverCtx, clientCtx).close()
      assert.deepEqual(SSL_SESSION_get0_ticket(present(tickets[0])), SSL_SESSION_get_id(present(sessions[0])))
      assert.equal(SSL_SESSION_get_id(present(sessions[0])).length, 32)
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(connect(serverCtx, clientCtx, copyOf(tickets[0])).reused, true)
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(connect(serverCtx, clientCtx, present(tickets[0])).reused, false)
    })

    it('can be used more than once, unless its session is removed after use', () => {
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      SSL_CTX_set_num_tickets(serverCtx, 1)
      const [sessions, tickets] = [tellCaching(new Story(), serverCtx, 1), tellCaching(new Story(), clientCtx, 1)]
      connect(serverCtx, clientCtx).close()
      const [session, ticket] = [present(sessions[0]), present(tickets[0])]
      for (let use = 0; use < 3; use++) assert.equal(connect(serverCtx, clientCtx, copyOf(ticket)).reused, true)
      assert.equal(SSL_CTX_remove_session(serverCtx, session), 1)
      assert.equal(connect(serverCtx, clientCtx, copyOf(ticket)).reused, false)
    })

    it('is made unusable by a caching client that has used it', () => {
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      const story = new Story().call({ clientCtx })
      const tickets = tellCaching(story, clientCtx, 1)
      SSL_CTX_set_num_tickets(serverCtx, 1)
      connect(serverCtx, clientCtx).close()
      const ticket = present(tickets[0])
      story.expect('new ssl1 session1')
      connect(serverCtx, clientCtx, ticket).close()
      story.expect('remove clientCtx session1', 'new ssl2 session2')
      assert.equal(SSL_SESSION_is_resumable(ticket), 0)
      assert.equal(connect(serverCtx, clientCtx, ticket).reused, false)
    })
  })

  it('is absent from the sessions of a TLS 1.2 server that keeps them itself', () => {
    for (const [tickets, expected] of [
      ['stateful', 0],
      ['stateless', 1],
    ] as const) {
      const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION, tickets), clientContext()]
      const [sessions] = [tellCaching(new Story(), clientCtx, 1)]
      connect(serverCtx, clientCtx).close()
      assert.equal(SSL_SESSION_has_ticket(present(sessions[0])), expected)
      assert.equal(SSL_SESSION_get0_ticket(present(sessions[0])).length > 0, expected === 1)
      assert.equal(connect(serverCtx, clientCtx, present(sessions[0])).reused, true)
    }
  })

  inEachProtocol((version) => {
    it('that is stateless resumes on another context with the same keys', () => {
      const [one, two, three] = [0, 1, 2].map(() => serverContext(version, 'stateless')) as [SSL_CTX, SSL_CTX, SSL_CTX]
      const clientCtx = clientContext()
      const keys = present(SSL_CTX_get_tlsext_ticket_keys(one))
      assert.equal(keys.length, 80)
      assert.equal(SSL_CTX_set_tlsext_ticket_keys(two, keys), 1)
      assert.deepEqual(SSL_CTX_get_tlsext_ticket_keys(two), keys)
      assert.equal(SSL_CTX_set_tlsext_ticket_keys(two, keys.subarray(1)), 0)
      const tickets = tellCaching(new Story(), clientCtx, 1)
      connect(one, clientCtx).close()
      assert.equal(connect(two, clientCtx, copyOf(tickets[0])).reused, true)
      assert.equal(connect(three, clientCtx, copyOf(tickets[0])).reused, false)
    })

    it('announces the lifetime of its session, and is worthless after it', () => {
      for (const kind of ['stateful', 'stateless'] as const) {
        const [serverCtx, clientCtx] = [serverContext(version, kind), clientContext()]
        SSL_CTX_set_timeout(serverCtx, 1234)
        const [sessions, tickets] = [tellCaching(new Story(), serverCtx, 1), tellCaching(new Story(), clientCtx, 1)]
        connect(serverCtx, clientCtx).close()
        const ticket = present(tickets.at(-1))
        const hinted = version === TLS1_3_VERSION || kind === 'stateless'
        assert.equal(SSL_SESSION_get_ticket_lifetime_hint(ticket), hinted ? 1234 : 0)
        if (kind === 'stateless') continue
        assert.equal(SSL_SESSION_get_timeout(present(sessions[0])), 1234)
        SSL_SESSION_set_time(present(sessions.at(-1)), Math.floor(Date.now() / 1000) - 1236)
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, false)
      }
    })
  })
})

describe('SSL_read_early_data', () => {
  leaveNothingBehind()

  it('counts what it has read, and nothing when it has read nothing, whether or not a lookup could pause it', () => {
    for (const lookup of [null, () => null]) {
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION, 'stateless'), clientContext()]
      SSL_CTX_set_options(serverCtx, SSL_OP_NO_ANTI_REPLAY)
      SSL_CTX_set_max_early_data(serverCtx, 100)
      SSL_CTX_sess_set_get_cb(serverCtx, lookup)
      const tickets = tellCaching(new Story(), clientCtx, 1)
      connect(serverCtx, clientCtx).close()
      const { client, server } = new Pair(serverCtx, clientCtx, present(tickets[0]))
      SSL_write_early_data(client, Buffer.from('hello'))
      transfer(client, server)
      const buffer = Buffer.alloc(100)
      assert.deepEqual(SSL_read_early_data(server, buffer), { status: SSL_READ_EARLY_DATA_SUCCESS, bytes: 5 })
      assert.deepEqual(SSL_read_early_data(server, buffer), { status: SSL_READ_EARLY_DATA_ERROR, bytes: 0 })
      assert.equal(SSL_get_error(server, -1), SSL_ERROR_WANT_READ)
    }
  })
})
