// Early data and the session callbacks. A TLS 1.3 server that takes early data guards against replay with the internal cache:
// its tickets are stateful, each is good for one connection, and so the get and remove callbacks have a part in it.

import assert from 'node:assert/strict'
import {
  type SSL,
  type SSL_CTX,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_set_max_early_data,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_options,
  SSL_CTX_set_session_cache_mode,
  SSL_do_handshake,
  SSL_EARLY_DATA_ACCEPTED,
  SSL_EARLY_DATA_NOT_SENT,
  SSL_EARLY_DATA_REJECTED,
  SSL_ERROR_WANT_ASYNC,
  SSL_get_early_data_status,
  SSL_get_error,
  SSL_is_init_finished,
  SSL_OP_NO_ANTI_REPLAY,
  SSL_READ_EARLY_DATA_ERROR,
  SSL_READ_EARLY_DATA_FINISH,
  SSL_READ_EARLY_DATA_SUCCESS,
  SSL_read_early_data,
  SSL_SESS_CACHE_NO_INTERNAL_STORE,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_get_max_early_data,
  SSL_waiting_session,
  SSL_write_early_data,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import { restored } from '../support/external_cache.js'
import { clientContext, connect, echo, keep, Pair, present, serverContext, transfer } from '../support/peers.js'
import { Story, tellCaching, tellLookups } from '../support/story.js'

const message = Buffer.from('before the handshake')

/** A server that takes early data with stateless or stateful tickets, as OpenSSL sees fit. */
function earlyServer(): SSL_CTX {
  const ctx = serverContext(TLS1_3_VERSION, 'stateless')
  SSL_CTX_set_max_early_data(ctx, 1024)
  SSL_CTX_set_num_tickets(ctx, 1)
  return ctx
}

/** Has a client open a session; returns what the server and the client keep of it. */
function open(serverCtx: SSL_CTX, clientCtx: SSL_CTX): { session: SSL_SESSION; ticket: SSL_SESSION } {
  const sessions = tellCaching(new Story(), serverCtx, 1)
  const tickets = tellCaching(new Story(), clientCtx, 1)
  connect(serverCtx, clientCtx).close()
  const [session, ticket] = [present(sessions[0]), present(tickets[0])]
  assert.ok(SSL_SESSION_get_max_early_data(ticket) > 0)
  return { session, ticket }
}

/** A client that has sent its hello and early data. The session that it proposes can be proposed again. */
function proposing(serverCtx: SSL_CTX, clientCtx: SSL_CTX, ticket: SSL_SESSION): Pair {
  const pair = new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket))))
  assert.deepEqual(SSL_write_early_data(pair.client, message), { ok: 1, written: message.length })
  transfer(pair.client, pair.server)
  return pair
}

/** Everything that a server reads before the handshake is complete. */
function early(server: SSL): string {
  const buffer = Buffer.alloc(1024)
  const { status, bytes } = SSL_read_early_data(server, buffer)
  return status === SSL_READ_EARLY_DATA_SUCCESS ? buffer.toString('latin1', 0, bytes) : ''
}

/** Completes a handshake and tells whether it resumed, and what became of the early data. */
function outcome(pair: Pair): { reused: boolean; read: string; status: number } {
  const read = early(pair.server)
  // The rest, up to the client's end of early data, comes with its last flight.
  transfer(pair.server, pair.client)
  pair.handshake()
  assert.equal(echo(pair.client, pair.server, 'after'), 'after')
  const status = SSL_get_early_data_status(pair.server)
  assert.equal(SSL_get_early_data_status(pair.client), status)
  return { reused: pair.reused, read, status }
}

const accepted = { reused: true, read: message.toString(), status: SSL_EARLY_DATA_ACCEPTED }
const rejected = { reused: false, read: '', status: SSL_EARLY_DATA_REJECTED }

