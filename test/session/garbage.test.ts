// The safety net: what the garbage collector frees when the application has forgotten it, what it leaves alone, and how
// it tells.

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  BIO_new,
  BIO_s_mem,
  BIO_up_ref,
  SSL_CTX,
  SSL_CTX_flush_sessions,
  SSL_CTX_free,
  SSL_CTX_get_timeout,
  SSL_CTX_get0_certificate,
  SSL_CTX_new,
  SSL_CTX_sess_get_get_cb,
  SSL_CTX_sess_get_new_cb,
  SSL_CTX_sess_get_remove_cb,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_up_ref,
  SSL_do_handshake,
  SSL_get_SSL_CTX,
  SSL_get0_session,
  SSL_new,
  SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_new,
  SSL_SESSION_up_ref,
  SSL_waiting_for_async,
  SSL_waiting_session,
  TLS_method,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import {
  collect,
  collected,
  collectGarbage,
  countInEachTest,
  leaveNothingBehind,
  live,
  owned,
} from '../support/accounts.js'
import { runFresh, runFreshWithStderr } from '../support/children.js'
import { externalCache } from '../support/external_cache.js'
import {
  clientContext,
  connect,
  forgetAll,
  inEachProtocol,
  keep,
  Pair,
  present,
  serverContext,
  transfer,
} from '../support/peers.js'
import { Story } from '../support/story.js'

const counts = () => ({ SSL_CTX: live('SSL_CTX'), SSL: live('SSL'), SSL_SESSION: live('SSL_SESSION') })

const nothing = { SSL_CTX: 0, SSL: 0, SSL_SESSION: 0 }

/** Collects garbage until nothing is left of what the test made. What falls out of it may take a turn of the loop. */
const collectAll = () => collectGarbage(() => isDeepStrictEqual(counts(), nothing))

describe('The garbage collector', () => {
  countInEachTest()

  for (const [name, forget] of [
    ['SSL_SESSION', SSL_SESSION_new],
    ['SSL_CTX', () => SSL_CTX_new(TLS_method())],
    ['BIO', () => BIO_new(BIO_s_mem())],
  ] as const) {
    it(`gives a forgotten ${name} back, and counts it`, async () => {
      for (let i = 0; i < 10; i++) forget()
      assert.equal(owned(name), 10)
      await collectGarbage(() => owned(name) === 0)
      assert.equal(owned(name), 0)
      assert.equal(collected(name), 10)
      assert.deepEqual(counts(), nothing)
    })
  }

  it('gives back every reference that a forgotten handle owned', async () => {
    const forget = () => {
      const session = present(SSL_SESSION_new())
      for (let i = 0; i < 4; i++) SSL_SESSION_up_ref(session)
      SSL_CTX_up_ref(present(SSL_CTX_new(TLS_method())))
      BIO_up_ref(present(BIO_new(BIO_s_mem())))
    }
    forget()
    await collectGarbage(() => collected('SSL_SESSION') + collected('SSL_CTX') + collected('BIO') === 9)
    assert.deepEqual(counts(), nothing)
    assert.deepEqual([collected('SSL_SESSION'), collected('SSL_CTX'), collected('BIO')], [5, 2, 2])
  })

  it('leaves one object to what has another already when the first one is collected', async () => {
    const ctx = serverContext(TLS1_3_VERSION)
    const forget = () => present(SSL_CTX_get0_certificate(ctx))
    forget()
    collect()
    const certificate = present(SSL_CTX_get0_certificate(ctx))
    // Only now is the first one's end worked off.
    await setImmediate()
    await setImmediate()
    assert.equal(SSL_CTX_get0_certificate(ctx), certificate)
    SSL_CTX_free(ctx)
  })

  it('has nothing to count when handles were freed or only borrowed', async () => {
    const forget = () => {
      const pair = connect(serverContext(TLS1_3_VERSION), clientContext())
      SSL_SESSION_free(SSL_SESSION_dup(present(SSL_get0_session(pair.client))))
      for (const ssl of [pair.server, pair.client]) SSL_CTX_free(SSL_get_SSL_CTX(ssl))
      pair.close()
    }
    forget()
    forgetAll()
    await collectGarbage()
    assert.deepEqual(['SSL_SESSION', 'SSL', 'SSL_CTX', 'BIO'].map(collected), [0, 0, 0, 0])
    assert.deepEqual(counts(), nothing)
  })

  inEachProtocol((version) => {
    it('frees a whole forgotten scene: contexts, connections, sessions', async () => {
      const forget = () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => session)
        assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
      }
      for (let i = 0; i < 5; i++) forget()
      forgetAll()
      await collectAll()
      assert.deepEqual(counts(), nothing)
    })

    it('frees a context whose callbacks refer to it, and its connections', async () => {
      const forget = () => {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        const pair = new Pair(serverCtx, clientCtx)
        SSL_CTX_sess_set_new_cb(serverCtx, () => SSL_CTX_sess_number(serverCtx) > 1000 && pair.reused)
        SSL_CTX_sess_set_remove_cb(serverCtx, () => void SSL_CTX_sess_number(serverCtx))
        SSL_CTX_sess_set_get_cb(serverCtx, () => SSL_get0_session(pair.server))
        pair.handshake()
      }
      forget()
      forgetAll()
      await collectAll()
      assert.deepEqual(counts(), nothing)
    })

    it('unwinds a forgotten handshake that waits for an answer, and tells who waits for it', async () => {
      let told = 0
      const forget = () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => new Promise(() => {}))
        const { client, server } = new Pair(serverCtx, clientCtx, ticket)
        SSL_do_handshake(client)
        transfer(client, server)
        SSL_do_handshake(server)
        assert.equal(SSL_waiting_for_async(server), 1)
        SSL_waiting_session(server).then(() => told++)
      }
      for (let i = 0; i < 3; i++) forget()
      forgetAll()
      await collectAll()
      assert.deepEqual(counts(), nothing)
      await setImmediate()
      assert.equal(told, 3)
    })

    it('has the remove callback told of the sessions of a forgotten context, if the function is still there', async () => {
      const story = new Story()
      const onRemove = (ctx: SSL_CTX, session: SSL_SESSION) => {
        assert.ok(ctx instanceof SSL_CTX && session instanceof SSL_SESSION)
        assert.throws(() => SSL_CTX_get_timeout(ctx), { code: 'ERR_HANDLE_FREED' })
        assert.equal(SSL_SESSION_get_id(session).length, 32)
        story.tell('removed', session)
      }
      const forget = () => {
        const serverCtx = serverContext(version)
        SSL_CTX_set_num_tickets(serverCtx, 1)
        SSL_CTX_sess_set_remove_cb(serverCtx, onRemove)
        for (let i = 0; i < 2; i++) connect(serverCtx, clientContext()).close()
      }
      forget()
      forgetAll()
      await collectAll()
      story.expect('removed session1', 'removed session2')
      assert.deepEqual(counts(), nothing)
    })
  })

  describe('leaves alone', () => {
    leaveNothingBehind()

    it('the callbacks of a context that is in use, even if only a connection uses it', async () => {
      const story = new Story()
      const scene = () => {
        const serverCtx = serverContext(TLS1_2_VERSION)
        SSL_CTX_sess_set_new_cb(serverCtx, () => story.tell('new'))
        SSL_CTX_sess_set_remove_cb(serverCtx, () => story.tell('remove'))
        const pair = new Pair(serverCtx, clientContext())
        for (const ctx of [serverCtx, SSL_get_SSL_CTX(pair.client)]) SSL_CTX_free(ctx)
        return pair
      }
      const pair = scene()
      forgetAll()
      await collectGarbage()
      pair.handshake()
      story.expect('new')
      const ctx = present(SSL_get_SSL_CTX(pair.server))
      assert.notEqual(SSL_CTX_sess_get_new_cb(ctx), null)
      await collectGarbage()
      SSL_CTX_flush_sessions(ctx, 0)
      story.expect('remove')
      pair.close()
    })

    it('the callbacks of a context whose handle was asked from a connection', async () => {
      const serverCtx = serverContext(TLS1_2_VERSION)
      const set = () => {
        SSL_CTX_sess_set_new_cb(serverCtx, () => 0)
        SSL_CTX_sess_set_get_cb(serverCtx, () => null)
        assert.equal(SSL_get_SSL_CTX(keep(present(SSL_new(serverCtx)))), serverCtx)
        SSL_CTX_sess_set_remove_cb(serverCtx, () => {})
      }
      set()
      await collectGarbage()
      for (const get of [SSL_CTX_sess_get_new_cb, SSL_CTX_sess_get_get_cb, SSL_CTX_sess_get_remove_cb]) {
        assert.equal(typeof get(serverCtx), 'function')
      }
    })

    it('a session that OpenSSL has: another object stands for it when the first was collected', async () => {
      const serverCtx = serverContext(TLS1_2_VERSION)
      let first: WeakRef<SSL_SESSION> | undefined
      SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
        first = new WeakRef(session)
      })
      connect(serverCtx, clientContext()).close()
      // Not asked in between: asking for it keeps it for the rest of the turn.
      await collectGarbage()
      assert.equal(first?.deref(), undefined)
      let removed = 0
      SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => {
        assert.equal(SSL_SESSION_get_id(session).length, 32)
        removed++
      })
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(removed, 1)
    })
  })
})

