// Answers that applications give through Node's callbacks, for libssl, which takes a value or a promise.

import type { Duplex } from 'node:stream'
import { codedError } from './errors.js'

/**
 * Lets `ask` call back with an error or a value, once, now or later, and returns what `outcome` makes of it: at once when the answer
 * came at once. Throwing, or rejecting where `ask` is async, is an answer too; a second call destroys the connection.
 */
export function byCallback<V, R>(
  connection: Duplex,
  ask: (callback: (error: Error | null, value?: V) => void) => unknown,
  outcome: (error: unknown, value?: V) => R,
): R | Promise<R> {
  let answered = false
  let settle: (result: R) => void = () => {}
  let result: R | Promise<R> = new Promise<R>((resolve) => {
    settle = resolve
  })
  const answer = (error: unknown, value?: V): void => {
    if (answered) {
      connection.destroy(codedError('ERR_MULTIPLE_CALLBACK', 'Callback called multiple times'))
      return
    }
    answered = true
    const now = outcome(error, value)
    settle(now)
    result = now
  }
  try {
    const asked = ask(answer)
    if (asked instanceof Promise) asked.catch(answer)
  } catch (error) {
    answer(error)
  }
  return result
}