describe('Early data', () => {
  leaveNothingBehind()

  it('is accepted once for each session that the internal cache has, and tells the remove callback of it', () => {
    const [serverCtx, clientCtx] = [earlyServer(), clientContext()]
    const { session, ticket } = open(serverCtx, clientCtx)
    assert.equal(SSL_CTX_sess_number(serverCtx), 1)
    const story = new Story().call({ serverCtx, session })
    tellCaching(story, serverCtx, 0)
    tellLookups(story, serverCtx)
    const first = proposing(serverCtx, clientCtx, ticket)
    story.call({ first: first.server })
    assert.deepEqual(outcome(first), accepted)
    story.expect('remove serverCtx session', 'new first session1')
    const replayed = proposing(serverCtx, clientCtx, ticket)
    story.call({ replayed: replayed.server })
    assert.deepEqual(outcome(replayed), rejected)
    story.expect('get replayed id(session)', 'new replayed session2')
  })

  it('has the get callback asked though tickets would be stateless otherwise, and removes the session it answers', () => {
    const [issuer, serverCtx, clientCtx] = [earlyServer(), earlyServer(), clientContext()]
    const { session, ticket } = open(issuer, clientCtx)
    const story = new Story().call({ serverCtx, session })
    tellCaching(story, serverCtx, 0)
    const answer = keep(restored(session))
    tellLookups(story, serverCtx, () => answer)
    const pair = proposing(serverCtx, clientCtx, ticket)
    story.call({ answer, server: pair.server })
    assert.deepEqual(outcome(pair), accepted)
    story.expect('get server id(answer)', 'remove serverCtx answer', 'new server session1')
  })

  it('has a get callback asked for sessions that bring no early data, too', () => {
    const [serverCtx, clientCtx] = [earlyServer(), clientContext()]
    const { session, ticket } = open(earlyServer(), clientCtx)
    const story = new Story().call({ session })
    tellLookups(story, serverCtx, () => keep(restored(session)))
    const pair = connect(serverCtx, clientCtx, ticket)
    assert.equal(pair.reused, true)
    assert.equal(SSL_get_early_data_status(pair.server), SSL_EARLY_DATA_NOT_SENT)
    story.expect('get ssl1 id(session)')
  })

  it('is never accepted, nor anything resumed, without an internal store: only a session that leaves it counts as unused', () => {
    const [issuer, serverCtx, clientCtx] = [earlyServer(), earlyServer(), clientContext()]
    const { session, ticket } = open(issuer, clientCtx)
    SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL_STORE)
    let asked = 0
    SSL_CTX_sess_set_get_cb(serverCtx, () => {
      asked++
      return keep(restored(session))
    })
    assert.deepEqual(outcome(proposing(serverCtx, clientCtx, ticket)), rejected)
    assert.equal(asked, 1)
  })

  it('is accepted again and again, and nobody asked, with SSL_OP_NO_ANTI_REPLAY, which makes tickets stateless', () => {
    const [serverCtx, clientCtx] = [earlyServer(), clientContext()]
    SSL_CTX_set_options(serverCtx, SSL_OP_NO_ANTI_REPLAY)
    const { ticket } = open(serverCtx, clientCtx)
    const story = new Story()
    tellLookups(story, serverCtx)
    for (let i = 0; i < 2; i++) assert.deepEqual(outcome(proposing(serverCtx, clientCtx, ticket)), accepted)
    story.expect()
  })

  it('goes nowhere else when a get callback gives the memory away that it is to be read into', () => {
    const [serverCtx, clientCtx] = [earlyServer(), clientContext()]
    const { session, ticket } = open(earlyServer(), clientCtx)
    const answer = keep(restored(session))
    const out = new Uint8Array(1024)
    let elsewhere = new Uint8Array(0)
    tellLookups(new Story(), serverCtx, () => {
      elsewhere = structuredClone(out, { transfer: [out.buffer] })
      return answer
    })
    const pair = proposing(serverCtx, clientCtx, ticket)
    const { status, bytes } = SSL_read_early_data(pair.server, out)
    assert.deepEqual([status, bytes], [SSL_READ_EARLY_DATA_SUCCESS, message.length])
    assert.equal(out.length, 0)
    assert.deepEqual(elsewhere, new Uint8Array(1024))
  })

  it('waits for a get callback that answers a promise', async () => {
    const [issuer, serverCtx, clientCtx] = [earlyServer(), earlyServer(), clientContext()]
    const { session, ticket } = open(issuer, clientCtx)
    let keepPromise: (session: SSL_SESSION) => void = () => {}
    SSL_CTX_sess_set_get_cb(
      serverCtx,
      () =>
        new Promise((resolve) => {
          keepPromise = resolve
        }),
    )
    const pair = proposing(serverCtx, clientCtx, ticket)
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(SSL_read_early_data(pair.server, Buffer.alloc(64)), {
        status: SSL_READ_EARLY_DATA_ERROR,
        bytes: 0,
      })
      assert.equal(SSL_get_error(pair.server, 0), SSL_ERROR_WANT_ASYNC)
    }
    keepPromise(keep(restored(session)))
    await SSL_waiting_session(pair.server)
    assert.deepEqual(outcome(pair), accepted)
  })

  it('that a client does not send is read to its end at once, before the handshake goes on', () => {
    const pair = new Pair(earlyServer(), clientContext())
    SSL_do_handshake(pair.client)
    transfer(pair.client, pair.server)
    assert.deepEqual(SSL_read_early_data(pair.server, Buffer.alloc(64)), {
      status: SSL_READ_EARLY_DATA_FINISH,
      bytes: 0,
    })
    assert.equal(SSL_is_init_finished(pair.server), 0)
    transfer(pair.server, pair.client)
    pair.handshake()
    assert.equal(SSL_get_early_data_status(pair.server), SSL_EARLY_DATA_NOT_SENT)
  })
})
