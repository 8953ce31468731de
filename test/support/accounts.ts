// Counting what is alive: tests that must give back all they took, and a garbage collector that runs when told to.

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type LeakReport, leaks } from 'openssl-session/libssl'
import { releaseAll } from './peers.js'

type Class = 'SSL_CTX' | 'SSL' | 'SSL_SESSION'

/** How many objects of a class OpenSSL has alive in this process. */
export function live(name: Class): number {
  return leaks().live[name]
}

/** How many references to handles of a class JavaScript owns. */
export function owned(name: string): number {
  return leaks().owned[name] ?? 0
}

/** How many references to handles of a class the garbage collector had to give back so far. */
export function collected(name: string): number {
  return leaks().collected[name] ?? 0
}

/**
 * Has every test of the enclosing `describe` start from nothing and leave nothing behind: what peers.ts made is freed,
 * and then OpenSSL has as many objects as before, JavaScript owns as many references, and the garbage collector had
 * nothing to catch.
 */
export function leaveNothingBehind(): void {
  let before: LeakReport
  beforeEach(() => {
    before = leaks()
  })
  afterEach(() => {
    releaseAll()
    assert.deepEqual(leaks(), before)
  })
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Collects garbage until `done`, or a few times. */
export async function collectGarbage(done: () => boolean = () => false): Promise<void> {
  for (let round = 0; round < 10 && !done(); round++) {
    collect()
    // Finalizers run when the loop turns.
    await setImmediate()
  }
}
