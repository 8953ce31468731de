// The part of net.Socket's interface that is about the network and not about TLS: addresses, timeouts, options. A stream that
// runs over no network has the methods all the same; they do nothing.

import { Duplex } from 'node:stream'
import type { Endpoint } from './connection.js'
import { invalidType, outOfRange } from './errors.js'

/** A Duplex that can be asked for the network below it. */
export abstract class EndpointStream extends Duplex {
  /** Milliseconds of inactivity after which 'timeout' is emitted; undefined when there is no limit. */
  timeout: number | undefined
  #timer: NodeJS.Timeout | null = null

  /** @internal What is below. */
  protected abstract get _endpoint(): Endpoint

  /** @internal Traffic: the time of inactivity begins again. */
  protected _moved(): void {
    this.#timer?.refresh()
  }

  /** @internal */
  protected _endTimeout(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** True while the transport is not connected yet. */
  get connecting(): boolean {
    return this._endpoint.connecting === true
  }

  get pending(): boolean {
    return this.connecting
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  get remoteAddress(): string | undefined {
    return this._endpoint.remoteAddress
  }

  get remotePort(): number | undefined {
    return this._endpoint.remotePort
  }

  get remoteFamily(): string | undefined {
    return this._endpoint.remoteFamily
  }

  get localAddress(): string | undefined {
    return this._endpoint.localAddress
  }

  get localPort(): number | undefined {
    return this._endpoint.localPort
  }

  get localFamily(): string | undefined {
    return this._endpoint.localFamily
  }

  /** The local address, an empty object for a transport that has none. */
  address(): object {
    return this._endpoint.address?.() ?? {}
  }

  get bufferSize(): number {
    return this.writableLength
  }

  setNoDelay(on?: boolean): this {
    this._endpoint.setNoDelay?.(on)
    return this
  }

  setKeepAlive(on?: boolean, delay?: number): this {
    this._endpoint.setKeepAlive?.(on, delay)
    return this
  }

  ref(): this {
    this._endpoint.ref?.()
    return this
  }

  unref(): this {
    this._endpoint.unref?.()
    return this
  }

  /** Emits 'timeout' after `milliseconds` without traffic, and does nothing else about it; 0 ends that. */
  setTimeout(milliseconds: number, callback?: () => void): this {
    if (typeof milliseconds !== 'number') throw invalidType('msecs', 'a number', milliseconds)
    if (!(milliseconds >= 0) || !Number.isFinite(milliseconds))
      throw outOfRange('msecs', 'a non-negative finite number', milliseconds)
    if (callback !== undefined && typeof callback !== 'function') throw invalidType('callback', 'a function', callback)
    if (this.destroyed) return this
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.timeout = milliseconds || undefined
    if (milliseconds === 0) {
      if (callback) this.removeListener('timeout', callback)
      return this
    }
    this.#timer = setTimeout(() => this.emit('timeout'), milliseconds).unref()
    if (callback) this.once('timeout', callback)
    return this
  }

  /** Destroys the socket with a reset (TCP's RST), after which the peer has an error and not an end. */
  resetAndDestroy(): this {
    this._endpoint.resetAndDestroy?.()
    return this.destroy()
  }

  /** Ends the sending direction and destroys the socket when everything is sent. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }
}
