// A connection at home on the JavaScript thread: an SSL, and when it shakes hands, reads, writes and ends. What carries its bytes is
// in carrier.ts. Knows nothing of certificates, sessions or events for applications.

import type { Duplex } from 'node:stream'
import { Carrier, type CarrierEvents } from './carrier.js'
import type { Connection, ConnectionEvents, Ending, Endpoint } from './connection.js'
import { earlyData } from './early-data.js'
import { codedError, connectionReset, opensslError } from './errors.js'
import * as libssl from './libssl.js'
import { batches, borrowScratch, giveScratchBack, record, takeFromScratch } from './plaintext.js'

type Done = (error?: Error | null) => void

/**
 * Drives an SSL over any Duplex.
 *
 * Everything happens in `#run`, which works until nothing can move: handshake, reading, writing. Events call back into the application, which may
 * call back into this object; that only asks the loop for another turn, so libssl is never entered twice.
 */
export class InlineConnection implements Connection {
  readonly limitsLookups = false
  #ssl: libssl.SSL | null
  readonly #carrier: Carrier
  readonly #events: ConnectionEvents

  #running = false
  #again = false
  #started = false
  /** The application has the connection: the handshake is complete, or early data is accepted. */
  #established = false
  #complete = false
  /** A server, which may get early data before SSL_do_handshake is called. */
  #takesEarlyData: boolean
  /** What a client sends first. */
  #earlyData: Uint8Array | undefined
  /** Waiting for the application's answer to a lookup. */
  #paused = false
  /** The last call of the handshake has thrown. */
  #refused = false
  /** TLS is over after a fatal error: libssl must not be asked to send anything more. */
  #broken = false
  #destroyed = false

  /** The socket's reader has room. */
  #wanted = false
  /** The socket has been told that nothing more will come. */
  #ended = false

  #queue: Uint8Array[] = []
  #writeDone: Done | null = null
  #endDone: Done | null = null
  /** The sending direction is over: all of it is with the transport. */
  #goodbye = false
  #atClose = { politely: false, done: (): void => {} }
  readonly #handshakeTimer: NodeJS.Timeout | null = null

