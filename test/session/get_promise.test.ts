// The get callback, answering with a promise: the handshake pauses, and goes on when the answer is there. What the
// answers mean is in get.test.ts. These tests need async jobs.

import assert from 'node:assert/strict'
import { setImmediate, setTimeout } from 'node:timers/promises'
import {
  type GetSessionCallback,
  type SSL,
  SSL_ASYNC_PAUSED,
  SSL_accept,
  type SSL_CTX,
  SSL_CTX_free,
  SSL_CTX_remove_session,
  SSL_CTX_sess_cb_hits,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_set_num_tickets,
  SSL_clear,
  SSL_do_handshake,
  SSL_ERROR_WANT_ASYNC,
  SSL_ERROR_WANT_READ,
  SSL_free,
  SSL_get_error,
  SSL_in_init,
  SSL_peek,
  SSL_read,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_set_session,
  SSL_waiting_for_async,
  SSL_waiting_session,
  SSL_want,
  SSL_write,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import { type ExternalCache, externalCache, restored } from '../support/external_cache.js'
import { echo, inEachProtocol, keep, Pair, present, sent, transfer } from '../support/peers.js'
import { checksAnsweredIsResumable } from '../support/versions.js'

/** A connection to a server with an external cache whose ClientHello has arrived. */
function proposed(serverCtx: SSL_CTX, clientCtx: SSL_CTX, ticket: SSL_SESSION): Pair {
  const pair = new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket))))
  SSL_do_handshake(pair.client)
  transfer(pair.client, pair.server)
  return pair
}

/** A promise with its two ends in hand. */
function open<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (reason: unknown) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

function assertPaused(pair: Pair): void {
  const result = SSL_do_handshake(pair.server)
  assert.equal(result, -1)
  assert.equal(SSL_get_error(pair.server, result), SSL_ERROR_WANT_ASYNC)
  assert.equal(SSL_want(pair.server), SSL_ASYNC_PAUSED)
  assert.equal(SSL_waiting_for_async(pair.server), 1)
  assert.equal(SSL_in_init(pair.server), 1)
  assert.equal(sent(pair.server).length, 0)
}

