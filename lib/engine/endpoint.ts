// The network below a connection of the engine: addresses, socket options, and whether it keeps the program alive.

import type { Endpoint } from '../connection.js'
import { keepAlive } from './dispatch.js'
import { type EngineAddress, endings, engine } from './functions.js'

/** The network below a connection of the engine. What was asked once can still be asked when it is gone. */
export class EngineEndpoint implements Endpoint {
  readonly #id: number
  #local: EngineAddress | null | undefined
  #remote: EngineAddress | null | undefined
  #keepsAlive = true
  #gone = false

  /** The connection keeps the program alive already. */
  constructor(id: number) {
    this.#id = id
  }

  /** The connection is closing: its number means nothing from now on. As with every handle of libuv, the program lives to see its end. */
  leave(): void {
    if (this.#gone) return
    this.#gone = true
    if (!this.#keepsAlive) keepAlive(true)
  }

  /** It has closed. */
  left(): void {
    this.leave()
    keepAlive(false)
  }

  get #there(): EngineAddress | null {
    if (this.#remote === undefined) this.#remote = this.#gone ? null : engine.remoteAddress(this.#id)
    return this.#remote
  }

  get #here(): EngineAddress | null {
    if (this.#local === undefined) this.#local = this.#gone ? null : engine.localAddress(this.#id)
    return this.#local
  }

  get remoteAddress(): string | undefined {
    return this.#there?.address
  }

  get remotePort(): number | undefined {
    return this.#there?.port
  }

  get remoteFamily(): string | undefined {
    return this.#there?.family
  }

  get localAddress(): string | undefined {
    return this.#here?.address
  }

  get localPort(): number | undefined {
    return this.#here?.port
  }

  get localFamily(): string | undefined {
    return this.#here?.family
  }

  address(): object {
    return { ...this.#here }
  }

  setNoDelay(on = true): void {
    if (!this.#gone) engine.setNoDelay(this.#id, on ? 1 : 0)
  }

  setKeepAlive(on = false, delay = 0): void {
    if (!this.#gone) engine.setKeepAlive(this.#id, on ? 1 : 0, Math.floor(delay / 1000))
  }

  resetAndDestroy(): void {
    if (this.#gone) return
    engine.reset(this.#id)
    // Before anybody else can: a goodbye would reach the peer before the reset.
    engine.destroy(this.#id, endings.now)
  }

  ref(): void {
    if (!this.#gone && !this.#keepsAlive) keepAlive(true)
    this.#keepsAlive = true
  }

  unref(): void {
    if (!this.#gone && this.#keepsAlive) keepAlive(false)
    this.#keepsAlive = false
  }
}
