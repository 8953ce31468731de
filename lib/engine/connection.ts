// A connection at home on a thread of the engine: what the thread tells of it, and what it is told. A net.Socket moves in with its
// descriptor; an accepted connection is there already.

import { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { Connection, ConnectionEvents, Ending, Endpoint, Handshake } from '../connection.js'
import { codedError, opensslError } from '../errors.js'
import * as libssl from '../libssl.js'
import { addConnection, type ConnectionReceiver, keepAlive, type SessionKeeper, wake } from './dispatch.js'
import { EngineEndpoint } from './endpoint.js'
import { type EngineSettings, endings, engine, Told } from './functions.js'

/** How much may have been consumed before the engine is told. */
const consumedStep = 32 * 1024

const nothing = new Uint8Array(0)
const nowhere: Endpoint = {}

type Done = (error?: Error | null) => void

/** An error of the system, shaped as Node shapes it. */
export function systemError(errno: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-Math.abs(errno))
  return Object.assign(new Error(`${syscall} ${code}`), { errno: -Math.abs(errno), code, syscall })
}

type EstablishedValue = number | [version: number, alpnProtocol: string, servername: string, complete: boolean]

function handshakeOf(value: EstablishedValue): Handshake {
  const [version, alpnProtocol, servername] = typeof value === 'number' ? [value, '', ''] : value
  return { version: Math.abs(version), resumed: version < 0, alpnProtocol, servername }
}

/** What net.Socket has below it; not public, but the same in every Node that this package runs on. */
interface SocketHandle {
  readonly fd?: number
  /** Whether it keeps the program alive. */
  hasRef(): boolean
  readStop(): number
  close(): void
}

function handleOf(socket: Socket): SocketHandle | null {
  return (socket as unknown as { _handle: SocketHandle | null })._handle
}

/** Whether the engine can take over what is below a stream: a TCP or Unix socket, connected or about to be. */
export function hasDescriptor(transport: unknown): transport is Socket {
  if (!(transport instanceof Socket) || transport.destroyed) return false
  if (transport.connecting) return true
  const handle = handleOf(transport)
  const kind = handle?.constructor.name
  return handle !== null && (kind === 'TCP' || kind === 'Pipe') && (handle.fd ?? -1) >= 0
}

/** What was read from a socket and not used. */
function unused(socket: Socket): Uint8Array {
  const chunks: Uint8Array[] = []
  // From Node.js 26 on, one call does not give all.
  while (socket.readableLength > 0) {
    const bytes: unknown = socket.read()
    if (bytes === null) break
    if (!(bytes instanceof Uint8Array))
      throw codedError('ERR_STREAM_WRAP', 'Stream has StringDecoder set or is in objectMode')
    chunks.push(bytes)
  }
  return chunks.length === 0 ? nothing : Buffer.concat(chunks)
}

export class EngineConnection implements Connection, ConnectionReceiver {
  readonly limitsLookups = true
  readonly sessions: SessionKeeper | null
  readonly #events: ConnectionEvents
  readonly #settings: EngineSettings
  /** 0 while the connection has not moved in. */
  #id = 0
  #ssl: libssl.SSL | null = null
  #socket: Socket | null = null
  #endpoint: EngineEndpoint | null = null
  #destroyed = false
  /** The reader has room. */
  #wanted = false
  /** What came while it had none. */
  #pending: Buffer[] = []
  #consumed = 0
  #peerEnded = false
  #toldEnd = false
  #finished = false
  #established = false
  /** The handshake is complete; with early data that comes after being established. */
  #complete = false
  #writing: { chunks: readonly Uint8Array[]; done: Done } | null = null
  #ending: Done | null = null
  #closed: (() => void) | null = null

  private constructor(events: ConnectionEvents, settings: EngineSettings, sessions: SessionKeeper | null) {
    this.#events = events
    this.#settings = settings
    this.sessions = sessions
  }

  /** A connection that the engine has accepted. */
  static accepted(id: number, events: ConnectionEvents): EngineConnection {
    const connection = new EngineConnection(events, {}, null)
    connection.#id = id
    keepAlive(true)
    return connection
  }

