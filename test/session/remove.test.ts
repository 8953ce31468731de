// The remove callback: what removes a session, and what the callback may do about it. Every cause, and the same session
// object that the application knows.

import assert from 'node:assert/strict'
import {
  d2i_SSL_SESSION,
  i2d_SSL_SESSION,
  OpenSSL_version_num,
  type SSL_CTX,
  SSL_CTX_add_session,
  SSL_CTX_flush_sessions,
  SSL_CTX_free,
  SSL_CTX_get_timeout,
  SSL_CTX_remove_session,
  SSL_CTX_sess_cache_full,
  SSL_CTX_sess_get_cache_size,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_cache_size,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_quiet_shutdown,
  SSL_CTX_set_session_cache_mode,
  SSL_CTX_set_timeout,
  SSL_clear,
  SSL_do_handshake,
  SSL_free,
  SSL_get0_session,
  SSL_SENT_SHUTDOWN,
  SSL_SESS_CACHE_NO_INTERNAL,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_is_resumable,
  SSL_SESSION_set_time,
  SSL_SESSION_set_timeout,
  SSL_SESSION_up_ref,
  SSL_set_shutdown,
  SSL_shutdown,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import {
  arrive,
  clientContext,
  connect,
  HandshakeFailure,
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
import { assertRemoved } from '../support/versions.js'

const now = () => Math.floor(Date.now() / 1000)

/** The cache size that makes room for `count` sessions: from 3.0 on, the one being added is counted twice. */
const sizeFor = (count: number) => (OpenSSL_version_num() >= 0x30000000 ? count + 1 : count)

/** A server and a client whose sessions the tests know by name: one session for each handshake. */
function oneSessionEach(version: number) {
  const story = new Story()
  const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
  SSL_CTX_set_num_tickets(serverCtx, 1)
  story.call({ ctx: serverCtx })
  const sessions = tellCaching(story, serverCtx, 1)
  const tickets = tellCaching(new Story(), clientCtx, 1)
  return { story, serverCtx, clientCtx, sessions, tickets }
}

/** Fills the internal cache with sessions of `count` connections that ended well. Returns them, oldest first. */
function fill(story: Story, sessions: SSL_SESSION[], serverCtx: SSL_CTX, clientCtx: SSL_CTX, count: number) {
  const made = Array.from({ length: count }, (_, index) => {
    connect(serverCtx, clientCtx).close()
    const session = present(sessions.at(-1))
    // One second apart, as if they had been made one after the other.
    SSL_SESSION_set_time(session, now() - 60 + index)
    return session
  })
  story.expect(...made.map((_, index) => `new ssl${index + 1} session${index + 1}`))
  return made
}

/** Expects that one call removed sessions, given by number, the one that expires first first; and what else was told. */
function expectRemovals(story: Story, numbers: number[], { before = [], after = [] }: Record<string, string[]> = {}) {
  const told = story.take()
  assert.deepEqual(told.splice(0, before.length), before)
  assert.deepEqual(told.splice(numbers.length), after)
  assertRemoved(
    told,
    numbers.map((number) => `remove ctx session${number}`),
  )
}

describe('The remove callback', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    it('is called by SSL_CTX_flush_sessions for the sessions that have expired, first those that expired first, and for no other', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      const [first, second, third] = fill(story, sessions, serverCtx, clientCtx, 3)
      SSL_SESSION_set_timeout(present(first), 10)
      SSL_SESSION_set_timeout(present(third), 5)
      const time = now()
      SSL_CTX_flush_sessions(serverCtx, time - 100)
      story.expect()
      SSL_CTX_flush_sessions(serverCtx, time)
      expectRemovals(story, [3, 1])
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(SSL_SESSION_is_resumable(present(first)), 0)
      assert.equal(SSL_SESSION_is_resumable(present(second)), 1)
      assert.equal(SSL_SESSION_is_resumable(present(third)), 0)
    })

    it('is called by SSL_CTX_flush_sessions(ctx, 0) for all of them, first those that expire first', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      fill(story, sessions, serverCtx, clientCtx, 3)
      SSL_CTX_flush_sessions(serverCtx, 0)
      expectRemovals(story, [1, 2, 3])
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
    })

    it('is called once a session has outlived SSL_CTX_set_timeout', () => {
      const { story, serverCtx, clientCtx } = oneSessionEach(version)
      assert.equal(SSL_CTX_set_timeout(serverCtx, 30), SSL_CTX_get_timeout(clientCtx))
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      SSL_CTX_flush_sessions(serverCtx, now() + 28)
      story.expect()
      SSL_CTX_flush_sessions(serverCtx, now() + 31)
      story.expect('remove ctx session1')
    })

    it('is called by SSL_CTX_remove_session, which marks the session as not resumable', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      const [, second] = fill(story, sessions, serverCtx, clientCtx, 3)
      assert.equal(SSL_CTX_remove_session(serverCtx, present(second)), 1)
      story.expect('remove ctx session2')
      assert.equal(SSL_CTX_sess_number(serverCtx), 2)
      assert.deepEqual(sessions.map(SSL_SESSION_is_resumable), [1, 0, 1])
    })

    it('is called by SSL_CTX_remove_session for a session that is not in the cache, too', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      const [session] = fill(story, sessions, serverCtx, clientCtx, 1)
      SSL_CTX_remove_session(serverCtx, present(session))
      story.expect('remove ctx session1')
      assert.equal(SSL_CTX_remove_session(serverCtx, present(session)), 0)
      story.expect('remove ctx session1')
      const stranger = keep(present(d2i_SSL_SESSION(present(i2d_SSL_SESSION(present(session))))))
      assert.equal(SSL_SESSION_is_resumable(stranger), 1)
      assert.equal(SSL_CTX_remove_session(serverCtx, stranger), 0)
      story.expect('remove ctx session2')
      assert.equal(SSL_SESSION_is_resumable(stranger), 0)
    })

    it('gets the session that was named, though another object with the same id leaves the cache', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      const [cached] = fill(story, sessions, serverCtx, clientCtx, 1)
      const copy = keep(present(d2i_SSL_SESSION(present(i2d_SSL_SESSION(present(cached))))))
      story.call({ copy })
      assert.equal(SSL_CTX_remove_session(serverCtx, copy), 1)
      story.expect('remove ctx copy')
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      assert.equal(SSL_SESSION_is_resumable(present(cached)), 1)
      assert.equal(SSL_SESSION_is_resumable(copy), 0)
    })

    it('is called on the context that was named, even if the session is in the cache of another', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      const [session] = fill(story, sessions, serverCtx, clientCtx, 1)
      const other = serverContext(version)
      story.call({ other })
      tellCaching(story, other, 0)
      assert.equal(SSL_CTX_remove_session(other, present(session)), 0)
      story.expect('remove other session1')
      assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      assert.equal(SSL_SESSION_is_resumable(present(session)), 0)
      assert.throws(() => SSL_CTX_add_session(other, present(session)), { code: 'ERR_WRONG_CONTEXT' })
    })

    it('is called for the session that expires first when the cache is full', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      SSL_CTX_sess_set_cache_size(serverCtx, sizeFor(2))
      fill(story, sessions, serverCtx, clientCtx, 2)
      connect(serverCtx, clientCtx).close()
      story.expect('remove ctx session1', 'new ssl3 session3')
      connect(serverCtx, clientCtx).close()
      story.expect('remove ctx session2', 'new ssl4 session4')
      assert.equal(SSL_CTX_sess_number(serverCtx), 2)
      assert.equal(SSL_CTX_sess_cache_full(serverCtx), 2)
    })

    it('is called as often as it takes after the cache was made smaller, when the next session comes', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      fill(story, sessions, serverCtx, clientCtx, 4)
      SSL_CTX_sess_set_cache_size(serverCtx, sizeFor(2))
      story.expect()
      assert.equal(SSL_CTX_sess_number(serverCtx), 4)
      connect(serverCtx, clientCtx).close()
      expectRemovals(story, [1, 2, 3], { after: ['new ssl5 session5'] })
      assert.equal(SSL_CTX_sess_number(serverCtx), 2)
    })

    it('is called for every session still cached by SSL_CTX_free, with the context, which is dead by then', () => {
      const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
      fill(story, sessions, serverCtx, clientCtx, 3)
      SSL_CTX_sess_set_remove_cb(serverCtx, (ctx, session) => {
        story.tell('remove', ctx, session)
        assert.throws(() => SSL_CTX_sess_number(ctx), { code: 'ERR_HANDLE_FREED' })
        assert.equal(SSL_SESSION_is_resumable(session), 0)
      })
      SSL_CTX_free(serverCtx)
      expectRemovals(story, [1, 2, 3])
    })

    it('waits until the last connection is gone when SSL_CTX_free is not the end of the context', () => {
      const { story, serverCtx, clientCtx } = oneSessionEach(version)
      const pair = connect(serverCtx, clientCtx)
      story.call({ server: pair.server })
      SSL_CTX_free(serverCtx)
      story.expect('new ssl1 session1')
      pair.close()
      story.expect('remove ctx session1')
    })

    it('is not called by SSL_CTX_free for sessions that an external cache alone has', () => {
      const { story, serverCtx, clientCtx } = oneSessionEach(version)
      SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      SSL_CTX_free(serverCtx)
      story.expect()
    })

    describe('after a connection', () => {
      it('is not called when both sides have shut down', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        connect(serverCtx, clientCtx).close()
        story.expect('new ssl1 session1')
        assert.equal(SSL_SESSION_is_resumable(present(sessions[0])), 1)
        assert.equal(SSL_CTX_sess_number(serverCtx), 1)
      })

      it('is called by SSL_free when there was no SSL_shutdown', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        SSL_free(pair.server)
        story.expect('remove ctx session1')
        assert.equal(SSL_SESSION_is_resumable(present(sessions[0])), 0)
        assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      })

      it('is called by SSL_free though the peer has shut down: it is our side that counts', () => {
        const { story, serverCtx, clientCtx } = oneSessionEach(version)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        SSL_shutdown(pair.client)
        transfer(pair.client, pair.server)
        SSL_free(pair.server)
        story.expect('remove ctx session1')
      })

      it('is called by SSL_clear when there was no SSL_shutdown, and the connection has lost its session', () => {
        const { story, serverCtx, clientCtx } = oneSessionEach(version)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        assert.equal(SSL_clear(pair.server), 1)
        story.expect('remove ctx session1')
        assert.equal(SSL_get0_session(pair.server), null)
      })

      it('is not called when the shutdown is quiet or only declared', () => {
        const { story, serverCtx, clientCtx } = oneSessionEach(version)
        const declared = connect(serverCtx, clientCtx)
        SSL_set_shutdown(declared.server, SSL_SENT_SHUTDOWN)
        declared.drop()
        SSL_CTX_set_quiet_shutdown(serverCtx, 1)
        const quiet = connect(serverCtx, clientCtx)
        assert.equal(SSL_shutdown(quiet.server), 1)
        quiet.drop()
        story.expect('new ssl1 session1', 'new ssl2 session2')
        assert.equal(SSL_CTX_sess_number(serverCtx), 2)
      })

      it('is called when a fatal alert comes in', () => {
        const { story, serverCtx, clientCtx } = oneSessionEach(version)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        // A record that the client cannot decrypt makes it send the alert.
        arrive(pair.client, Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40)]))
        assert.throws(() => readNothing(pair.client))
        assert.ok(transfer(pair.client, pair.server) > 0)
        assert.throws(() => readNothing(pair.server))
        story.expect('remove ctx session1')
      })

      it('is called when a fatal alert goes out', () => {
        const { story, serverCtx, clientCtx } = oneSessionEach(version)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        arrive(pair.server, Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40)]))
        assert.throws(() => readNothing(pair.server))
        story.expect('remove ctx session1')
      })

      it('is called on a client as well', () => {
        const { clientCtx, serverCtx } = oneSessionEach(version)
        const story = new Story().call({ clientCtx })
        tellCaching(story, clientCtx, 0)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        SSL_free(pair.client)
        story.expect('remove clientCtx session1')
      })
    })

    it('is called when the handshake that resumes a session fails', () => {
      const { story, serverCtx, clientCtx, sessions, tickets } = oneSessionEach(version)
      connect(serverCtx, clientCtx).close()
      story.expect('new ssl1 session1')
      const pair = new Pair(serverCtx, clientCtx, present(tickets[0]))
      SSL_do_handshake(pair.client)
      transfer(pair.client, pair.server)
      SSL_do_handshake(pair.server)
      transfer(pair.server, pair.client)
      SSL_do_handshake(pair.client)
      const finished = sent(pair.client)
      finished.writeUInt8(finished.readUInt8(finished.length - 1) ^ 1, finished.length - 1)
      arrive(pair.server, finished)
      story.expect()
      assert.throws(
        () => pair.handshake(),
        (error) => error instanceof HandshakeFailure && error.side === 'server',
      )
      story.expect('remove ctx session1')
      assert.equal(SSL_SESSION_is_resumable(present(sessions[0])), 0)
      pair.drop()
      const again = connect(serverCtx, clientCtx, present(tickets[0]))
      assert.equal(again.reused, false)
    })

    describe('gets a session that', () => {
      it('is the very object that the application keeps', () => {
        const { serverCtx, clientCtx, sessions } = oneSessionEach(version)
        connect(serverCtx, clientCtx).close()
        const removed: SSL_SESSION[] = []
        SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => removed.push(session))
        SSL_CTX_flush_sessions(serverCtx, 0)
        assert.deepEqual([removed.length, removed[0] === sessions[0]], [1, true])
      })

      it('is only borrowed: it cannot be freed, and is dead when the callback returns', () => {
        const { serverCtx, clientCtx } = oneSessionEach(version)
        tellCaching(new Story(), serverCtx, 0)
        connect(serverCtx, clientCtx).close()
        let removed: SSL_SESSION | undefined
        SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => {
          removed = session
          assert.equal(SSL_SESSION_get_id(session).length, 32)
          assert.throws(() => SSL_SESSION_free(session), { code: 'ERR_NOT_OWNED' })
        })
        SSL_CTX_flush_sessions(serverCtx, 0)
        assert.ok(removed)
        const session = removed
        assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
        assert.throws(() => SSL_SESSION_up_ref(session), { code: 'ERR_HANDLE_FREED' })
      })

      it('stays when the callback takes a reference', () => {
        const { serverCtx, clientCtx } = oneSessionEach(version)
        tellCaching(new Story(), serverCtx, 0)
        connect(serverCtx, clientCtx).close()
        const saved: SSL_SESSION[] = []
        SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => {
          SSL_SESSION_up_ref(session)
          saved.push(keep(session))
        })
        SSL_CTX_flush_sessions(serverCtx, 0)
        assert.equal(owned('SSL_SESSION'), 2)
        assert.equal(SSL_SESSION_get_id(present(saved[0])).length, 32)
      })
    })

    describe('may touch the cache: it', () => {
      // The two causes under which OpenSSL calls back with the cache's lock in its hands. There are three sessions.
      const flush = (ctx: SSL_CTX) => SSL_CTX_flush_sessions(ctx, 0)
      const overfill = (ctx: SSL_CTX, clientCtx: SSL_CTX) => {
        SSL_CTX_sess_set_cache_size(ctx, sizeFor(3))
        connect(ctx, clientCtx).close()
      }

      /** Has a remove callback do something when it is called the first time. */
      function onFirstRemoval(story: Story, ctx: SSL_CTX, act: (session: SSL_SESSION) => void): void {
        let calls = 0
        SSL_CTX_sess_set_remove_cb(ctx, (from, session) => {
          story.tell('remove', from, session)
          if (calls++ === 0) act(session)
        })
      }

      it('puts a session back that a flush removes', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        fill(story, sessions, serverCtx, clientCtx, 3)
        let putBack: SSL_SESSION | undefined
        onFirstRemoval(story, serverCtx, (session) => {
          putBack = session
          assert.equal(SSL_CTX_add_session(serverCtx, session), 1)
        })
        flush(serverCtx)
        expectRemovals(story, [1, 2, 3])
        assert.equal(SSL_CTX_sess_number(serverCtx), 1)
        assert.equal(SSL_CTX_remove_session(serverCtx, present(putBack)), 1)
      })

      it('puts a session back that a full cache removes, which removes the next', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        fill(story, sessions, serverCtx, clientCtx, 3)
        onFirstRemoval(story, serverCtx, (session) => assert.equal(SSL_CTX_add_session(serverCtx, session), 1))
        overfill(serverCtx, clientCtx)
        story.expect('remove ctx session1', 'new ssl4 session4', 'remove ctx session2')
        assert.equal(SSL_CTX_sess_number(serverCtx), 3)
        assert.equal(SSL_CTX_remove_session(serverCtx, present(sessions[0])), 1)
      })

      it('removes another session while a flush removes one', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        const [, second] = fill(story, sessions, serverCtx, clientCtx, 3)
        onFirstRemoval(story, serverCtx, () => assert.equal(SSL_CTX_remove_session(serverCtx, present(second)), 0))
        flush(serverCtx)
        expectRemovals(story, [1, 2, 3], { after: ['remove ctx session2'] })
        assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      })

      it('removes another session while a full cache removes one', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        const [, second] = fill(story, sessions, serverCtx, clientCtx, 3)
        onFirstRemoval(story, serverCtx, () => assert.equal(SSL_CTX_remove_session(serverCtx, present(second)), 1))
        overfill(serverCtx, clientCtx)
        story.expect('remove ctx session1', 'new ssl4 session4', 'remove ctx session2')
        assert.equal(SSL_CTX_sess_number(serverCtx), 2)
      })

      it('flushes the cache while a flush removes sessions', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        fill(story, sessions, serverCtx, clientCtx, 3)
        onFirstRemoval(story, serverCtx, () => flush(serverCtx))
        flush(serverCtx)
        expectRemovals(story, [1, 2, 3])
        assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      })

      it('flushes the cache while a full cache removes a session', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        fill(story, sessions, serverCtx, clientCtx, 3)
        onFirstRemoval(story, serverCtx, () => flush(serverCtx))
        overfill(serverCtx, clientCtx)
        expectRemovals(story, [2, 3, 4], { before: ['remove ctx session1', 'new ssl4 session4'] })
        assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      })

      it('changes the size of the cache that removes a session because it is full', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        fill(story, sessions, serverCtx, clientCtx, 3)
        onFirstRemoval(story, serverCtx, () => {
          assert.equal(SSL_CTX_sess_set_cache_size(serverCtx, sizeFor(1)), sizeFor(3))
          assert.equal(SSL_CTX_sess_get_cache_size(serverCtx), sizeFor(1))
        })
        overfill(serverCtx, clientCtx)
        story.expect('remove ctx session1', 'new ssl4 session4')
        connect(serverCtx, clientCtx).close()
        expectRemovals(story, [2, 3, 4], { after: ['new ssl5 session5'] })
      })

      it('frees the context that it was given', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        const contexts = live('SSL_CTX')
        fill(story, sessions, serverCtx, clientCtx, 2)
        onFirstRemoval(story, serverCtx, () => SSL_CTX_free(serverCtx))
        SSL_CTX_remove_session(serverCtx, present(sessions[1]))
        story.expect('remove ctx session2', 'remove ctx session1')
        assert.equal(live('SSL_CTX'), contexts - 1)
      })

      it('frees the connection whose end removed the session', () => {
        const { story, serverCtx, clientCtx } = oneSessionEach(version)
        const pair = connect(serverCtx, clientCtx)
        story.expect('new ssl1 session1')
        SSL_CTX_sess_set_remove_cb(serverCtx, (ctx, session) => {
          story.tell('remove', ctx, session)
          SSL_free(pair.server)
        })
        assert.equal(SSL_clear(pair.server), 1)
        story.expect('remove ctx session1')
        assert.throws(() => SSL_clear(pair.server), { code: 'ERR_HANDLE_FREED' })
      })

      it('does a whole handshake', () => {
        const { story, serverCtx, clientCtx, sessions } = oneSessionEach(version)
        fill(story, sessions, serverCtx, clientCtx, 2)
        SSL_CTX_sess_set_remove_cb(serverCtx, (ctx, session) => {
          story.tell('remove', ctx, session)
          connect(serverCtx, clientCtx).close()
        })
        SSL_CTX_remove_session(serverCtx, present(sessions[0]))
        story.expect('remove ctx session1', 'new ssl3 session3')
        assert.equal(SSL_CTX_sess_number(serverCtx), 2)
      })
    })
  })

  it('makes TLS 1.3 servers cache the sessions of stateless tickets, so that it can be called', () => {
    const [without, with_, clientCtx] = [
      serverContext(TLS1_3_VERSION, 'stateless'),
      serverContext(TLS1_3_VERSION, 'stateless'),
      clientContext(),
    ]
    connect(without, clientCtx).close()
    assert.equal(SSL_CTX_sess_number(without), 0)
    const story = new Story().call({ ctx: with_ })
    tellCaching(story, with_, 0)
    connect(with_, clientCtx).close()
    story.expect('new ssl1 session1', 'new ssl1 session2')
    assert.equal(SSL_CTX_sess_number(with_), 2)
    SSL_CTX_flush_sessions(with_, 0)
  })

  it('is called, after an unclean end of a TLS 1.3 connection, for the session of its last ticket only', () => {
    const story = new Story()
    const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
    story.call({ ctx: serverCtx })
    const sessions = tellCaching(story, serverCtx, 1)
    connect(serverCtx, clientCtx).drop()
    story.expect('new ssl1 session1', 'new ssl1 session2', 'remove ctx session2')
    assert.deepEqual(sessions.map(SSL_SESSION_is_resumable), [1, 0])
  })
})