  /** Takes over the caller's reference to `ssl`. `handshakeTimeout` is in milliseconds, 0 for ever; a server's `maxEarlyData` in bytes. */
  constructor(
    ssl: libssl.SSL,
    transport: Duplex,
    events: ConnectionEvents,
    handshakeTimeout: number,
    maxEarlyData: number,
  ) {
    this.#ssl = ssl
    this.#takesEarlyData = maxEarlyData > 0
    if (this.#takesEarlyData) earlyData.accept(ssl, maxEarlyData)
    this.#events = events
    this.#carrier = new Carrier(ssl, transport, new InlineConnection.#CarrierEvents(this))
    if (handshakeTimeout > 0) {
      const late = (): void => events.failed(codedError('ERR_TLS_HANDSHAKE_TIMEOUT', 'TLS handshake timeout'))
      this.#handshakeTimer = setTimeout(late, handshakeTimeout).unref()
    }
  }

  get ssl(): libssl.SSL | null {
    return this.#destroyed ? null : this.#ssl
  }

  get endpoint(): Endpoint {
    return this.#carrier.endpoint
  }

  start(early?: Uint8Array): void {
    this.#started = true
    if (early !== undefined && early.length > 0) this.#earlyData = early
    this.#carrier.start()
    this.#run()
  }

  read(): void {
    this.#wanted = true
    this.#run()
  }

  write(chunks: readonly Uint8Array[], done: Done): void {
    this.#queue = batches(chunks)
    this.#writeDone = done
    this.#run()
  }

  end(done: Done): void {
    this.#endDone = done
    this.#run()
  }

  hold(): () => void {
    return this.#carrier.hold()
  }

  destroy(ending: Ending, done: () => void): void {
    this.#destroyed = true
    this.#endTimer()
    this.#atClose = { politely: ending === 'goodbye', done }
    if (!this.#running) this.#close()
    const write = this.#writeDone
    this.#writeDone = null
    if (write !== null) write(codedError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'))
  }

  /** What the carrier tells: one small object, since there is one for every connection. */
  static readonly #CarrierEvents = class implements CarrierEvents {
    readonly #connection: InlineConnection

    constructor(connection: InlineConnection) {
      this.#connection = connection
    }

    came(chunk: unknown): void {
      const connection = this.#connection
      if (!(chunk instanceof Uint8Array)) {
        const error = codedError('ERR_STREAM_WRAP', 'Stream has StringDecoder set or is in objectMode')
        connection.#events.lost(error)
        return
      }
      connection.#events.active()
      // After the peer's goodbye nothing counts any more; reading on serves to see the transport end.
      if (connection.#ended || connection.#broken) return
      connection.#carrier.feed(chunk)
      connection.#run()
    }

    ended(): void {
      const connection = this.#connection
      // Nobody finishes a handshake without sending: there is no point in waiting for the lookup.
      if (connection.#paused && !connection.#established) connection.#tellEnd()
      else connection.#run()
    }

    ready(): void {
      this.#connection.#run()
    }

    sent(): void {
      const connection = this.#connection
      if (connection.#destroyed) return
      connection.#events.active()
      connection.#finishWrite()
      if (connection.#endDone !== null) connection.#run()
    }

    failed(error: Error): void {
      const connection = this.#connection
      // When both sides have said goodbye and everything else is sent, a peer that is gone already is no error.
      if (!connection.#destroyed && !(connection.#goodbye && connection.#ended)) connection.#events.lost(error)
    }

    closed(): void {
      const connection = this.#connection
      connection.#run()
      if (!connection.#destroyed) connection.#events.lost(null)
    }
  }

  #run(): void {
    if (!this.#started) return
    this.#again = true
    if (this.#running || this.#destroyed) return
    this.#running = true
    try {
      while (this.#again && !this.#destroyed) {
        this.#again = false
        this.#turn()
      }
    } finally {
      this.#running = false
      if (this.#destroyed) this.#close()
      else this.#carrier.regulate(this.#complete ? this.#wanted || this.#ended : !this.#carrier.full)
    }
  }

  #turn(): void {
    const ssl = this.#ssl
    if (ssl === null || this.#paused) return
    if (!this.#complete && !this.#broken) this.#handshake(ssl)
    if (this.#complete && !this.#destroyed) this.#receive(ssl)
    if (this.#established && !this.#destroyed) this.#send(ssl)
    if (!this.#destroyed) this.#carrier.flush()
  }

  #handshake(ssl: libssl.SSL): void {
    libssl.ERR_clear_error()
    let result: number
    try {
      if (this.#takesEarlyData && !this.#readEarlyData(ssl)) return
      result = this.#sendEarlyData(ssl) ? libssl.SSL_do_handshake(ssl) : 0
      this.#refused = false
    } catch (error) {
      this.#refuse(error)
      return
    }
    // A callback of the application may have destroyed the socket meanwhile.
    if (this.#destroyed) return
    if (result !== 1) {
      this.#blocked(ssl, result, 'The TLS handshake has failed')
      return
    }
    this.#complete = true
    this.#endTimer()
    this.#carrier.flush()
    if (this.#established) {
      this.#events.completed()
    } else {
      this.#established = true
      this.#events.established(true)
    }
  }

  /** Hands on what comes before the handshake is complete, whether or not there is room: it has a limit of its own. Returns whether that was all. */
  #readEarlyData(ssl: libssl.SSL): boolean {
    while (!this.#destroyed) {
      const buffer = borrowScratch()
      const { status, bytes } = libssl.SSL_read_early_data(ssl, buffer)
      if (this.#destroyed || status !== libssl.SSL_READ_EARLY_DATA_SUCCESS) giveScratchBack(buffer)
      if (this.#destroyed) return false
      if (status === libssl.SSL_READ_EARLY_DATA_FINISH) {
        this.#takesEarlyData = false
        return true
      }
      const failed = status === libssl.SSL_READ_EARLY_DATA_ERROR
      const sound = !failed || libssl.SSL_get_error(ssl, 0) === libssl.SSL_ERROR_WANT_READ
      const accepted = libssl.SSL_get_early_data_status(ssl) === libssl.SSL_EARLY_DATA_ACCEPTED
      if (sound && accepted && !this.#established) {
        this.#established = true
        this.#carrier.flush()
        this.#events.established(false)
        libssl.ERR_clear_error()
      }
      if (failed) {
        if (!this.#destroyed) this.#blocked(ssl, 0, 'The TLS handshake has failed')
        return false
      }
      if (this.#destroyed) giveScratchBack(buffer)
      else this.#wanted = this.#events.received(takeFromScratch(buffer, bytes))
    }
    return false
  }

  /** Returns whether a client has no early data left to send. */
  #sendEarlyData(ssl: libssl.SSL): boolean {
    if (this.#earlyData === undefined) return true
    const { ok } = libssl.SSL_write_early_data(ssl, this.#earlyData)
    if (ok === 1) this.#earlyData = undefined
    return ok === 1
  }

  #receive(ssl: libssl.SSL): void {
    while (this.#wanted && !this.#ended && !this.#broken) {
      const buffer = borrowScratch()
      let length = 0
      let result = 1
      let reason = libssl.SSL_ERROR_NONE
      while (result > 0 && buffer.length - length >= record) {
        libssl.ERR_clear_error()
        try {
          result = libssl.SSL_read(ssl, length === 0 ? buffer : buffer.subarray(length))
        } catch (error) {
          // What was read, if anything, is lost: the stream cannot go on.
          this.#break(error as Error)
          return
        }
        if (this.#destroyed) break
        if (result > 0) length += result
        else reason = libssl.SSL_get_error(ssl, result)
      }
      // The queue must be read before anybody else can touch it.
      const error =
        reason === libssl.SSL_ERROR_SSL || reason === libssl.SSL_ERROR_SYSCALL
          ? opensslError('TLS has failed', 'connection')
          : null
      if (this.#destroyed) {
        giveScratchBack(buffer)
        return
      }
      if (length > 0) this.#wanted = this.#events.received(takeFromScratch(buffer, length))
      else giveScratchBack(buffer)
      if (this.#destroyed) return
      if (error !== null) this.#break(error)
      else if (reason === libssl.SSL_ERROR_ZERO_RETURN) this.#tellEnd()
      else if (reason === libssl.SSL_ERROR_WANT_READ && this.#carrier.ended) this.#tellEnd()
      if (result <= 0) return
    }
  }

  #send(ssl: libssl.SSL): void {
    while (this.#queue.length > 0 && !this.#broken && !this.#carrier.blocked) {
      const bytes = this.#queue[0] as Uint8Array
      libssl.ERR_clear_error()
      let result: number
      try {
        result = this.#complete ? libssl.SSL_write(ssl, bytes) : libssl.SSL_write_early_data(ssl, bytes).ok
      } catch (error) {
        this.#break(error as Error)
        return
      }
      if (this.#destroyed) return
      if (result <= 0) {
        this.#blocked(ssl, result, 'TLS has failed')
        return
      }
      this.#queue.shift()
      this.#carrier.flush()
    }
    if (this.#queue.length > 0 || this.#carrier.held) return
    this.#finishWrite()
    if (this.#endDone !== null && this.#writeDone === null && this.#complete) this.#sayGoodbye(ssl)
  }

  #sayGoodbye(ssl: libssl.SSL): void {
    const done = this.#endDone as Done
    this.#endDone = null
    this.#goodbye = true
    // After a stream that just stopped there is nobody to say goodbye to, and OpenSSL must see that there was none: it then
    // withdraws the session.
    if (!this.#broken && !this.#wasCut(ssl)) this.#shutdown(ssl)
    this.#carrier.end(done)
  }

  /** The write is done when all of it is encrypted and the transport has taken all that was encrypted. */
  #finishWrite(): void {
    const done = this.#writeDone
    if (done === null || this.#queue.length > 0 || !this.#carrier.idle) return
    this.#writeDone = null
    done()
  }

  /** What a call that could not go on asks for. */
  #blocked(ssl: libssl.SSL, result: number, message: string): void {
    switch (libssl.SSL_get_error(ssl, result)) {
      case libssl.SSL_ERROR_WANT_READ:
        if (!this.#carrier.ended || this.#complete) return
        if (this.#established) this.#events.lost(connectionReset('The client has left during the TLS handshake'))
        else this.#tellEnd()
        return
      case libssl.SSL_ERROR_WANT_WRITE:
        return
      case libssl.SSL_ERROR_WANT_ASYNC:
      case libssl.SSL_ERROR_WANT_X509_LOOKUP:
        this.#pause(libssl.SSL_waiting_session(ssl))
        return
      case libssl.SSL_ERROR_WANT_ASYNC_JOB:
        this.#pause(new Promise((resolve) => setImmediate(resolve)))
        return
      case libssl.SSL_ERROR_ZERO_RETURN:
        this.#tellEnd()
        return
      default:
        this.#break(opensslError(message, 'connection'))
    }
  }

  #pause(until: Promise<void>): void {
    this.#paused = true
    void until.then(() => {
      this.#paused = false
      this.#run()
    })
  }

  #endTimer(): void {
    if (this.#handshakeTimer !== null) clearTimeout(this.#handshakeTimer)
  }

  #tellEnd(): void {
    if (this.#ended) return
    this.#ended = true
    this.#events.ended()
  }

  #break(error: Error): void {
    if (this.#destroyed) return
    this.#broken = true
    // The alert that tells the peer why.
    this.#carrier.flush()
    this.#events.failed(error)
  }

  /** An answer that libssl does not take: it counts as none, and the handshake goes on when it is called again. */
  #refuse(error: unknown): void {
    if (this.#destroyed) return
    if (this.#refused) {
      // Then it is not about an answer.
      this.#break(error as Error)
      return
    }
    this.#refused = true
    this.#again = true
    this.#events.refused(error)
  }

  /** The end, once libssl has been left. */
  #close(): void {
    const ssl = this.#ssl
    if (ssl === null) return
    if (this.#atClose.politely && this.#mayGoPolitely(ssl)) this.#shutdown(ssl)
    else this.#sendLast(ssl)
    this.#carrier.close(this.#broken, this.#atClose.done)
    this.#ssl = null
    libssl.SSL_free(ssl)
  }

  /** What was written before the end goes out as far as the transport takes it at once. */
  #sendLast(ssl: libssl.SSL): void {
    if (!this.#complete || this.#broken || this.#carrier.blocked) return
    for (const bytes of this.#queue.splice(0)) {
      libssl.ERR_clear_error()
      if (libssl.SSL_write(ssl, bytes) <= 0) break
    }
    libssl.ERR_clear_error()
    this.#carrier.flush()
  }

  /** Whether a goodbye would be true: everything that was written has been sent, and somebody is there. */
  #mayGoPolitely(ssl: libssl.SSL): boolean {
    const sent = this.#queue.length === 0 && this.#carrier.idle && !this.#carrier.held
    return this.#complete && !this.#broken && !this.#goodbye && sent && !this.#wasCut(ssl)
  }

  /** Whether the peer's stream has just stopped, without a goodbye. */
  #wasCut(ssl: libssl.SSL): boolean {
    return this.#carrier.ended && (libssl.SSL_get_shutdown(ssl) & libssl.SSL_RECEIVED_SHUTDOWN) === 0
  }

  #shutdown(ssl: libssl.SSL): void {
    libssl.ERR_clear_error()
    libssl.SSL_shutdown(ssl)
    libssl.ERR_clear_error()
    this.#carrier.flush()
  }
}
