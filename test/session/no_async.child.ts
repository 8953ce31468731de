// What is different without async jobs: there is no fibre to pause, so the get callback runs inside the call that
// drives the handshake and has to answer at once. Run by no_async.test.ts, with OPENSSL_SESSION_ASYNC=0.

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import {
  runtime,
  SSL_accept,
  SSL_CTX_sess_set_get_cb,
  SSL_clear,
  SSL_do_handshake,
  SSL_peek,
  SSL_read,
  SSL_SESSION_get_id,
  SSL_set_accept_state,
  SSL_set_session,
  SSL_shutdown,
  SSL_waiting_for_async,
  SSL_waiting_session,
  SSL_write,
} from 'openssl-session/libssl'
import { leaveNothingBehind, owned } from '../support/accounts.js'
import { externalCache } from '../support/external_cache.js'
import { inEachProtocol, Pair } from '../support/peers.js'

describe('Without async jobs', () => {
  leaveNothingBehind()

  it('runtime() says so', () => {
    assert.equal(runtime().asyncJobs, false)
  })

  inEachProtocol((version) => {
    it('a promise is a miss, and ERR_SYNC_ANSWER_REQUIRED comes out of the call', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_sess_set_get_cb(serverCtx, async (_ssl, _id, copy) => {
        copy.value = 0
        return session
      })
      const ownedBefore = owned('SSL_SESSION')
      const pair = new Pair(serverCtx, clientCtx, ticket)
      assert.throws(() => pair.handshake(), { code: 'ERR_SYNC_ANSWER_REQUIRED' })
      assert.equal(pair.handshake().reused, false)
      await setImmediate()
      assert.equal(owned('SSL_SESSION'), ownedBefore)
      assert.equal(SSL_SESSION_get_id(session).length, 32)
    })

    it('nobody hears more of a promise that was refused', async () => {
      const { serverCtx, clientCtx, ticket } = externalCache(version)
      SSL_CTX_sess_set_get_cb(serverCtx, () => Promise.reject(new Error('the store is down')))
      const pair = new Pair(serverCtx, clientCtx, ticket)
      const rejections: unknown[] = []
      const hear = (reason: unknown) => rejections.push(reason)
      process.prependListener('unhandledRejection', hear)
      const listeners = process.listeners('unhandledRejection').filter((listener) => listener !== hear)
      for (const listener of listeners) process.off('unhandledRejection', listener)
      try {
        assert.throws(() => pair.handshake(), { code: 'ERR_SYNC_ANSWER_REQUIRED' })
        await setImmediate()
      } finally {
        process.off('unhandledRejection', hear)
        for (const listener of listeners) process.on('unhandledRejection', listener)
      }
      assert.deepEqual(rejections, [])
    })

    it('the get callback cannot drive or reset its own connection: that throws ERR_SSL_BUSY, and the handshake goes on', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const buffer = Buffer.alloc(10)
      const calls: Record<string, (ssl: Pair['server']) => unknown> = {
        SSL_do_handshake,
        SSL_accept,
        SSL_read: (ssl) => SSL_read(ssl, buffer),
        SSL_peek: (ssl) => SSL_peek(ssl, buffer),
        SSL_write: (ssl) => SSL_write(ssl, buffer),
        SSL_shutdown,
        SSL_clear,
        SSL_set_accept_state,
        SSL_set_session: (ssl) => SSL_set_session(ssl, null),
      }
      const codes: Record<string, string> = {}
      SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
        for (const [name, call] of Object.entries(calls)) {
          try {
            codes[name] = `returned ${call(ssl)}`
          } catch (error) {
            codes[name] = (error as { code: string }).code
          }
        }
        return session
      })
      const pair = new Pair(serverCtx, clientCtx, ticket).handshake()
      assert.equal(pair.reused, true)
      assert.deepEqual(codes, Object.fromEntries(Object.keys(calls).map((name) => [name, 'ERR_SSL_BUSY'])))
    })

    it('there is never anything to wait for', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const waited: Promise<void>[] = []
      SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
        waited.push(SSL_waiting_session(ssl))
        assert.equal(SSL_waiting_for_async(ssl), 0)
        return session
      })
      const pair = new Pair(serverCtx, clientCtx, ticket)
      await SSL_waiting_session(pair.server)
      pair.handshake()
      assert.equal(pair.reused, true)
      await Promise.all(waited)
      assert.equal(waited.length, 1)
    })
  })
})
