// Processes and threads that end themselves while OpenSSL still has something to do for them.

import assert from 'node:assert/strict'
import { thorough } from '../support/thorough.js'
import { protocols } from './endpoints.js'
import type { Report } from './programs/end_inside.js'
import { callbacks } from './programs/interrupt.js'
import { report, run } from './run.js'

const places = [...callbacks, 'loop'] as const
const placeName = (place: (typeof places)[number]) =>
  place === 'loop' ? 'a callback made by the event loop' : `the ${place} callback`

/** In each place all protocols, or one by turns when time is short. */
const protocolsAt = (place: number) => protocols.filter((_, index) => thorough || index === place % protocols.length)

describe('The end of a process', () => {
  for (const [place, callback] of places.entries()) {
    for (const protocol of protocolsAt(place)) {
      const parameters = { callback, protocol, thread: 'main' }

      it(`has the exit code asked for by process.exit() in ${placeName(callback)} (${protocol})`, async () => {
        const { code, signal, stderr } = await run('end_inside', { ...parameters, manner: 'exit' })
        assert.deepEqual({ code, signal, stderr }, { code: 42, signal: null, stderr: '' })
      })

      it(`follows from an uncaught exception in ${placeName(callback)} (${protocol})`, async () => {
        const { code, signal, stderr } = await run('end_inside', { ...parameters, manner: 'throw' })
        assert.deepEqual({ code, signal }, { code: 1, signal: null }, stderr)
        assert.match(stderr, /Error: thrown in a callback/)
      })
    }
  }

  it('is as asked when handshakes run without async jobs', async () => {
    for (const callback of places) {
      const parameters = { callback, protocol: 'TLSv1.3', thread: 'main', manner: 'exit' }
      const { code, signal, stderr } = await run('end_inside', parameters, { OPENSSL_SESSION_ASYNC: '0' })
      assert.deepEqual({ callback, code, signal, stderr }, { callback, code: 42, signal: null, stderr: '' })
    }
  })

  for (const workers of [0, 3]) {
    it(`is clean with paused handshakes and ${workers} busy threads: process.exit()`, async () => {
      const { code, signal, stderr } = await run('end_busy', { manner: 'exit', workers })
      assert.deepEqual({ code, signal, stderr }, { code: 42, signal: null, stderr: '' })
    })

    it(`is clean with paused handshakes and ${workers} busy threads: nothing left to do`, async () => {
      const { code, signal, stderr } = await run('end_busy', { manner: 'end', workers })
      assert.deepEqual({ code, signal, stderr }, { code: 42, signal: null, stderr: '' })
    })

    it(`is clean with paused handshakes and ${workers} busy threads: an uncaught exception`, async () => {
      const { code, signal, stderr } = await run('end_busy', { manner: 'throw', workers })
      assert.deepEqual({ code, signal }, { code: 1, signal: null }, stderr)
      assert.match(stderr, /Error: thrown at the top/)
    })
  }
})

describe('The end of a worker thread', () => {
  for (const [place, callback] of places.entries()) {
    for (const protocol of protocolsAt(place)) {
      const parameters = { callback, protocol, thread: 'worker' }

      it(`leaves nothing behind after process.exit() in ${placeName(callback)} (${protocol})`, async () => {
        const result = await report<Report>('end_inside', { ...parameters, manner: 'exit' })
        assert.deepEqual({ code: result.exitCode, error: result.error }, { code: 42, error: null })
        assert.deepEqual(result.after, result.before)
      })

      it(`leaves nothing behind after an uncaught exception in ${placeName(callback)} (${protocol})`, async () => {
        const result = await report<Report>('end_inside', { ...parameters, manner: 'throw' })
        assert.deepEqual({ code: result.exitCode, error: result.error }, { code: 1, error: 'thrown in a callback' })
        assert.deepEqual(result.after, result.before)
      })
    }
  }
})
