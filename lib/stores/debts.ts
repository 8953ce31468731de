// What is still to be done with a store, by session: tried at once, and again when the store has done something well. What
// it is, and how the store does, is not known here.

/** How many sessions are remembered. The oldest are forgotten. */
const MOST = 10_000
/** How many are tried each time. */
const TRIED_AT_ONCE = 16

interface Debt<D> {
  readonly id: Buffer
  readonly what: D
  trying: boolean
}

/** Something of the same kind that is to be done for several sessions. */
export class Debts<D> {
  /** By id in hexadecimal, the oldest first. */
  readonly #debts = new Map<string, Debt<D>>()
  readonly #pay: (id: Buffer, what: D) => PromiseLike<boolean> | boolean

  /** `pay` tries it and tells whether that is the end of it. It does not throw, and its promise is not rejected. */
  constructor(pay: (id: Buffer, what: D) => PromiseLike<boolean> | boolean) {
    this.#pay = pay
  }

  get size(): number {
    return this.#debts.size
  }

  /** Remembers it, and replaces what was remembered for this id. */
  add(id: Buffer, what: D): void {
    const key = id.toString('hex')
    this.#debts.delete(key)
    this.#debts.set(key, { id, what, trying: false })
    if (this.#debts.size <= MOST) return
    for (const oldest of this.#debts.keys()) {
      this.#debts.delete(oldest)
      break
    }
  }

  has(id: Buffer): boolean {
    return this.#debts.size > 0 && this.#debts.has(id.toString('hex'))
  }

  /** Forgets it. Returns what was remembered. */
  cancel(id: Buffer): D | undefined {
    if (this.#debts.size === 0) return undefined
    const key = id.toString('hex')
    const debt = this.#debts.get(key)
    this.#debts.delete(key)
    return debt?.what
  }

  /** Tries this one now. */
  pay(id: Buffer): void {
    const key = id.toString('hex')
    const debt = this.#debts.get(key)
    if (debt !== undefined) this.#try(key, debt)
  }

  /** Tries those that have waited longest, until one fails. */
  paySome(): void {
    let tried = 0
    for (const [key, debt] of this.#debts) {
      if (debt.trying) continue
      if (!this.#try(key, debt) || ++tried === TRIED_AT_ONCE) return
    }
  }

  /** Returns whether there is a point in trying others. */
  #try(key: string, debt: Debt<D>): boolean {
    debt.trying = true
    const settle = (done: boolean): boolean => {
      debt.trying = false
      if (done && this.#debts.get(key) === debt) this.#debts.delete(key)
      return done
    }
    const result = this.#pay(debt.id, debt.what)
    if (typeof result === 'boolean') return settle(result)
    result.then(settle)
    return true
  }
}
