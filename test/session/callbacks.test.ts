// What all callbacks have in common: setting, replacing and clearing them, and what becomes of an exception in one.

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import {
  d2i_SSL_SESSION,
  ERR_clear_error,
  ERR_peek_error,
  type SSL_CTX,
  SSL_CTX_flush_sessions,
  SSL_CTX_free,
  SSL_CTX_get_keylog_callback,
  SSL_CTX_remove_session,
  SSL_CTX_sess_get_get_cb,
  SSL_CTX_sess_get_new_cb,
  SSL_CTX_sess_get_remove_cb,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_cert_cb,
  SSL_CTX_set_keylog_callback,
  SSL_CTX_set_max_proto_version,
  SSL_CTX_set_num_tickets,
  SSL_free,
  SSL_get0_session,
  SSL_get1_session,
  SSL_read,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_get_id,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import { runFresh } from '../support/children.js'
import {
  arrive,
  clientContext,
  connect,
  inEachProtocol,
  keep,
  lastReason,
  Pair,
  present,
  serverContext,
} from '../support/peers.js'
import { Story, tellCaching } from '../support/story.js'

// Any function will do to be set and found again.
type Callback = () => null
const callbacks: Record<string, [(ctx: SSL_CTX, f: Callback | null) => void, (ctx: SSL_CTX) => unknown]> = {
  SSL_CTX_sess_get_new_cb: [SSL_CTX_sess_set_new_cb as never, SSL_CTX_sess_get_new_cb],
  SSL_CTX_sess_get_remove_cb: [SSL_CTX_sess_set_remove_cb, SSL_CTX_sess_get_remove_cb],
  SSL_CTX_sess_get_get_cb: [SSL_CTX_sess_set_get_cb, SSL_CTX_sess_get_get_cb],
  SSL_CTX_get_keylog_callback: [SSL_CTX_set_keylog_callback, SSL_CTX_get_keylog_callback],
}

describe('Callbacks of a context', () => {
  leaveNothingBehind()

  for (const [getter, [set, get]] of Object.entries(callbacks)) {
    describe(getter, () => {
      it('returns null until a function is set, then that very function, then its replacement, then null again', () => {
        const ctx = serverContext(TLS1_3_VERSION)
        assert.equal(get(ctx), null)
        const [first, second] = [() => null, () => null]
        set(ctx, first)
        assert.equal(get(ctx), first)
        set(ctx, first)
        assert.equal(get(ctx), first)
        set(ctx, second)
        assert.equal(get(ctx), second)
        set(ctx, null)
        assert.equal(get(ctx), null)
        set(ctx, null)
        assert.equal(get(ctx), null)
      })

      it('knows nothing of other contexts', () => {
        const [one, other] = [serverContext(TLS1_3_VERSION), serverContext(TLS1_3_VERSION)]
        set(one, () => null)
        assert.equal(get(other), null)
        set(other, null)
        assert.notEqual(get(one), null)
      })
    })
  }

  it('returned by the three getters differ from each other', () => {
    const ctx = serverContext(TLS1_3_VERSION)
    const [onNew, onRemove, onGet] = [() => 0, () => {}, () => null]
    SSL_CTX_sess_set_new_cb(ctx, onNew)
    SSL_CTX_sess_set_remove_cb(ctx, onRemove)
    SSL_CTX_sess_set_get_cb(ctx, onGet)
    assert.deepEqual(
      [SSL_CTX_sess_get_new_cb(ctx), SSL_CTX_sess_get_remove_cb(ctx), SSL_CTX_sess_get_get_cb(ctx)],
      [onNew, onRemove, onGet],
    )
  })

  it('can be nothing but functions or null: anything else is a TypeError and leaves what was set', () => {
    const ctx = serverContext(TLS1_3_VERSION)
    for (const [set, get] of Object.values(callbacks)) {
      const callback = () => null
      set(ctx, callback)
      for (const wrong of [undefined, 1, 'f', {}, [], ctx]) {
        assert.throws(() => set(ctx, wrong as never), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
      }
      assert.equal(get(ctx), callback)
    }
    assert.throws(() => SSL_CTX_set_cert_cb(ctx, 1 as never), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
  })

  inEachProtocol((version) => {
    it('are called as last set, and not at all once cleared', () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_max_proto_version(clientCtx, version)
      SSL_CTX_sess_set_new_cb(serverCtx, () => story.tell('first'))
      connect(serverCtx, clientCtx).close()
      SSL_CTX_sess_set_new_cb(serverCtx, () => story.tell('second'))
      connect(serverCtx, clientCtx).close()
      SSL_CTX_sess_set_new_cb(serverCtx, null)
      connect(serverCtx, clientCtx).close()
      SSL_CTX_sess_set_remove_cb(serverCtx, () => story.tell('removed'))
      SSL_CTX_sess_set_remove_cb(serverCtx, null)
      SSL_CTX_flush_sessions(serverCtx, 0)
      story.expect(...(version === TLS1_3_VERSION ? ['first', 'first', 'second', 'second'] : ['first', 'second']))
    })

    it('that are cleared by another callback of the same call are not called, and nothing leaks', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      tellCaching(new Story(), serverCtx, 0)
      for (let i = 0; i < 3; i++) connect(serverCtx, clientCtx).close()
      let calls = 0
      SSL_CTX_sess_set_remove_cb(serverCtx, (ctx) => {
        calls++
        SSL_CTX_sess_set_remove_cb(ctx, null)
      })
      const alive = live('SSL_SESSION')
      const cached = SSL_CTX_sess_number(serverCtx)
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(calls, 1)
      assert.equal(live('SSL_SESSION'), alive - cached)
    })

    it('leave on the error queue what the call left there, whatever they do', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const failingCall = () => {
        assert.equal(d2i_SSL_SESSION(Buffer.from('no session')), null)
        assert.notEqual(ERR_peek_error(), 0)
      }
      SSL_CTX_sess_set_new_cb(serverCtx, failingCall)
      ERR_clear_error()
      const { server } = connect(serverCtx, clientCtx)
      assert.equal(ERR_peek_error(), 0)
      SSL_CTX_sess_set_remove_cb(serverCtx, () => {
        failingCall()
        ERR_clear_error()
      })
      arrive(server, Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40)]))
      assert.equal(SSL_read(server, Buffer.alloc(1)), -1)
      assert.notEqual(lastReason(), '')
    })
  })
})

