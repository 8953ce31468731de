// Tickets, stateful and stateless: when a TLS 1.3 server looks sessions up at all, early data that must not be replayed,
// ticket keys, and sessions that expire.

import assert from 'node:assert/strict'
import {
  type SSL_CTX,
  SSL_CTX_flush_sessions,
  SSL_CTX_get_tlsext_ticket_keys,
  SSL_CTX_remove_session,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_max_early_data,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_options,
  SSL_CTX_set_recv_max_early_data,
  SSL_CTX_set_session_cache_mode,
  SSL_CTX_set_timeout,
  SSL_CTX_set_tlsext_ticket_keys,
  SSL_do_handshake,
  SSL_EARLY_DATA_ACCEPTED,
  SSL_EARLY_DATA_NOT_SENT,
  SSL_EARLY_DATA_REJECTED,
  SSL_ERROR_WANT_ASYNC,
  SSL_get_early_data_status,
  SSL_get_error,
  SSL_OP_NO_ANTI_REPLAY,
  SSL_READ_EARLY_DATA_ERROR,
  SSL_READ_EARLY_DATA_FINISH,
  SSL_READ_EARLY_DATA_SUCCESS,
  SSL_read_early_data,
  SSL_SESS_CACHE_NO_INTERNAL,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_get_id,
  SSL_SESSION_get_max_early_data,
  SSL_SESSION_get_ticket_lifetime_hint,
  SSL_SESSION_get_timeout,
  SSL_SESSION_get0_ticket,
  SSL_SESSION_has_ticket,
  SSL_SESSION_is_resumable,
  SSL_SESSION_set_time,
  SSL_waiting_session,
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

/** A server that accepts early data, a client, and what they tell and have after one connection with one ticket. */
function earlyDataScene(prepare: (serverCtx: SSL_CTX) => void = () => {}) {
  const story = new Story()
  const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION, 'stateless'), clientContext()]
  SSL_CTX_set_max_early_data(serverCtx, 100)
  SSL_CTX_set_recv_max_early_data(serverCtx, 100)
  SSL_CTX_set_num_tickets(serverCtx, 1)
  prepare(serverCtx)
  story.call({ ctx: serverCtx })
  const [sessions, tickets] = [tellCaching(story, serverCtx, 1), tellCaching(new Story(), clientCtx, 1)]
  connect(serverCtx, clientCtx).close()
  story.expect('new ssl1 session1')
  return { story, serverCtx, clientCtx, sessions, tickets }
}

/** Connects with early data. Returns the connection and what the server read of it before the handshake was done. */
async function sendEarly(serverCtx: SSL_CTX, clientCtx: SSL_CTX, ticket: SSL_SESSION, message: string) {
  const pair = new Pair(serverCtx, clientCtx, ticket)
  assert.deepEqual(SSL_write_early_data(pair.client, Buffer.from(message)), { ok: 1, written: message.length })
  transfer(pair.client, pair.server)
  const buffer = Buffer.alloc(100)
  let early = ''
  for (;;) {
    const { status, bytes } = SSL_read_early_data(pair.server, buffer)
    early += buffer.toString('latin1', 0, bytes)
    if (status === SSL_READ_EARLY_DATA_FINISH) break
    if (status === SSL_READ_EARLY_DATA_SUCCESS) continue
    assert.equal(status, SSL_READ_EARLY_DATA_ERROR)
    if (SSL_get_error(pair.server, -1) === SSL_ERROR_WANT_ASYNC) await SSL_waiting_session(pair.server)
    transfer(pair.server, pair.client)
    SSL_do_handshake(pair.client)
    transfer(pair.client, pair.server)
  }
  await pair.handshakeAwaiting()
  return { pair, early, status: SSL_get_early_data_status(pair.client) }
}

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

describe('Early data', () => {
  leaveNothingBehind()

  it('comes with a session that the server stores, looks up, and removes: it is good for one connection', async () => {
    const { story, serverCtx, clientCtx, sessions, tickets } = earlyDataScene()
    assert.equal(SSL_SESSION_get_max_early_data(present(tickets[0])), 100)
    assert.equal(SSL_CTX_sess_number(serverCtx), 1)
    const first = await sendEarly(serverCtx, clientCtx, copyOf(tickets[0]), 'once')
    assert.deepEqual([first.early, first.status, first.pair.reused], ['once', SSL_EARLY_DATA_ACCEPTED, true])
    story.expect('remove ctx session1', 'new ssl2 session2')
    assert.equal(SSL_SESSION_is_resumable(present(sessions[0])), 0)
    const replay = await sendEarly(serverCtx, clientCtx, copyOf(tickets[0]), 'twice')
    assert.deepEqual([replay.early, replay.status, replay.pair.reused], ['', SSL_EARLY_DATA_REJECTED, false])
  })

  for (const how of ['at once', 'by a promise']) {
    it(`has the get callback asked for the session, which answers ${how}`, async () => {
      const { story, serverCtx, clientCtx, sessions, tickets } = earlyDataScene()
      const stored = new Map([[SSL_SESSION_get_id(present(sessions[0])).toString('hex'), copyOf(sessions[0])]])
      SSL_CTX_sess_set_remove_cb(serverCtx, null)
      SSL_CTX_flush_sessions(serverCtx, 0)
      SSL_CTX_sess_set_get_cb(serverCtx, (ssl, id) => {
        story.tell('get', ssl, id)
        const found = stored.get(id.toString('hex')) ?? null
        return how === 'at once' ? found : Promise.resolve(found)
      })
      const { pair, early, status } = await sendEarly(serverCtx, clientCtx, present(tickets[0]), 'hello')
      assert.deepEqual([early, status, pair.reused], ['hello', SSL_EARLY_DATA_ACCEPTED, true])
      story.expect('get ssl2 id(session1)', 'new ssl2 session2')
    })
  }

  it('cannot be had from an external cache alone: anti-replay wants the session in the internal one', async () => {
    const { story, serverCtx, clientCtx, sessions, tickets } = earlyDataScene((ctx) =>
      SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL),
    )
    tellLookups(story, serverCtx, () => present(sessions[0]))
    const { pair, early, status } = await sendEarly(serverCtx, clientCtx, present(tickets[0]), 'hello')
    assert.deepEqual([early, status, pair.reused], ['', SSL_EARLY_DATA_REJECTED, false])
    story.expect('get ssl2 id(session1)', 'remove ctx session1', 'new ssl2 session2')
  })

  it('is asked for nowhere with SSL_OP_NO_ANTI_REPLAY, and can be replayed', async () => {
    const { story, serverCtx, clientCtx, tickets } = earlyDataScene((ctx) =>
      SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY),
    )
    tellLookups(story, serverCtx)
    for (const message of ['once', 'twice']) {
      const { pair, early, status } = await sendEarly(serverCtx, clientCtx, copyOf(tickets[0]), message)
      assert.deepEqual([early, status, pair.reused], [message, SSL_EARLY_DATA_ACCEPTED, true])
    }
    story.expect('new ssl2 session2', 'new ssl3 session3')
  })

  it('need not be sent: the session resumes without, and is removed all the same', () => {
    const { story, serverCtx, clientCtx, tickets } = earlyDataScene()
    const { client, reused } = connect(serverCtx, clientCtx, copyOf(tickets[0]))
    assert.deepEqual([reused, SSL_get_early_data_status(client)], [true, SSL_EARLY_DATA_NOT_SENT])
    story.expect('remove ctx session1', 'new ssl2 session2')
    assert.equal(connect(serverCtx, clientCtx, copyOf(tickets[0])).reused, false)
  })
})
