// Says the same thing once in a while instead of once each time. Nothing here knows what is said.

/** How many different things are told apart; what comes beyond that within one interval counts as one more. */
const MOST = 64
const others = Symbol('others')

/** Admits one report of each kind per interval. */
export class ReportLimiter {
  readonly #interval: number
  readonly #said = new Map<string | symbol, { until: number; suppressed: number }>()

  /** `interval` is in milliseconds. */
  constructor(interval: number) {
    this.#interval = interval
  }

  /** Whether to report this now: how many of its kind were not since the last one that was, or null if this one is not to be either. */
  admit(kind: string | symbol): number | null {
    const now = performance.now()
    const last = this.#said.get(kind)
    if (last !== undefined && now < last.until) {
      last.suppressed += 1
      return null
    }
    if (last === undefined && this.#said.size >= MOST) {
      for (const [other, { until }] of this.#said) if (now >= until) this.#said.delete(other)
      if (this.#said.size >= MOST && kind !== others) return this.admit(others)
    }
    this.#said.set(kind, { until: now + this.#interval, suppressed: 0 })
    return last?.suppressed ?? 0
  }
}
