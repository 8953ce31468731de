// A connection at home on the JavaScript thread: an SSL between two memory BIOs, and a Duplex that carries the bytes.
// Knows nothing of certificates, sessions or events for applications.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection, ConnectionEvents, Ending, Endpoint } from './connection.js'
import { earlyData } from './early-data.js'
import { codedError, connectionReset, opensslError } from './errors.js'
import * as libssl from './libssl.js'

/** How much plain text is encrypted at once; also how much is read at once. Four full records. */
const batch = 64 * 1024
/** The largest plain text of one record. */
const record = 16 * 1024

type Done = (error?: Error | null) => void

// Plain text is read into this and copied out when it is little; a connection that fills it keeps it. Null while in
// use: a callback of the application can make another connection read in the middle of this one's reading.
let scratch: Buffer | null = null

function borrowScratch(): Buffer {
  const buffer = scratch ?? Buffer.allocUnsafeSlow(batch)
  scratch = null
  return buffer
}

function memoryBio(): libssl.BIO {
  const bio = libssl.BIO_new(libssl.BIO_s_mem())
  // One reference is the SSL's; the other keeps the BIO usable here.
  if (bio === null || libssl.BIO_up_ref(bio) !== 1) throw opensslError('Out of memory')
  return bio
}

/**
 * Drives an SSL over any Duplex.
 *
 * Everything happens in `#run`, which works until nothing can move: handshake, reading, writing. Events call back into the application, which may
 * call back into this object; that only asks the loop for another turn, so libssl is never entered twice.
 */
export class InlineConnection implements Connection {
  readonly limitsLookups = false
  #ssl: libssl.SSL | null
  readonly #rbio: libssl.BIO
  readonly #wbio: libssl.BIO
  readonly #transport: Duplex
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
  /** The transport has nothing more to give. */
  #transportEnded = false
  /** The socket has been told that nothing more will come. */
  #ended = false

