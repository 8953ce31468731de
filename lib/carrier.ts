// What carries the records of an inline connection: a Duplex, and the two memory BIOs that libssl reads from and writes to. Knows
// nothing of TLS.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Endpoint } from './connection.js'
import { opensslError } from './errors.js'
import * as libssl from './libssl.js'
import { batch } from './plaintext.js'

/** What a carrier tells its connection. */
export interface CarrierEvents {
  /** The peer has sent something; `feed` gives it to libssl if it is bytes. */
  came(chunk: unknown): void
  /** The peer sends nothing more. */
  ended(): void
  /** What could not be sent may be sent now. */
  ready(): void
  /** The transport has finished a write, well. */
  sent(): void
  /** The transport has failed. */
  failed(error: Error): void
  /** The transport has closed, perhaps without having `ended`. */
  closed(): void
}

function memoryBio(): libssl.BIO {
  const bio = libssl.BIO_new(libssl.BIO_s_mem())
  // One reference is the SSL's; the other keeps the BIO usable here.
  if (bio === null || libssl.BIO_up_ref(bio) !== 1) throw opensslError('Out of memory')
  return bio
}

/** Carries what an SSL sends and receives over any Duplex. */
export class Carrier {
  readonly #transport: Duplex
  readonly #events: CarrierEvents
  readonly #rbio = memoryBio()
  readonly #wbio = memoryBio()
  #ended = false
  /** Writes that the transport has not finished. */
  #sending = 0
  /** The transport asked to wait for its 'drain'. */
  #congested = false
  #holds = 0

  constructor(ssl: libssl.SSL, transport: Duplex, events: CarrierEvents) {
    this.#transport = transport
    this.#events = events
    libssl.SSL_set_bio(ssl, this.#rbio, this.#wbio)
    // When to stop sending is TLS's decision, not that of the peer's end of stream.
    transport.allowHalfOpen = true
    transport.on('data', this.#onData)
    transport.on('end', this.#onEnd)
    transport.on('error', this.#onError)
    transport.on('close', this.#onClose)
    transport.on('drain', this.#onDrain)
    transport.pause()
  }

  get endpoint(): Endpoint {
    return this.#transport as Endpoint
  }

  /** Whether the transport has nothing more to give. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether nothing more is to be given to the transport for now. */
  get blocked(): boolean {
    return this.#congested || this.#holds > 0
  }

  /** Whether what there is to send is kept back: `hold`. */
  get held(): boolean {
    return this.#holds > 0
  }

  /** Whether the transport has taken all that it was given. */
  get idle(): boolean {
    return this.#sending === 0
  }

  /** Whether libssl has been fed as much as it is to have at once. */
  get full(): boolean {
    return libssl.BIO_pending(this.#rbio) >= batch
  }

  start(): void {
    // A transport that was over before it came here will not say so again.
    if (this.#transport.readableEnded || this.#transport.destroyed) this.#ended = true
  }

  /** Gives libssl what the peer has sent. */
  feed(bytes: Uint8Array): void {
    libssl.BIO_write(this.#rbio, bytes)
  }

  /** Keeps back what there is to send until the returned function is called. */
  hold(): () => void {
    this.#holds += 1
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#holds -= 1
      this.#events.ready()
    }
  }

  /** Passes what TLS wants to send to the transport. */
  flush(): void {
    if (this.#holds > 0) return
    const length = libssl.BIO_pending(this.#wbio)
    if (length === 0) return
    const bytes = Buffer.allocUnsafe(length)
    libssl.BIO_read(this.#wbio, bytes)
    if (!this.#transport.writable) return
    this.#sending += 1
    if (!this.#transport.write(bytes, this.#onSent)) this.#congested = true
  }

  /** Reads from the transport exactly while somebody has use for it. */
  regulate(use: boolean): void {
    const transport = this.#transport
    if (use === !transport.isPaused()) return
    if (use) transport.resume()
    else transport.pause()
  }

  /** Ends the sending direction. */
  end(done: () => void): void {
    if (this.#transport.destroyed) done()
    else this.#transport.end(() => done())
  }

  /** Destroys the transport, after what was sent last has gone out where that is said; `done` is called when it is closed. */
  close(gently: boolean, done: () => void): void {
    const transport = this.#transport
    transport.off('data', this.#onData)
    transport.off('end', this.#onEnd)
    transport.off('drain', this.#onDrain)
    transport.off('close', this.#onClose)
    // The error listener stays: what happens to the transport from now on concerns nobody.
    if (transport instanceof Socket && !transport.closed) transport.once('close', done)
    else process.nextTick(done)
    if (gently) closeGently(transport)
    else transport.destroy()
    libssl.BIO_free(this.#rbio)
    libssl.BIO_free(this.#wbio)
  }

  #onData = (chunk: unknown): void => this.#events.came(chunk)

  #onEnd = (): void => {
    this.#ended = true
    this.#events.ended()
  }

  #onError = (error: Error): void => this.#events.failed(error)

  #onClose = (): void => {
    this.#ended = true
    this.#events.closed()
  }

  #onDrain = (): void => {
    this.#congested = false
    this.#events.ready()
  }

  #onSent = (error?: Error | null): void => {
    this.#sending -= 1
    // A transport that cannot write says so with an 'error' event as well.
    if (!error) this.#events.sent()
  }
}

/** Destroys a transport after the last alert has gone out, but does not wait long for a peer that takes nothing. */
function closeGently(transport: Duplex): void {
  if (transport.destroyed || !transport.writable || transport.writableLength === 0) {
    transport.destroy()
    return
  }
  const close = (): void => {
    clearTimeout(limit)
    transport.destroy()
  }
  const limit = setTimeout(close, 1000)
  transport.once('finish', close)
  transport.end()
}
