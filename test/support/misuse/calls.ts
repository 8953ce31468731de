// Calls that may end badly: each is written down before it is made, and its outcome is held against what it may be.

import { openSync, writeSync } from 'node:fs'
import { isNativeError } from 'node:util/types'
import * as libssl from 'openssl-session/libssl'
import type { ExportedFunction } from '../libssl_api.js'
import { SpecimenError } from './values.js'

/** One line of the log: which function it is about, and what is being called or what was wrong with it. */
export type Line =
  | { readonly about: string; readonly call: string }
  | { readonly about: string; readonly complaint: string }
  | { readonly left: libssl.LeakReport }

/** What a call may do: throw an error with one of these codes, or (when `orReturn`) return what its type says. */
export interface Expectation {
  readonly codes: readonly string[] | 'any'
  readonly orReturn: boolean
}

export const wrongType: Expectation = { codes: ['ERR_INVALID_ARG_TYPE'], orReturn: false }
export const wrongValue: Expectation = { codes: ['ERR_INVALID_ARG_VALUE'], orReturn: false }
export const outOfRange: Expectation = { codes: ['ERR_OUT_OF_RANGE'], orReturn: false }
export const freed: Expectation = { codes: ['ERR_HANDLE_FREED'], orReturn: false }
/** Well-formed, and maybe nonsense: C's own failure value, or a refusal that has a code. */
export const tolerated: Expectation = { codes: 'any', orReturn: true }

const kinds: Readonly<Record<string, ErrorConstructor>> = {
  ERR_INVALID_ARG_TYPE: TypeError,
  ERR_INVALID_ARG_VALUE: TypeError,
  ERR_INVALID_RETURN_VALUE: TypeError,
  ERR_OUT_OF_RANGE: RangeError,
}

const exported = libssl as unknown as Readonly<Record<string, ((...args: unknown[]) => unknown) | undefined>>

export class Calls {
  readonly #file: number
  #about = ''
  #current = ''

  constructor(file: string) {
    this.#file = openSync(file, 'a')
    process.on('uncaughtException', (error) => this.#complainAbout(error, tolerated, 'uncaught, '))
    process.on('unhandledRejection', (reason) => this.#complainAbout(reason, tolerated, 'in a promise, '))
  }

  /** Everything that follows is about this function. */
  begin(name: string): void {
    this.#about = name
    this.announce('nothing yet')
  }

  /** Writes down what comes next. */
  announce(what: string): void {
    this.#current = what
    this.#log({ about: this.#about, call: what })
  }

  complain(text: string): void {
    this.#log({ about: this.#about, complaint: `${this.#current} ${text}` })
  }

  /** Everything is over, and this is what it left behind. */
  end(left: libssl.LeakReport): void {
    this.#log({ left })
  }

  #log(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  /** Calls a function and returns what it returned. `label` describes its arguments. */
  attempt(f: ExportedFunction, label: string, args: readonly unknown[], expectation: Expectation): unknown {
    this.announce(`${f.name}(${label})`)
    const result = this.guard(() => {
      const result = exported[f.name]?.(...args)
      if (!expectation.orReturn) this.complain(`returned ${show(result)}`)
      else if (!f.returns.some((type) => isOfType(result, type))) {
        this.complain(`returned ${show(result)}, which is not ${f.returns.join(' | ')}`)
      }
      return result
    }, expectation)
    libssl.ERR_clear_error()
    return result
  }

  /** Does something that may throw what `expectation` allows. */
  guard<T>(action: () => T, expectation = tolerated): T | undefined {
    try {
      return action()
    } catch (error) {
      this.#complainAbout(error, expectation)
      return undefined
    }
  }

  /** Lets finalizers and promises do what the calls have led to. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }

  #complainAbout(error: unknown, { codes }: Expectation, where = ''): void {
    // First of all no look into what may be a specimen.
    if (!isNativeError(error)) {
      this.complain(`${where}threw a ${typeof error}`)
      return
    }
    if (codes === 'any' && error instanceof SpecimenError) return
    const { name, code, message } = error as NodeJS.ErrnoException
    const allowed = codes === 'any' ? code?.startsWith('ERR_') : code !== undefined && codes.includes(code)
    if (allowed && error instanceof (kinds[code ?? ''] ?? Error)) return
    this.complain(`${where}threw ${name} ${code ?? 'without a code'}: ${message.slice(0, 200)}`)
  }
}

function show(value: unknown): string {
  return `${typeof value} ${Buffer.isBuffer(value) ? `of ${value.length} bytes` : String(value)}`
}

/** Whether a result is of one of the types that a function's declaration names. */
function isOfType(value: unknown, type: string): boolean {
  const handleClass = exported[type]
  if (/^[A-Z0-9_]+$/.test(type) && handleClass) return value instanceof handleClass
  if (type.endsWith('[]')) return Array.isArray(value) && value.every((item) => isOfType(item, type.slice(0, -2)))
  if (type.endsWith('Callback')) return typeof value === 'function'
  if (type === 'number') return Number.isSafeInteger(value)
  if (type === 'string') return typeof value === 'string'
  if (type === 'Buffer') return Buffer.isBuffer(value)
  if (type === 'void') return value === undefined
  if (type === 'null') return value === null
  if (type === 'Promise<void>') return value instanceof Promise
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value)
}
