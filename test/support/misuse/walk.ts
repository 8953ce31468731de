// A walk through the whole API without a plan: many calls of functions drawn by lot, with handles that earlier
// calls returned or freed, and callbacks that do the same. Each function has a walk that begins with it. The lots are
// the same in every run, so that what a walk finds can be found again; MISUSE_SEED in the environment draws others.

import * as libssl from 'openssl-session/libssl'
import type { ExportedFunction, Parameter } from '../libssl_api.js'
import { times } from '../thorough.js'
import { type Calls, tolerated } from './calls.js'
import { relay, type Specimens } from './specimens.js'
import { SpecimenError } from './values.js'

export const steps = times(100, 5)
/** How many handles of a class are remembered. */
const memory = 8

export function walks(functions: readonly ExportedFunction[]) {
  return async (f: ExportedFunction, calls: Calls, specimens: Specimens): Promise<void> => {
    const walk = new Walk(functions, calls, specimens, lots(`${process.env.MISUSE_SEED ?? ''}${f.name}`))
    // A callback that throws may be one of an earlier walk, whose context went only now: any call can be struck.
    calls.guard(() => walk.begin())
    calls.guard(() => walk.step(f))
    for (let step = 1; step < steps; step++) {
      calls.guard(() => walk.step())
      if (step % 50 === 0) await calls.settle()
    }
  }
}

/** Numbers from 0 up to 1 that depend on a name and look like chance (mulberry32). */
function lots(name: string): () => number {
  let state = [...name].reduce((hash, letter) => Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 16777619), 2166136261)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

class Walk {
  readonly #functions: readonly ExportedFunction[]
  readonly #calls: Calls
  readonly #specimens: Specimens
  readonly #lot: () => number
  readonly #handles = new Map<string, unknown[]>()
  #depth = 0

  constructor(functions: readonly ExportedFunction[], calls: Calls, specimens: Specimens, lot: () => number) {
    this.#functions = functions
    this.#calls = calls
    this.#specimens = specimens
    this.#lot = lot
  }

  /** Takes along two connections and their context. */
  begin(): void {
    const { client, server, context } = this.#specimens.conversation(libssl.TLS1_2_VERSION, () => undefined)
    for (const [type, handle] of [
      ['SSL', client],
      ['SSL', server],
      ['SSL_CTX', context],
    ] as const)
      this.#keep(type, handle)
  }

  /** Calls a function, and half of the time lets two connections talk. */
  step(f: ExportedFunction = this.#draw(this.#functions)): void {
    const labels: string[] = []
    const args = f.parameters.map((parameter) => this.#argument(parameter, labels))
    this.#remember(this.#calls.attempt(f, labels.join(', '), args, tolerated))
    if (this.#lot() < 0.5) this.#converse()
  }

  #draw<T>(list: readonly T[]): T {
    return list[Math.floor(this.#lot() * list.length)] as T
  }

  #argument({ types, name }: Parameter, labels: string[]): unknown {
    const type = this.#draw(types)
    if (type.endsWith('Callback')) {
      labels.push('a callback')
      return (...given: unknown[]) => this.#callback(given)
    }
    const kept = this.#handles.get(type) ?? []
    if (kept.length > 0 && this.#lot() < 0.85) {
      const index = Math.floor(this.#lot() * kept.length)
      labels.push(`${type} ${index}`)
      return kept[index]
    }
    const specimen = this.#draw(this.#specimens.good(type, name))
    labels.push(specimen.label)
    const value = specimen.make()
    if (/^[A-Z]/.test(type) && type !== 'Uint8Array') this.#keep(type, value)
    return value
  }

  /** What every callback does: a few steps, and an answer drawn by lot. */
  #callback(given: readonly unknown[]): unknown {
    for (const handle of given) this.#remember(handle)
    if (this.#depth < 2) {
      this.#depth++
      for (let step = 0; step < 2; step++) this.step()
      this.#depth--
    }
    const session = this.#draw(this.#handles.get('SSL_SESSION') ?? [null])
    return this.#draw([
      () => undefined,
      () => 0,
      () => 1,
      () => session,
      () => Promise.resolve(session),
      () => new Promise(() => undefined),
      () => {
        throw new SpecimenError('thrown by a callback of a walk')
      },
    ])()
  }

  #converse(): void {
    const connections = (this.#handles.get('SSL') ?? []) as libssl.SSL[]
    const [one, other] = [this.#draw(connections), this.#draw(connections)]
    this.#calls.guard(() => relay(one, other))
    this.#calls.guard(() => libssl.SSL_do_handshake(other))
  }

  /** Keeps the handles in a result. */
  #remember(result: unknown): void {
    if (Array.isArray(result)) for (const item of result) this.#remember(item)
    else if (typeof result === 'object' && result !== null && !Buffer.isBuffer(result)) {
      const type = result.constructor.name
      if (type in libssl) this.#keep(type, result)
      else if ('pkey' in result) for (const item of Object.values(result)) this.#remember(item)
    }
  }

  #keep(type: string, handle: unknown): void {
    const kept = this.#handles.get(type) ?? []
    if (kept.includes(handle)) return
    this.#handles.set(type, [...kept, handle].slice(-memory))
  }
}