describe('A callback that throws', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    it('has its exception come out of the call, and the other callbacks of that call are called later', async () => {
      const story = new Story()
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const kept = tellCaching(new Story(), serverCtx, 1)
      for (let i = 0; i < 3; i++) connect(serverCtx, clientCtx).close()
      const failure = new Error('not now')
      let calls = 0
      SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => {
        story.tell('remove', session)
        if (calls++ === 0) throw failure
      })
      assert.throws(
        () => SSL_CTX_flush_sessions(serverCtx, 0),
        (error) => error === failure,
      )
      assert.equal(SSL_CTX_sess_number(serverCtx), 0)
      story.expect('remove session1')
      await setImmediate()
      story.expect(...kept.slice(1).map((_, index) => `remove session${index + 2}`))
    })

    it('has the others called by the next call that has callbacks, if that comes before the loop turns', () => {
      const told: SSL_SESSION[] = []
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const [first, second] = [connect(serverCtx, clientCtx), connect(serverCtx, clientCtx)]
      const extra = connect(serverCtx, clientCtx)
      const lastMade = keep(present(SSL_get1_session(extra.server)))
      first.close()
      second.close()
      SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => {
        told.push(session)
        if (told.length === 1) throw new Error('not now')
      })
      assert.throws(() => SSL_CTX_flush_sessions(serverCtx, 0), /not now/)
      assert.equal(told.length, 1)
      extra.drop()
      const sessions = version === TLS1_3_VERSION ? 6 : 3
      assert.equal(new Set(told.slice(0, sessions)).size, sessions)
      // The last one that was made is removed again, by the unclean end of its connection.
      assert.equal(told.length, sessions + 1)
      assert.equal(told.at(-1), lastMade)
    })

    it('leaves the session to nobody: the reference that came with it is given back', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const ownedBefore = owned('SSL_SESSION')
      const failure = new RangeError('no more room')
      let calls = 0
      SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
        calls++
        assert.equal(SSL_SESSION_get_id(session).length, 32)
        if (calls === 1) throw failure
        return 0
      })
      const pair = new Pair(serverCtx, clientCtx)
      assert.throws(
        () => pair.handshake(),
        (error) => error === failure,
      )
      assert.equal(owned('SSL_SESSION'), ownedBefore)
      pair.handshake()
      assert.equal(pair.reused, false)
    })

    it('may throw anything', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      for (const thrown of [undefined, null, 0, 'text', Symbol.iterator]) {
        const pair = connect(serverCtx, clientCtx)
        SSL_CTX_sess_set_remove_cb(serverCtx, () => {
          throw thrown
        })
        let caught: unknown = 'nothing'
        try {
          SSL_CTX_remove_session(serverCtx, keep(present(SSL_SESSION_dup(present(SSL_get0_session(pair.server))))))
        } catch (error) {
          caught = error
        }
        assert.equal(caught, thrown)
        SSL_CTX_sess_set_remove_cb(serverCtx, null)
        pair.close()
      }
    })

    it('in SSL_free or SSL_CTX_free does not stop what is freed', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const [connections, contexts] = [live('SSL'), live('SSL_CTX')]
      SSL_CTX_set_num_tickets(serverCtx, 1)
      const [pair, other] = [connect(serverCtx, clientCtx), connect(serverCtx, clientCtx)]
      SSL_CTX_sess_set_remove_cb(serverCtx, () => {
        throw new Error('not now')
      })
      assert.throws(() => SSL_free(pair.server), /not now/)
      assert.equal(live('SSL'), connections + 3)
      other.close()
      assert.throws(() => SSL_CTX_free(serverCtx), /not now/)
      SSL_free(pair.client)
      assert.deepEqual([live('SSL'), live('SSL_CTX')], [connections, contexts - 1])
    })
  })

  it('when the loop calls it is an uncaught exception, and the rest is still delivered', () => {
    const { told, uncaught } = runFresh<{ told: string[]; uncaught: string[] }>(`
      const peers = await use('peers')
      const ssl = await import('openssl-session/libssl')
      const { setImmediate } = await import('node:timers/promises')
      const [told, uncaught] = [[], []]
      process.on('uncaughtException', (error) => uncaught.push(error.message))
      const serverCtx = peers.serverContext(ssl.TLS1_2_VERSION)
      const clientCtx = peers.clientContext()
      for (let i = 0; i < 4; i++) peers.connect(serverCtx, clientCtx).close()
      ssl.SSL_CTX_sess_set_remove_cb(serverCtx, () => {
        told.push('remove ' + (told.length + 1))
        if (told.length < 4) throw new Error('thrown by ' + told.length)
      })
      try {
        ssl.SSL_CTX_flush_sessions(serverCtx, 0)
      } catch (error) {
        told.push(error.message)
        told.length = 1
      }
      await setImmediate()
      await setImmediate()
      return { told, uncaught }`)
    assert.deepEqual(told, ['remove 1', 'remove 2', 'remove 3', 'remove 4'])
    assert.deepEqual(uncaught, ['thrown by 2', 'thrown by 3'])
  })
})
