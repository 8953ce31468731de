// Counting what is alive: tests that must give back all they took, and a garbage collector that runs when told to.

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type LeakReport, leaks } from 'openssl-session/libssl'
import { releaseAll } from './peers.js'

type Class = 'SSL_CTX' | 'SSL' | 'SSL_SESSION'

let start: LeakReport = leaks()

/** How many more objects of a class OpenSSL has alive in this process than when the test began. */
export function live(name: Class): number {
  return leaks().live[name] - start.live[name]
}

/** How many more references to handles of a class JavaScript owns than when the test began. */
export function owned(name: string): number {
  return (leaks().owned[name] ?? 0) - (start.owned[name] ?? 0)
}

/** How many references to handles of a class the garbage collector had to give back since the test began. */
export function collected(name: string): number {
  return (leaks().collected[name] ?? 0) - (start.collected[name] ?? 0)
}

/** Has every test of the enclosing `describe` count from its own beginning, undisturbed by the garbage of others. */
export function countInEachTest(): void {
  before(async () => {
    let last = ''
    await collectGarbage(() => {
      const previous = last
      last = JSON.stringify(leaks())
      return previous === last
    })
  })
  beforeEach(() => {
    start = leaks()
  })
}

/**
 * Has every test of the enclosing `describe` leave nothing behind: what peers.ts made is freed, and then OpenSSL has as
 * many objects as before, JavaScript owns as many references, and the garbage collector had nothing to catch.
 */
export function leaveNothingBehind(): void {
  countInEachTest()
  afterEach(() => {
    releaseAll()
    assert.deepEqual(leaks(), start)
  })
}

setFlagsFromString('--expose-gc')
/** Collects once; what falls out of that comes later. */
export const collect: () => void = runInNewContext('gc')

/** Collects garbage until `done`, or a few times. */
export async function collectGarbage(done: () => boolean = () => false): Promise<void> {
  for (let round = 0; round < 10 && !done(); round++) {
    collect()
    // Finalizers run when the loop turns.
    await setImmediate()
  }
}