describe('OPENSSL_SESSION_TRACE', () => {
  const forgetful = `
    const ssl = await import('openssl-session/libssl')
    const { setImmediate } = await import('node:timers/promises')
    const forget = () => {
      const session = ssl.SSL_SESSION_new()
      ssl.SSL_SESSION_up_ref(session)
      const ctx = ssl.SSL_CTX_new(ssl.TLS_method())
      ssl.SSL_get_SSL_CTX(ssl.SSL_new(ctx))
      ssl.BIO_free(ssl.BIO_new(ssl.BIO_s_mem()))
    }
    forget()
    for (let i = 0; i < 5; i++) {
      gc()
      await setImmediate()
    }
    const { live, collected } = ssl.leaks()
    return { live, collected }`

  it('=1 writes a line for each handle that the garbage collector had to free, and for no other', () => {
    const { result, stderr } = runFreshWithStderr<ReturnType<typeof Object>>(forgetful, { OPENSSL_SESSION_TRACE: '1' })
    const lines = stderr.split('\n').filter((line) => line.startsWith('openssl-session: '))
    assert.equal(lines.length, 3, stderr)
    assert.match(lines.join('\n'), /SSL_SESSION\b.* 2 reference/)
    assert.match(lines.join('\n'), /SSL_CTX\b.* 1 reference/)
    assert.match(lines.join('\n'), /SSL\b.* 1 reference/)
    assert.deepEqual(result.live, { SSL_CTX: 0, SSL: 0, SSL_SESSION: 0 })
    const { SSL_CTX: contexts, SSL: connections, SSL_SESSION: sessions, BIO: bios } = result.collected
    assert.deepEqual([contexts, connections, sessions, bios], [1, 1, 2, 0])
  })

  it('is silent unless it is 1', () => {
    for (const value of ['', '0']) {
      const { stderr } = runFreshWithStderr(forgetful, { OPENSSL_SESSION_TRACE: value })
      assert.equal(stderr, '')
    }
    assert.ok(runFresh(forgetful))
  })
})