  #queue: Uint8Array[] = []
  #writeDone: Done | null = null
  #endDone: Done | null = null
  /** The sending direction is over: all of it is with the transport. */
  #goodbye = false
  /** Writes that the transport has not finished. */
  #sending = 0
  /** The transport asked to wait for its 'drain'. */
  #congested = false
  #holds = 0
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
    this.#transport = transport
    this.#events = events
    this.#rbio = memoryBio()
    this.#wbio = memoryBio()
    libssl.SSL_set_bio(ssl, this.#rbio, this.#wbio)
    // When to stop sending is TLS's decision, not that of the peer's end of stream.
    transport.allowHalfOpen = true
    transport.on('data', this.#onData)
    transport.on('end', this.#onEnd)
    transport.on('error', this.#onError)
    transport.on('close', this.#onClose)
    transport.on('drain', this.#onDrain)
    transport.pause()
    if (handshakeTimeout > 0) {
      const late = (): void => events.failed(codedError('ERR_TLS_HANDSHAKE_TIMEOUT', 'TLS handshake timeout'))
      this.#handshakeTimer = setTimeout(late, handshakeTimeout).unref()
    }
  }

  get ssl(): libssl.SSL | null {
    return this.#destroyed ? null : this.#ssl
  }

  get endpoint(): Endpoint {
    return this.#transport as Endpoint
  }

  start(early?: Uint8Array): void {
    this.#started = true
    if (early !== undefined && early.length > 0) this.#earlyData = early
    // A transport that was over before it came here will not say so again.
    if (this.#transport.readableEnded || this.#transport.destroyed) this.#transportEnded = true
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
    this.#holds += 1
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#holds -= 1
      this.#run()
    }
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

  #onData = (chunk: unknown): void => {
    if (!(chunk instanceof Uint8Array)) {
      const error = codedError('ERR_STREAM_WRAP', 'Stream has StringDecoder set or is in objectMode')
      this.#events.lost(error)
      return
    }
    this.#events.active()
    // After the peer's goodbye nothing counts any more; reading on serves to see the transport end.
    if (this.#ended || this.#broken) return
    libssl.BIO_write(this.#rbio, chunk)
    this.#run()
  }

  #onEnd = (): void => {
    this.#transportEnded = true
    // Nobody finishes a handshake without sending: there is no point in waiting for the lookup.
    if (this.#paused && !this.#established) this.#tellEnd()
    else this.#run()
  }

  #onError = (error: Error): void => {
    // When both sides have said goodbye and everything else is sent, a peer that is gone already is no error.
    if (!this.#destroyed && !(this.#goodbye && this.#ended)) this.#events.lost(error)
  }

  #onClose = (): void => {
    this.#transportEnded = true
    this.#run()
    if (!this.#destroyed) this.#events.lost(null)
  }

  #onDrain = (): void => {
    this.#congested = false
    this.#run()
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
      else this.#regulate()
    }
  }

  #turn(): void {
    const ssl = this.#ssl
    if (ssl === null || this.#paused) return
    if (!this.#complete && !this.#broken) this.#handshake(ssl)
    if (this.#complete && !this.#destroyed) this.#receive(ssl)
    if (this.#established && !this.#destroyed) this.#send(ssl)
    if (!this.#destroyed) this.#flush()
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
    this.#flush()
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
      if (this.#destroyed || status !== libssl.SSL_READ_EARLY_DATA_SUCCESS) scratch = buffer
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
        this.#flush()
        this.#events.established(false)
        libssl.ERR_clear_error()
      }
      if (failed) {
        if (!this.#destroyed) this.#blocked(ssl, 0, 'The TLS handshake has failed')
        return false
      }
      if (this.#destroyed) scratch = buffer
      else this.#deliver(buffer, bytes)
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
        scratch = buffer
        return
      }
      if (length > 0) this.#deliver(buffer, length)
      else scratch = buffer
      if (this.#destroyed) return
      if (error !== null) this.#break(error)
      else if (reason === libssl.SSL_ERROR_ZERO_RETURN) this.#tellEnd()
      else if (reason === libssl.SSL_ERROR_WANT_READ && this.#transportEnded) this.#tellEnd()
      if (result <= 0) return
    }
  }

  /** Hands plain text to the reader: the buffer itself when it is well filled, else a copy. */
  #deliver(buffer: Buffer, length: number): void {
    let bytes: Buffer
    if (length > batch / 2) {
      bytes = buffer.subarray(0, length)
    } else {
      bytes = Buffer.from(buffer.subarray(0, length))
      scratch = buffer
    }
    this.#wanted = this.#events.received(bytes)
  }

  #send(ssl: libssl.SSL): void {
    while (this.#queue.length > 0 && !this.#congested && !this.#broken && this.#holds === 0) {
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
      this.#flush()
    }
    if (this.#queue.length > 0 || this.#holds > 0) return
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
    if (this.#transport.destroyed) done()
    else this.#transport.end(() => done())
  }

  /** Passes what TLS wants to send to the transport. */
  #flush(): void {
    if (this.#holds > 0) return
    const length = libssl.BIO_pending(this.#wbio)
    if (length === 0) return
    const bytes = Buffer.allocUnsafe(length)
    libssl.BIO_read(this.#wbio, bytes)
    if (!this.#transport.writable) return
    this.#sending += 1
    if (!this.#transport.write(bytes, this.#onSent)) this.#congested = true
  }

  #onSent = (error?: Error | null): void => {
    this.#sending -= 1
    // A transport that cannot write says so with an 'error' event as well.
    if (error || this.#destroyed) return
    this.#events.active()
    this.#finishWrite()
    if (this.#endDone !== null) this.#run()
  }

  /** The write is done when all of it is encrypted and the transport has taken all that was encrypted. */
  #finishWrite(): void {
    const done = this.#writeDone
    if (done === null || this.#queue.length > 0 || this.#sending > 0) return
    this.#writeDone = null
    done()
  }

  /** What a call that could not go on asks for. */
  #blocked(ssl: libssl.SSL, result: number, message: string): void {
    switch (libssl.SSL_get_error(ssl, result)) {
      case libssl.SSL_ERROR_WANT_READ:
        if (!this.#transportEnded || this.#complete) return
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
    this.#flush()
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

  /** Reads from the transport exactly while somebody has use for it. */
  #regulate(): void {
    const transport = this.#transport
    const use = this.#complete ? this.#wanted || this.#ended : libssl.BIO_pending(this.#rbio) < batch
    if (use === !transport.isPaused()) return
    if (use) transport.resume()
    else transport.pause()
  }

  /** The end, once libssl has been left. */
  #close(): void {
    const ssl = this.#ssl
    if (ssl === null) return
    if (this.#atClose.politely && this.#mayGoPolitely(ssl)) this.#shutdown(ssl)
    else this.#sendLast(ssl)
    const transport = this.#transport
    transport.off('data', this.#onData)
    transport.off('end', this.#onEnd)
    transport.off('drain', this.#onDrain)
    transport.off('close', this.#onClose)
    // The error listener stays: what happens to the transport from now on concerns nobody.
    if (transport instanceof Socket && !transport.closed) transport.once('close', this.#atClose.done)
    else process.nextTick(this.#atClose.done)
    if (this.#broken) closeGently(transport)
    else transport.destroy()
    this.#ssl = null
    libssl.SSL_free(ssl)
    libssl.BIO_free(this.#rbio)
    libssl.BIO_free(this.#wbio)
  }

  /** What was written before the end goes out as far as the transport takes it at once. */
  #sendLast(ssl: libssl.SSL): void {
    if (!this.#complete || this.#broken || this.#congested || this.#holds > 0) return
    for (const bytes of this.#queue.splice(0)) {
      libssl.ERR_clear_error()
      if (libssl.SSL_write(ssl, bytes) <= 0) break
    }
    libssl.ERR_clear_error()
    this.#flush()
  }

  /** Whether a goodbye would be true: everything that was written has been sent, and somebody is there. */
  #mayGoPolitely(ssl: libssl.SSL): boolean {
    const sent = this.#queue.length === 0 && this.#sending === 0 && this.#holds === 0
    return this.#complete && !this.#broken && !this.#goodbye && sent && !this.#wasCut(ssl)
  }

  /** Whether the peer's stream has just stopped, without a goodbye. */
  #wasCut(ssl: libssl.SSL): boolean {
    return this.#transportEnded && (libssl.SSL_get_shutdown(ssl) & libssl.SSL_RECEIVED_SHUTDOWN) === 0
  }

  #shutdown(ssl: libssl.SSL): void {
    libssl.ERR_clear_error()
    libssl.SSL_shutdown(ssl)
    libssl.ERR_clear_error()
    this.#flush()
  }
}

/** Small chunks together, large ones in pieces: what OpenSSL gets at once fills records and does not pile up encrypted. */
function batches(chunks: readonly Uint8Array[]): Uint8Array[] {
  const result: Uint8Array[] = []
  let small: Uint8Array[] = []
  let size = 0
  const close = (): void => {
    if (small.length > 0) result.push(small.length === 1 ? (small[0] as Uint8Array) : Buffer.concat(small, size))
    small = []
    size = 0
  }
  for (const chunk of chunks) {
    if (chunk.length >= record) {
      close()
      for (let at = 0; at < chunk.length; at += batch) result.push(chunk.subarray(at, at + batch))
    } else if (chunk.length > 0) {
      if (size + chunk.length > batch) close()
      small.push(chunk)
      size += chunk.length
    }
  }
  close()
  return result
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
