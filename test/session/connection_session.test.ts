// The session of a connection: what SSL_get_session, SSL_get0_session and SSL_get1_session return, at which time, and
// for how long it can be used.

import assert from 'node:assert/strict'
import {
  type SSL,
  SSL_CTX_flush_sessions,
  SSL_CTX_set_num_tickets,
  SSL_clear,
  SSL_do_handshake,
  SSL_free,
  SSL_get_session,
  SSL_get0_session,
  SSL_get1_session,
  type SSL_SESSION,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_get_protocol_version,
  SSL_SESSION_has_ticket,
  SSL_SESSION_is_resumable,
  SSL_SESSION_up_ref,
  SSL_set_session,
  SSL_shutdown,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import { externalCache } from '../support/external_cache.js'
import {
  arrive,
  clientContext,
  connect,
  endpoint,
  inEachProtocol,
  keep,
  Pair,
  present,
  readNothing,
  sent,
  serverContext,
  transfer,
} from '../support/peers.js'
import { Story, tellCaching } from '../support/story.js'

const session = (ssl: SSL): SSL_SESSION => present(SSL_get0_session(ssl))

describe('The session of a connection', () => {
  leaveNothingBehind()

  it('is null before there is one', () => {
    for (const role of ['server', 'client'] as const) {
      const ssl = endpoint(role === 'server' ? serverContext(TLS1_3_VERSION) : clientContext(), role)
      assert.deepEqual([SSL_get_session(ssl), SSL_get0_session(ssl), SSL_get1_session(ssl)], [null, null, null])
    }
  })

  inEachProtocol((version) => {
    it('is the same object from SSL_get_session, SSL_get0_session and SSL_get1_session', () => {
      const { server, client } = connect(serverContext(version), clientContext())
      for (const ssl of [server, client]) {
        const first = session(ssl)
        assert.equal(SSL_get_session(ssl), first)
        assert.equal(SSL_get0_session(ssl), first)
        assert.equal(keep(present(SSL_get1_session(ssl))), first)
        assert.equal(SSL_SESSION_get_protocol_version(first), version)
      }
      assert.notEqual(session(server), session(client))
    })

    it('is on a client, before the handshake, the session that it proposes', () => {
      const { serverCtx, clientCtx, ticket } = externalCache(version)
      const { client } = new Pair(serverCtx, clientCtx, ticket)
      assert.equal(SSL_get_session(client), ticket)
      assert.equal(SSL_set_session(client, null), 1)
      assert.equal(SSL_get_session(client), null)
    })

    it('is borrowed from SSL_get_session: SSL_SESSION_free throws ERR_NOT_OWNED, and nothing is owned', () => {
      const { server } = connect(serverContext(version), clientContext())
      const before = owned('SSL_SESSION')
      const borrowed = present(SSL_get_session(server))
      assert.equal(owned('SSL_SESSION'), before)
      assert.throws(() => SSL_SESSION_free(borrowed), { code: 'ERR_NOT_OWNED' })
      assert.equal(SSL_SESSION_get_id(borrowed).length, 32)
    })

    for (const [name, end] of Object.entries({ SSL_free, SSL_clear })) {
      it(`is dead after ${name} when it was borrowed`, () => {
        const { server, client } = connect(serverContext(version), clientContext())
        for (const ssl of [server, client]) {
          const borrowed = session(ssl)
          end(ssl)
          assert.throws(() => SSL_SESSION_get_id(borrowed), { code: 'ERR_HANDLE_FREED' })
          assert.throws(() => SSL_SESSION_up_ref(borrowed), { code: 'ERR_HANDLE_FREED' })
          assert.throws(() => SSL_SESSION_free(borrowed), { code: 'ERR_HANDLE_FREED' })
        }
      })

      it(`lives on after ${name} when SSL_get1_session took a reference, until SSL_SESSION_free`, () => {
        const { server } = connect(serverContext(version), clientContext())
        const taken = present(SSL_get1_session(server))
        const before = live('SSL_SESSION')
        end(server)
        assert.equal(live('SSL_SESSION'), before)
        assert.equal(SSL_SESSION_get_id(taken).length, 32)
        SSL_SESSION_free(taken)
        assert.throws(() => SSL_SESSION_get_id(taken), { code: 'ERR_HANDLE_FREED' })
      })

      it(`lives on after ${name} when SSL_SESSION_up_ref took a reference of what was borrowed`, () => {
        const { server } = connect(serverContext(version), clientContext())
        const borrowed = session(server)
        SSL_SESSION_up_ref(borrowed)
        end(server)
        assert.equal(SSL_SESSION_get_id(borrowed).length, 32)
        SSL_SESSION_free(borrowed)
        assert.throws(() => SSL_SESSION_get_id(borrowed), { code: 'ERR_HANDLE_FREED' })
      })
    }

    it('is worth one SSL_SESSION_free for each SSL_get1_session', () => {
      const { server } = connect(serverContext(version), clientContext())
      const taken = present(SSL_get1_session(server))
      assert.equal(SSL_get1_session(server), taken)
      assert.equal(owned('SSL_SESSION'), 2)
      SSL_SESSION_free(taken)
      SSL_SESSION_free(taken)
      assert.equal(owned('SSL_SESSION'), 0)
      // The reference was never borrowed, so nothing is left, until the connection lends it again.
      assert.throws(() => SSL_SESSION_free(taken), { code: 'ERR_HANDLE_FREED' })
      assert.equal(SSL_get_session(server), taken)
      assert.equal(SSL_SESSION_get_id(taken).length, 32)
    })

    it('survives SSL_clear after a shutdown, for another connection, and comes back as the same object', () => {
      const pair = connect(serverContext(version), clientContext())
      const borrowed = session(pair.client)
      SSL_shutdown(pair.client)
      assert.equal(SSL_clear(pair.client), 1)
      assert.throws(() => SSL_SESSION_get_id(borrowed), { code: 'ERR_HANDLE_FREED' })
      assert.equal(SSL_get_session(pair.client), borrowed)
      assert.equal(SSL_SESSION_is_resumable(borrowed), 1)
    })

    it('can be used, when borrowed, though a flush has removed it', () => {
      const serverCtx = serverContext(version)
      const { server } = connect(serverCtx, clientContext())
      const borrowed = session(server)
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(SSL_SESSION_is_resumable(borrowed), 0)
      assert.equal(SSL_SESSION_get_id(borrowed).length, 32)
      assert.equal(SSL_get_session(server), borrowed)
    })

    it('is not resumable any more after an unclean end', () => {
      const pair = connect(serverContext(version), clientContext())
      const [server, client] = [pair.server, pair.client].map((ssl) => keep(present(SSL_get1_session(ssl))))
      assert.deepEqual(
        [server, client].map((taken) => SSL_SESSION_is_resumable(present(taken))),
        [1, 1],
      )
      pair.drop()
      assert.deepEqual(
        [server, client].map((taken) => SSL_SESSION_is_resumable(present(taken))),
        [0, 0],
      )
    })

    it('stays resumable after a clean end', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const pair = connect(serverCtx, clientCtx)
      const taken = keep(present(SSL_get1_session(pair.client)))
      pair.close()
      assert.equal(SSL_SESSION_is_resumable(taken), 1)
      assert.equal(connect(serverCtx, clientCtx, taken).reused, true)
    })
  })

  describe('in TLS 1.2', () => {
    it('has all that it takes to resume as soon as the handshake is complete', () => {
      for (const tickets of ['stateful', 'stateless'] as const) {
        const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION, tickets), clientContext()]
        const pair = connect(serverCtx, clientCtx)
        const taken = keep(present(SSL_get1_session(pair.client)))
        assert.equal(SSL_SESSION_has_ticket(taken), tickets === 'stateless' ? 1 : 0)
        pair.close()
        assert.equal(connect(serverCtx, clientCtx, taken).reused, true)
      }
    })

    it('is on a client that resumes the very object that it proposed', () => {
      const [serverCtx, clientCtx] = [serverContext(TLS1_2_VERSION), clientContext()]
      const pair = connect(serverCtx, clientCtx)
      const taken = keep(present(SSL_get1_session(pair.client)))
      pair.close()
      const resumed = connect(serverCtx, clientCtx, taken)
      assert.equal(resumed.reused, true)
      assert.equal(session(resumed.client), taken)
    })
  })

  describe('in TLS 1.3', () => {
    /** A connection whose client has finished its handshake and has read none of the tickets. */
    function beforeTickets(tickets: number) {
      const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
      SSL_CTX_set_num_tickets(serverCtx, tickets)
      const received = tellCaching(new Story(), clientCtx, 1)
      const issued = tellCaching(new Story(), serverCtx, 1)
      const pair = new Pair(serverCtx, clientCtx)
      SSL_do_handshake(pair.client)
      transfer(pair.client, pair.server)
      SSL_do_handshake(pair.server)
      transfer(pair.server, pair.client)
      assert.equal(SSL_do_handshake(pair.client), 1)
      transfer(pair.client, pair.server)
      return { pair, received, issued, serverCtx, clientCtx }
    }

    it('is there on a client before the first ticket, and cannot be resumed', () => {
      const { pair, serverCtx, clientCtx } = beforeTickets(1)
      const early = keep(present(SSL_get1_session(pair.client)))
      assert.equal(SSL_SESSION_is_resumable(early), 0)
      assert.equal(SSL_SESSION_get_id(early).length, 0)
      assert.equal(SSL_SESSION_has_ticket(early), 0)
      SSL_shutdown(pair.client)
      assert.equal(connect(serverCtx, clientCtx, early).reused, false)
    })

    it('is never resumable on a client to which the server sends no ticket', () => {
      const { pair, issued } = beforeTickets(0)
      pair.handshake()
      assert.equal(SSL_SESSION_is_resumable(session(pair.client)), 0)
      // The server has the session of the connection itself.
      assert.deepEqual(issued, [])
      assert.equal(SSL_SESSION_is_resumable(session(pair.server)), 0)
    })

    it('becomes another with each ticket: on a client it is the last that was received', () => {
      const { pair, received } = beforeTickets(3)
      const early = session(pair.client)
      SSL_do_handshake(pair.server)
      const tickets = sent(pair.server)
      // One record for each ticket.
      const first = tickets.subarray(0, 5 + tickets.readUInt16BE(3))
      arrive(pair.client, first)
      readNothing(pair.client)
      assert.equal(received.length, 1)
      assert.equal(session(pair.client), received[0])
      arrive(pair.client, tickets.subarray(first.length))
      readNothing(pair.client)
      assert.equal(received.length, 3)
      assert.equal(session(pair.client), received[2])
      assert.equal(new Set([early, ...received]).size, 4)
      assert.deepEqual(received.map(SSL_SESSION_is_resumable), [1, 1, 1])
      // What was borrowed before is out of use and can still be looked at.
      assert.equal(SSL_SESSION_is_resumable(early), 0)
    })

    it('is on a server the last that was sent', () => {
      const { pair, issued } = beforeTickets(3)
      pair.handshake()
      assert.equal(issued.length, 3)
      assert.equal(session(pair.server), issued[2])
      assert.equal(new Set(issued.map((each) => SSL_SESSION_get_id(each).toString('hex'))).size, 3)
    })

    it('has each ticket of a connection resumed on its own', () => {
      const { pair, received, serverCtx, clientCtx } = beforeTickets(3)
      pair.handshake().close()
      for (const ticket of received.slice(0, 3)) assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
    })
  })
})
