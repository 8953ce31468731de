// Whatever happens to handshakes and to the objects around them, what OpenSSL allocated is given back.

import assert from 'node:assert/strict'
import { sanitized } from '../support/sanitizer.js'
import { times } from '../support/thorough.js'
import { clearRestores } from '../support/versions.js'
import type { Report as BreakOffReport } from './programs/break_off.js'
import type { Report as ForgetReport } from './programs/forget.js'
import type { Report as ManyReport, Sample } from './programs/many_handshakes.js'
import { report } from './run.js'

const nothing = { SSL_CTX: 0, SSL: 0, SSL_SESSION: 0 }
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
const owning = (owned: Readonly<Record<string, number>>) => sum(Object.values(owned))

function median(numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = (place: number): number => sorted[place] ?? Number.NaN
  const middle = Math.floor(numbers.length / 2)
  return numbers.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
}

describe('Thousands of handshakes, full and resumed', function () {
  this.timeout(180_000)

  const handshakesPerPart = times(1000, 300)

  let result: ManyReport
  before(async () => {
    // Without these, V8 and malloc grow and shrink by more than a leak would show.
    const steady = {
      NODE_OPTIONS: '--max-semi-space-size=1',
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_THRESHOLD_: '65536',
    }
    // V8 and malloc grow until then, however short the parts are: malloc by 128 KiB now and then for some thousands.
    const warmUp = times(8000, 1000)
    result = await report<ManyReport>('many_handshakes', { warmUp, parts: 10, handshakesPerPart }, steady)
  })

  it('were all made', () => {
    const { full, resumed } = result.handshakes
    assert.ok(full >= 5 * handshakesPerPart && resumed >= 5 * handshakesPerPart, JSON.stringify(result.handshakes))
  })

  it('leave the counts of live objects and of owned references where they were', () => {
    const [first, ...others] = result.samples
    for (const sample of others) assert.deepEqual(sample.leaks, first?.leaks)
  })

  it('leave nothing for the garbage collector to give back', () => {
    assert.equal(owning(result.samples.at(-1)?.leaks.collected ?? {}), 0)
  })

  /**
   * By how much a quantity grew in each part, and the second half of all. A leak grows always: a part's growth is the median of
   * the slopes between any two samples, in the half of the time that had less, so that a step in the other is none.
   */
  function growth(quantity: (sample: Sample) => number): { usual: number; late: number } {
    const values = result.samples.map(quantity)
    const middle = Math.floor(values.length / 2)
    const late = values.slice(middle)
    const usual = Math.min(slope(values.slice(0, middle + 1)), slope(late))
    return { usual, late: (values.at(-1) ?? 0) - (late[0] ?? 0) }
  }

  function slope(values: number[]): number {
    return median(
      values.flatMap((value, place) =>
        values.slice(0, place).map((earlier, before) => (value - earlier) / (place - before)),
      ),
    )
  }

  it('take no more resident memory in the end than in the middle', () => {
    // Caches grow in steps now and then. A leak grows always: 100 kB per part of a thousand are 100 bytes per handshake.
    const { usual, late } = growth((sample) => sample.resident)
    const all = JSON.stringify(result.samples.map(({ resident }) => resident))
    // A sanitizer keeps a part of what is freed, and notes about all of it: megabytes come and go.
    assert.ok(usual < (sanitized ? 1e7 : 1e5) && late < (sanitized ? 5e7 : 5e6), all)
  })

  it('keep no more JavaScript objects in the end than in the middle', () => {
    const { usual, late } = growth((sample) => sample.heap)
    assert.ok(usual < 6e4 && late < 5e5, JSON.stringify(result.samples.map(({ heap }) => heap)))
  })
})

describe('Objects that are forgotten in any order', () => {
  for (const seed of [1, 2, 3, 4, 5].slice(0, times(5, 1))) {
    it(`are given back by the garbage collector, and those that depend on them stay usable (seed ${seed})`, async () => {
      const { uses, before, after } = await report<ForgetReport>('forget', { seed, rounds: 300 })
      assert.ok(uses > 1000)
      assert.deepEqual(before.live, nothing)
      assert.deepEqual(after.live, nothing)
      assert.equal(owning(after.owned), 0)
      for (const type of ['SSL_CTX', 'SSL', 'SSL_SESSION', 'X509']) assert.ok((after.collected[type] ?? 0) > 0, type)
    })
  }
})

describe('Handshakes that break off', () => {
  /** How many bytes lie between two places to break off at, and how many damaged things are tried. */
  const step = times(1, 41)
  const count = times(1000, 50)

  async function breakOff(parameters: object, env = {}): Promise<BreakOffReport['outcomes']> {
    const { outcomes, before, after } = await report<BreakOffReport>('break_off', parameters, env)
    assert.deepEqual(after, before, JSON.stringify(outcomes))
    return outcomes
  }

  /** Of each connection that was cleared it is known that it was good for another handshake. */
  function assertUsedAgain(outcomes: BreakOffReport['outcomes']): void {
    const { 'again: done': again = 0, ...others } = outcomes
    if (!clearRestores) {
      assert.ok(again > 0 && (others['again: failed'] ?? 0) > 0, JSON.stringify(outcomes))
      return
    }
    assert.equal(again, sum(Object.values(others)), JSON.stringify(outcomes))
  }

  it('can be freed after any byte', async () => {
    const outcomes = await breakOff({ mode: 'free', step })
    assert.ok(sum(Object.values(outcomes)) > 6000 / step, JSON.stringify(outcomes))
    for (const outcome of ['starved', 'done', 'left with a question']) assert.ok(outcomes[outcome], outcome)
    assert.equal(outcomes.failed, undefined)
  })

  it('can be cleared after any byte, and the connection used again', async () => {
    const outcomes = await breakOff({ mode: 'clear', step })
    assert.ok(sum(Object.values(outcomes)) > (2 * 6000) / step, JSON.stringify(outcomes))
    assertUsedAgain(outcomes)
  })

  it('can be freed and cleared anywhere without async jobs', async () => {
    const env = { OPENSSL_SESSION_ASYNC: '0' }
    const outcomes = await breakOff({ mode: 'free', step: 5 * step, seed: 2 }, env)
    assert.ok((outcomes.starved ?? 0) > 1000 / step, JSON.stringify(outcomes))
    assertUsedAgain(await breakOff({ mode: 'clear', step: 5 * step, seed: 3 }, env))
  })

  for (const seed of [1, 2]) {
    it(`lose nothing when bytes are damaged on their way (seed ${seed})`, async () => {
      const outcomes = await breakOff({ mode: 'damage bytes', seed, count })
      assert.ok((outcomes.failed ?? 0) > count, JSON.stringify(outcomes))
    })

    it(`lose nothing when stored sessions are damaged (seed ${seed})`, async () => {
      const outcomes = await breakOff({ mode: 'damage sessions', seed, count })
      assert.ok((outcomes.done ?? 0) > count, JSON.stringify(outcomes))
    })
  }
})
