// Worker threads that end while OpenSSL still has something to do for them.

import assert from 'node:assert/strict'
import { times } from '../support/thorough.js'
import { states } from './programs/interrupt.js'
import type { Report as TerminateReport } from './programs/terminate.js'
import { report } from './run.js'

const rounds = times(20, 2)

describe('A worker thread that is terminated', () => {
  async function terminateOften(state: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
    const result = await report<TerminateReport>('terminate', { states: [state], rounds, seed: 1 }, env)
    assert.deepEqual(result.after, result.before)
    assert.equal(result.exitCodes.length, rounds)
    assert.equal(result.ownHandshake, 'done', "this thread's own handshake goes on")
  }

  for (const state of [...states, 'starting']) {
    it(`leaves nothing behind and harms nobody, ${rounds} times: ${state}`, () => terminateOften(state))
  }

  for (const state of ['inside the get callback', 'handshakes being done']) {
    it(`leaves nothing behind without async jobs, ${rounds} times: ${state}`, () =>
      terminateOften(state, { OPENSSL_SESSION_ASYNC: '0' }))
  }
})