  /**
   * A connection over a socket, which moves in when it starts. Takes over the caller's reference to `ssl`. `sessions` gets what was taken out
   * of it in vain.
   */
  static over(
    ssl: libssl.SSL,
    socket: Socket,
    events: ConnectionEvents,
    settings: EngineSettings,
    sessions: SessionKeeper | null,
  ): EngineConnection {
    const connection = new EngineConnection(events, settings, sessions)
    connection.#ssl = ssl
    connection.#socket = socket
    socket.on('error', (error) => connection.#socketGone(error))
    socket.on('close', () => connection.#socketGone(null))
    // Nothing is to be read here that the engine would miss; the end is the engine's to find.
    socket.allowHalfOpen = true
    socket.pause()
    return connection
  }

  get ssl(): libssl.SSL | null {
    if (this.#destroyed) return null
    this.#ssl ??= engine.ssl(this.#id)
    return this.#ssl
  }

  get endpoint(): Endpoint {
    if (this.#id === 0) return this.#endpoint ?? this.#socket ?? nowhere
    if (this.#endpoint === null && this.#destroyed) return nowhere
    this.#endpoint ??= new EngineEndpoint(this.#id)
    return this.#endpoint
  }

  met(ssl: libssl.SSL): void {
    if (!this.#destroyed) this.#ssl = ssl
    this.#events.met(ssl)
  }

  start(early: Uint8Array = nothing): void {
    const socket = this.#socket
    if (socket === null || this.#destroyed) return
    const handle = handleOf(socket)
    if (handle === null || socket.destroyed) {
      this.#events.lost(null)
      return
    }
    handle.readStop()
    if (socket.writableLength > 0) {
      // What was written before comes before.
      socket.write('', () => this.start(early))
      return
    }
    try {
      this.#moveIn(socket, handle, early)
    } catch (error) {
      this.#events.lost(error as Error)
    }
  }

  #moveIn(socket: Socket, handle: SocketHandle, early: Uint8Array): void {
    wake(this.#settings.threads ?? 1)
    const received = unused(socket)
    // The object remembers it, for those who ask the socket itself.
    void socket.remoteAddress
    const id = engine.adopt(this.#ssl as libssl.SSL, handle.fd ?? -1, received, early, this.#settings)
    if (id < 0) throw systemError(id, 'dup')
    this.#id = id
    keepAlive(true)
    addConnection(id, this)
    if (!handle.hasRef()) this.endpoint.unref?.()
    // What is left is a shell that closes when this does, or closes this.
    handle.close()
    ;(socket as unknown as { _handle: null })._handle = null
    if (this.#writing !== null) engine.write(id, this.#writing.chunks, 0)
    if (this.#ending !== null) engine.finish(id)
  }

  #socketGone(error: Error | null): void {
    if (!this.#destroyed) this.#events.lost(error)
  }

  read(): void {
    this.#wanted = true
    this.#deliver()
  }

  write(chunks: readonly Uint8Array[], done: Done): void {
    if (this.#id === 0) {
      this.#writing = { chunks, done }
    } else if (engine.write(this.#id, chunks, this.#established ? 1 : 0) === 1) {
      this.#events.active()
      done()
    } else {
      // The engine has a copy.
      this.#writing = { chunks: [], done }
    }
  }

  end(done: Done): void {
    this.#ending = done
    if (this.#id === 0) return
    const sent = engine.finish(this.#id) === 1
    // Nobody waits for the goodbye.
    if (sent && this.#complete) this.#ended()
  }

  hold(): () => void {
    const id = this.#id
    let held = true
    engine.hold(id, 1)
    return () => {
      if (held && !this.#destroyed) engine.hold(id, 0)
      held = false
    }
  }

  destroy(ending: Ending, done: () => void): void {
    this.#destroyed = true
    this.#pending = []
    this.#endpoint?.leave()
    const socket = this.#socket
    const writing = this.#writing
    if (this.#id === 0) {
      if (this.#ssl !== null) libssl.SSL_free(this.#ssl)
      this.#writing = null
      if (socket === null || socket.closed) process.nextTick(done)
      else socket.once('close', done).destroy()
    } else {
      this.#closed = () => {
        if (socket === null || socket.closed) done()
        else socket.once('close', done).destroy()
      }
      engine.destroy(this.#id, endings[ending])
    }
    this.#ssl = null
    writing?.done(codedError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'))
  }

  told(what: number, value: unknown): void {
    if (what === Told.closed) {
      this.#writing = null
      if (this.#endpoint === null) keepAlive(false)
      else this.#endpoint.left()
      if (this.#destroyed) this.#closed?.()
      else this.#gone()
      return
    }
    if (this.#destroyed) return
    switch (what) {
      case Told.established:
        this.#established = true
        this.#complete = typeof value === 'number' || (value as [number, string, string, boolean])[3]
        this.#events.active()
        this.#events.established(this.#complete, handshakeOf(value as EstablishedValue))
        return
      case Told.completed:
        this.#complete = true
        this.#events.completed()
        return
      case Told.data:
        this.#events.active()
        this.#pending.push(value as Buffer)
        this.#deliver()
        return
      case Told.ended:
        this.#peerEnded = true
        this.#deliver()
        return
      case Told.failed:
        this.#events.failed(
          value === true
            ? codedError('ERR_TLS_HANDSHAKE_TIMEOUT', 'TLS handshake timeout')
            : opensslError('TLS has failed', 'connection'),
        )
        return
      case Told.readFailed:
      case Told.writeFailed:
        // When both sides have said goodbye, a peer that is gone already is no error.
        if (this.#finished && this.#peerEnded) return
        this.#events.lost(systemError(value as number, what === Told.readFailed ? 'read' : 'write'))
        return
      case Told.written:
        this.#events.active()
        this.#written()
        return
      case Told.finished:
        this.#ended()
        return
      case Told.lookupLate:
        this.#events.lookupLate(value as Buffer)
        return
      case Told.refused:
        this.#events.refused(value)
    }
  }

  /** The engine has closed it by itself. */
  #gone(): void {
    this.#closed = null
    const closed = this.#socket
    this.#id = 0
    this.#ssl = null
    this.#events.lost(null)
    closed?.destroy()
  }

  #ended(): void {
    const done = this.#ending
    this.#ending = null
    this.#finished = true
    done?.()
  }

  #written(): void {
    const writing = this.#writing
    this.#writing = null
    writing?.done()
  }

  #deliver(): void {
    while (this.#wanted && this.#pending.length > 0 && !this.#destroyed) {
      const bytes = this.#pending.shift() as Buffer
      this.#wanted = this.#events.received(bytes)
      this.#consumed += bytes.length
    }
    if (this.#destroyed) return
    if (this.#consumed >= consumedStep) {
      engine.consumed(this.#id, this.#consumed)
      this.#consumed = 0
    }
    if (this.#peerEnded && this.#pending.length === 0 && !this.#toldEnd) {
      this.#toldEnd = true
      this.#events.ended()
    }
  }
}
