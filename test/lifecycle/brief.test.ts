// A little of what the other tests of this folder do at length, in as few processes as it takes. Short enough for
// memcheck, which looks for what these tests cannot see (scripts/valgrind.mjs).

import assert from 'node:assert/strict'
import { states } from './programs/interrupt.js'
import type { Report as TerminateReport } from './programs/terminate.js'
import { report, run } from './run.js'

/** What the programs have in common that count what is alive. */
interface Counts {
  readonly before: { readonly live: object }
  readonly after: { readonly live: object }
}

describe('Nothing is lost, in brief', () => {
  async function assertNothingLost(program: string, parameters: object, env: NodeJS.ProcessEnv = {}): Promise<void> {
    const { before, after } = await report<Counts>(program, parameters, env)
    assert.deepEqual(after.live, before.live)
  }

  it('when threads are terminated in the middle of everything', async () => {
    const everything = [...states, 'starting']
    const result = await report<TerminateReport>('terminate', { states: everything, rounds: 1, seed: 1 })
    assert.deepEqual(result.after, result.before)
    assert.equal(result.exitCodes.length, everything.length)
    assert.equal(result.ownHandshake, 'done')
  })

  it('when the process exits in a callback', async () => {
    const parameters = { callback: 'get', protocol: 'TLSv1.3', thread: 'main', manner: 'exit' }
    const { code, signal, stderr } = await run('end_inside', parameters)
    assert.deepEqual({ code, signal, stderr }, { code: 42, signal: null, stderr: '' })
  })

  it('when the process ends with paused handshakes and a busy thread', async () => {
    const { code, signal, stderr } = await run('end_busy', { manner: 'end', workers: 1 })
    assert.deepEqual({ code, signal, stderr }, { code: 42, signal: null, stderr: '' })
  })

  for (const mode of ['free', 'clear']) {
    it(`when handshakes break off anywhere (${mode})`, () => assertNothingLost('break_off', { mode, step: 113 }))
  }

  it('when handshakes break off anywhere without async jobs', () =>
    assertNothingLost('break_off', { mode: 'free', step: 257 }, { OPENSSL_SESSION_ASYNC: '0' }))

  for (const mode of ['damage bytes', 'damage sessions']) {
    it(`when others ${mode}`, () => assertNothingLost('break_off', { mode, seed: 3, count: 20 }))
  }

  it('when objects are forgotten', () => assertNothingLost('forget', { seed: 6, rounds: 60 }))

  it('when sessions are resumed from everywhere', async () => {
    const parameters = { warmUp: 96, parts: 1, handshakesPerPart: 96 }
    const { samples } = await report<{ samples: { leaks: object }[] }>('many_handshakes', parameters)
    assert.deepEqual(samples[1]?.leaks, samples[0]?.leaks)
  })
})