describe('A get callback that answers a promise', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    it('pauses the handshake, which goes on with the session once the promise is kept', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const answer = open<SSL_SESSION>()
      let calls = 0
      SSL_CTX_sess_set_get_cb(serverCtx, () => {
        calls++
        return answer.promise
      })
      const pair = proposed(serverCtx, clientCtx, ticket)
      assertPaused(pair)
      let settled = false
      const waiting = SSL_waiting_session(pair.server).then((value) => {
        settled = true
        assert.equal(value, undefined)
      })
      await setImmediate()
      assert.equal(settled, false)
      assertPaused(pair)
      answer.resolve(session)
      await waiting
      assert.equal(SSL_waiting_for_async(pair.server), 1)
      pair.handshake()
      assert.equal(SSL_waiting_for_async(pair.server), 0)
      assert.equal(pair.reused, true)
      assert.equal(calls, 1)
      assert.equal(echo(pair.client, pair.server, 'hello'), 'hello')
    })

    for (const nothing of [null, undefined]) {
      it(`of ${nothing} makes it a full handshake`, async () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, async () => nothing)
        const pair = await new Pair(serverCtx, clientCtx, ticket).handshakeAwaiting()
        assert.equal(pair.reused, false)
      })
    }

    it('has copy read when the promise is kept', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const [alive, ownedBefore] = [live('SSL_SESSION'), owned('SSL_SESSION')]
      SSL_CTX_sess_set_get_cb(serverCtx, async (_ssl, _id, copy) => {
        await setTimeout(2)
        copy.value = 0
        return restored(session)
      })
      SSL_CTX_set_num_tickets(serverCtx, 0)
      const pair = await new Pair(serverCtx, clientCtx, ticket).handshakeAwaiting()
      assert.equal(pair.reused, true)
      assert.equal(owned('SSL_SESSION'), ownedBefore)
      assert.equal(live('SSL_SESSION'), alive + 1)
    })

    it('keeps its reference when copy is left alone', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const answers: SSL_SESSION[] = []
      SSL_CTX_sess_set_get_cb(serverCtx, async () => {
        answers.push(restored(session))
        return answers[0]
      })
      const pair = await new Pair(serverCtx, clientCtx, ticket).handshakeAwaiting()
      assert.equal(pair.reused, true)
      pair.close()
      const alive = live('SSL_SESSION')
      SSL_SESSION_free(present(answers[0]))
      assert.equal(live('SSL_SESSION'), alive - 1)
    })

    it('may have any thenable instead', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const thenable = {
        // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
        then(fulfil: (value: SSL_SESSION) => void, reject: (reason: unknown) => void) {
          setImmediate().then(() => {
            fulfil(session)
            fulfil(session)
            reject(new Error('too late'))
          })
        },
      }
      SSL_CTX_sess_set_get_cb(serverCtx, (() => thenable) as unknown as GetSessionCallback)
      const pair = await new Pair(serverCtx, clientCtx, ticket).handshakeAwaiting()
      assert.equal(pair.reused, true)
    })

    it('is a miss, and an exception, when its thenable throws', () => {
      const { serverCtx, clientCtx, ticket } = externalCache(version)
      const failure = new Error('no then')
      const thenable = {
        // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
        then() {
          throw failure
        },
      }
      SSL_CTX_sess_set_get_cb(serverCtx, (() => thenable) as unknown as GetSessionCallback)
      const pair = new Pair(serverCtx, clientCtx, ticket)
      assert.throws(() => pair.handshake(), failure)
      assert.equal(pair.handshake().reused, false)
    })

    describe('that is broken', () => {
      /** Answers by promise with `answer`, and expects the next call to throw and the one after it to go on in full. */
      async function expectError(cache: ExternalCache, answer: GetSessionCallback, check: (error: unknown) => boolean) {
        const { serverCtx, clientCtx, ticket } = cache
        SSL_CTX_sess_set_get_cb(serverCtx, answer)
        const ownedBefore = owned('SSL_SESSION')
        const pair = new Pair(serverCtx, clientCtx, ticket)
        SSL_do_handshake(pair.client)
        transfer(pair.client, pair.server)
        assertPaused(pair)
        await SSL_waiting_session(pair.server)
        assert.throws(() => SSL_do_handshake(pair.server), check)
        assert.equal(pair.handshake().reused, false)
        assert.equal(owned('SSL_SESSION'), ownedBefore)
        assert.equal(SSL_CTX_sess_cb_hits(serverCtx), 0)
      }
      const hasCode = (code: string) => (error: unknown) => (error as { code: string }).code === code

      for (const reason of [new Error('no store'), 'no store', undefined, null, 42]) {
        it(`has the next call throw its reason, ${reason}, once`, async () => {
          await expectError(
            externalCache(version),
            () => Promise.reject(reason),
            (error) => error === reason,
          )
        })
      }

      it('by a session of another context has the next call throw ERR_WRONG_CONTEXT', async () => {
        const foreign = externalCache(version).session
        await expectError(
          externalCache(version),
          async (_ssl, _id, copy) => {
            copy.value = 0
            return foreign
          },
          hasCode('ERR_WRONG_CONTEXT'),
        )
      })

      it('by a freed session has the next call throw ERR_HANDLE_FREED', async () => {
        const cache = externalCache(version)
        await expectError(
          cache,
          async () => {
            const freed = present(SSL_SESSION_dup(cache.session))
            SSL_SESSION_free(freed)
            return freed
          },
          hasCode('ERR_HANDLE_FREED'),
        )
      })

      it('by something that is no session has the next call throw ERR_INVALID_RETURN_VALUE', async () => {
        for (const answer of [1, 'session', {}, false]) {
          await expectError(
            externalCache(version),
            (async () => answer) as unknown as GetSessionCallback,
            hasCode('ERR_INVALID_RETURN_VALUE'),
          )
        }
      })
    })

    it('of a session that is not resumable makes it a full handshake', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_remove_session(serverCtx, session)
      SSL_CTX_sess_set_get_cb(serverCtx, async () => session)
      const pair = await new Pair(serverCtx, clientCtx, ticket).handshakeAwaiting()
      assert.equal(pair.reused, !checksAnsweredIsResumable)
    })

    describe('and never keeps it', () => {
      it('leaves nothing behind when the connection is freed: who waits is told, and all is given back', async () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        const [connections, sessions] = [live('SSL'), live('SSL_SESSION')]
        SSL_CTX_sess_set_get_cb(serverCtx, () => new Promise(() => {}))
        const pair = proposed(serverCtx, clientCtx, ticket)
        assertPaused(pair)
        const waiting = [SSL_waiting_session(pair.server), SSL_waiting_session(pair.server)]
        pair.drop()
        assert.equal(live('SSL'), connections)
        assert.deepEqual(await Promise.all(waiting), [undefined, undefined])
        // The client's duplicate of the ticket is the test's own.
        assert.equal(live('SSL_SESSION'), sessions + 1)
      })

      it('lets SSL_clear make the connection ready for another handshake', async () => {
        const { serverCtx, clientCtx, session, ticket } = externalCache(version)
        SSL_CTX_sess_set_get_cb(serverCtx, () => new Promise(() => {}))
        const pair = proposed(serverCtx, clientCtx, ticket)
        assertPaused(pair)
        const waiting = SSL_waiting_session(pair.server)
        assert.equal(SSL_clear(pair.server), 1)
        await waiting
        assert.equal(SSL_waiting_for_async(pair.server), 0)
        SSL_CTX_sess_set_get_cb(serverCtx, async () => session)
        sent(pair.server)
        SSL_clear(pair.client)
        SSL_set_session(pair.client, ticket)
        await pair.handshakeAwaiting()
        assert.equal(pair.reused, true)
      })

      it('lets its context be freed with the connection', async () => {
        const { serverCtx, clientCtx, ticket } = externalCache(version)
        const contexts = live('SSL_CTX')
        SSL_CTX_sess_set_get_cb(serverCtx, () => new Promise(() => {}))
        const pair = proposed(serverCtx, clientCtx, ticket)
        assertPaused(pair)
        SSL_CTX_free(serverCtx)
        assert.equal(live('SSL_CTX'), contexts)
        pair.drop()
        assert.equal(live('SSL_CTX'), contexts - 1)
      })
    })

    describe('and keeps it after the connection is gone', () => {
      /** Pauses a handshake, ends it, and only then has the promise resolve. */
      async function answerLate(cache: ExternalCache, end: (ssl: SSL) => unknown, value: number, answer: unknown) {
        const late = open<SSL_SESSION>()
        SSL_CTX_sess_set_get_cb(cache.serverCtx, (_ssl, _id, copy) => {
          copy.value = value
          return late.promise
        })
        const pair = proposed(cache.serverCtx, cache.clientCtx, cache.ticket)
        assertPaused(pair)
        end(pair.server)
        late.resolve(answer as SSL_SESSION)
        await setImmediate()
        // Nothing surfaces later, either.
        if (end === SSL_clear) assert.equal(SSL_do_handshake(pair.server), -1)
      }

      for (const [how, end] of Object.entries({ SSL_free, SSL_clear })) {
        it(`gives its reference up by copy 0, and by nothing else (${how})`, async () => {
          const cache = externalCache(version)
          for (const value of [1, 0]) {
            const answer = restored(cache.session)
            await answerLate(cache, end, value, answer)
            if (value === 1) SSL_SESSION_free(answer)
            assert.throws(() => SSL_SESSION_get_id(answer), { code: 'ERR_HANDLE_FREED' })
          }
        })

        it(`costs no error when its answer is none (${how})`, async () => {
          const cache = externalCache(version)
          const foreign = externalCache(version).session
          const ownedBefore = owned('SSL_SESSION')
          for (const answer of [null, undefined, 'session', foreign]) await answerLate(cache, end, 0, answer)
          // The other half of each pair is the test's, too.
          assert.equal(owned('SSL_SESSION') - ownedBefore, 4)
          assert.equal(SSL_SESSION_get_id(foreign).length, 32)
        })
      }
    })

    it('has nobody hear of a promise that is broken after the connection is gone', async () => {
      const { serverCtx, clientCtx, ticket } = externalCache(version)
      for (const end of [SSL_free, SSL_clear]) {
        const answer = open<SSL_SESSION>()
        SSL_CTX_sess_set_get_cb(serverCtx, () => answer.promise)
        const pair = proposed(serverCtx, clientCtx, ticket)
        assertPaused(pair)
        end(pair.server)
        answer.reject(new Error('nobody hears of it'))
        await setImmediate()
        if (end === SSL_clear) assert.equal(SSL_do_handshake(pair.server), -1)
      }
    })

    it('can have answers arrive in any order', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const answers: ReturnType<typeof open<SSL_SESSION | null>>[] = []
      SSL_CTX_sess_set_get_cb(serverCtx, () => {
        const answer = open<SSL_SESSION | null>()
        answers.push(answer)
        return answer.promise
      })
      const pairs = Array.from({ length: 10 }, () => proposed(serverCtx, clientCtx, ticket))
      for (const pair of pairs) assertPaused(pair)
      assert.equal(answers.length, 10)
      const done: number[] = []
      const handshakes = pairs.map(async (pair, index) => {
        await pair.handshakeAwaiting()
        done.push(index)
        assert.equal(pair.reused, index % 2 === 0, `connection ${index}`)
      })
      for (const index of [7, 2, 9, 0, 4, 1, 8, 3, 6, 5]) {
        present(answers[index]).resolve(index % 2 === 0 ? session : null)
        await setImmediate()
      }
      await Promise.all(handshakes)
      assert.deepEqual(done, [7, 2, 9, 0, 4, 1, 8, 3, 6, 5])
    })

    it('keeps its word though the callback was replaced or cleared in the meantime', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      for (const replacement of [null, () => null]) {
        const answer = open<SSL_SESSION>()
        SSL_CTX_sess_set_get_cb(serverCtx, () => answer.promise)
        const pair = proposed(serverCtx, clientCtx, ticket)
        assertPaused(pair)
        SSL_CTX_sess_set_get_cb(serverCtx, replacement)
        answer.resolve(session)
        await SSL_waiting_session(pair.server)
        assert.equal(pair.handshake().reused, true)
      }
    })

    it('may do a handshake with a lookup of its own before it answers', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const outer = new Pair(serverCtx, clientCtx, ticket)
      const inner = new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket))))
      SSL_CTX_sess_set_get_cb(serverCtx, async (ssl) => {
        if (ssl === outer.server) await inner.handshakeAwaiting()
        else await setTimeout(1)
        return session
      })
      await outer.handshakeAwaiting()
      assert.deepEqual([outer.reused, inner.reused], [true, true])
    })

    it('cannot drive its own connection on: it stays paused', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      for (const promised of [true, false]) {
        const results: number[] = []
        SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
          const result = SSL_do_handshake(ssl)
          results.push(result, SSL_get_error(ssl, result))
          return promised ? Promise.resolve(session) : session
        })
        const pair = new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket))))
        await pair.handshakeAwaiting()
        assert.equal(pair.reused, true)
        assert.deepEqual(results, [-1, SSL_ERROR_WANT_ASYNC])
      }
    })

    it('may clear its connection', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
        assert.equal(SSL_clear(ssl), 1)
        return session
      })
      const pair = proposed(serverCtx, clientCtx, ticket)
      assert.equal(SSL_do_handshake(pair.server), -1)
      assert.equal(SSL_waiting_for_async(pair.server), 0)
      SSL_CTX_sess_set_get_cb(serverCtx, () => session)
      sent(pair.server)
      SSL_clear(pair.client)
      SSL_set_session(pair.client, ticket)
      assert.equal(pair.handshake().reused, true)
    })

    describe('pauses', () => {
      const buffer = Buffer.alloc(100)
      for (const [name, call] of Object.entries({
        SSL_accept,
        SSL_read: (ssl: Pair['server']) => SSL_read(ssl, buffer),
        SSL_peek: (ssl: Pair['server']) => SSL_peek(ssl, buffer),
        SSL_write: (ssl: Pair['server']) => SSL_write(ssl, Buffer.from('welcome')),
      })) {
        it(`${name} when that is what runs the handshake`, async () => {
          const { serverCtx, clientCtx, session, ticket } = externalCache(version)
          SSL_CTX_sess_set_get_cb(serverCtx, async () => session)
          const { client, server } = proposed(serverCtx, clientCtx, ticket)
          const results: [number, number][] = []
          let result = 0
          for (let round = 0; round < 5 && result <= 0; round++) {
            result = call(server)
            if (result <= 0) results.push([result, SSL_get_error(server, result)])
            if (results.at(-1)?.[1] === SSL_ERROR_WANT_ASYNC) await SSL_waiting_session(server)
            transfer(server, client)
            if (SSL_do_handshake(client) === 1 && /read|peek/.test(name)) SSL_write(client, Buffer.from('hello'))
            transfer(client, server)
          }
          assert.deepEqual(results[0], [-1, SSL_ERROR_WANT_ASYNC])
          for (const [, error] of results.slice(1)) assert.equal(error, SSL_ERROR_WANT_READ)
          assert.equal(result, { SSL_accept: 1, SSL_write: 7 }[name] ?? 5)
          if (result === 5) assert.equal(buffer.toString('latin1', 0, 5), 'hello')
          if (result === 7) assert.equal(SSL_read(client, buffer), 7)
        })
      }
    })

    it('can be waited for from inside the callback', async () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      for (const promised of [true, false]) {
        let waiting: Promise<void> | undefined
        SSL_CTX_sess_set_get_cb(serverCtx, (ssl) => {
          waiting = SSL_waiting_session(ssl)
          return promised ? Promise.resolve(session) : session
        })
        const pair = new Pair(serverCtx, clientCtx, keep(present(SSL_SESSION_dup(ticket))))
        await pair.handshakeAwaiting()
        await waiting
        assert.equal(pair.reused, true)
      }
    })
  })

  it('is not waited for when there is nothing to wait for', async () => {
    const { serverCtx, clientCtx } = externalCache(0x0304)
    const pair = new Pair(serverCtx, clientCtx)
    assert.equal(await SSL_waiting_session(pair.server), undefined)
    pair.handshake()
    assert.equal(await SSL_waiting_session(pair.server), undefined)
    assert.equal(await SSL_waiting_session(pair.client), undefined)
  })
})
