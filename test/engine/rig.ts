// A server on the engine's threads, as bare as the engine's functions are, and clients of node:tls to talk to it.

import { EventEmitter, once } from 'node:events'
import tls from 'node:tls'
import * as libssl from 'openssl-session/libssl'
import {
  addListener,
  addProfile,
  type EngineSettings,
  engine,
  keepAlive,
  type Profile,
  removeListener,
  Told,
  wake,
} from '#engine'
import { credentials, readCredential } from '../support/credentials.js'

const names = Object.fromEntries(Object.entries(Told).map(([name, number]) => [number, name]))

/** Emits what the engine tells: (connection, value), under the names of `Told`. */
export class Rig extends EventEmitter<Record<keyof typeof Told, [connection: number, value: unknown]>> {
  readonly ctx: libssl.SSL_CTX
  port = 0
  #listener = 0

  constructor() {
    super()
    const ctx = libssl.SSL_CTX_new(libssl.TLS_server_method())
    if (ctx === null) throw new Error('no context')
    this.ctx = ctx
    libssl.SSL_CTX_use_certificate_file(ctx, credentials().certFile, libssl.SSL_FILETYPE_PEM)
    libssl.SSL_CTX_use_PrivateKey_file(ctx, credentials().keyFile, libssl.SSL_FILETYPE_PEM)
    libssl.SSL_CTX_set_session_id_context(ctx, Buffer.from('rig'))
    libssl.SSL_CTX_set_options(ctx, libssl.SSL_OP_NO_TICKET)
    libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_SERVER | libssl.SSL_SESS_CACHE_NO_INTERNAL)
    wake(2)
    keepAlive(true)
  }

  #profile: Profile = {
    sessions: null,
    introduce: (connection) => ({
      told: (what, value) => void this.emit(names[what] as keyof typeof Told, connection, value),
      met: () => {},
      sessions: null,
    }),
    ended: () => {},
  }

  listen(settings: EngineSettings = {}, fd = engine.bindTcp('127.0.0.1', 0, 0, 0)): this {
    if (fd < 0 || engine.listenOn(fd, 511) !== 0) throw new Error(`cannot listen: ${fd}`)
    this.port = engine.descriptorAddress(fd)?.port ?? 0
    this.#listener = engine.listen(fd, this.ctx, settings)
    addProfile(this.#listener, this.#profile)
    addListener(this.#listener, { told: (what, value) => void this.emit(names[what] as keyof typeof Told, 0, value) })
    return this
  }

  /** Sends everything back, and ends when the client does. */
  echo(): this {
    const pending = new Map<number, Buffer[]>()
    this.on('data', (connection, value) => {
      const bytes = value as Buffer
      pending.set(connection, [...(pending.get(connection) ?? []), bytes])
      engine.write(connection, [bytes], 0)
    })
    this.on('written', (connection) => {
      // Consumed once it is sent back: a client that does not read is not read from.
      const bytes = pending.get(connection)?.shift()
      if (bytes) engine.consumed(connection, bytes.length)
    })
    const open = new Set<number>()
    this.on('established', (connection) => open.add(connection))
    this.on('ended', (connection) => {
      if (open.has(connection)) engine.finish(connection)
      else engine.destroy(connection, 0)
    })
    for (const end of ['finished', 'failed', 'readFailed', 'writeFailed'] as const)
      this.on(end, (connection) => engine.destroy(connection, 0))
    return this
  }

  connect(options: tls.ConnectionOptions = {}): tls.TLSSocket {
    return tls.connect({
      port: this.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: readCredential('certFile'),
      ...options,
    })
  }

  /** Connects, and resolves when the handshake is done. */
  async connected(options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
    const socket = this.connect(options)
    await once(socket, 'secureConnect')
    return socket
  }

  /** Other credentials for connections to come. */
  useContext(ctx: libssl.SSL_CTX): void {
    addProfile(engine.configure(this.#listener, ctx, {}), this.#profile)
  }

  async closeListener(): Promise<void> {
    const closed = once(this, 'listener')
    engine.closeListener(this.#listener)
    await closed
    removeListener(this.#listener)
  }

  stop(): void {
    engine.stop()
    removeListener(this.#listener)
    keepAlive(false)
    libssl.SSL_CTX_free(this.ctx)
  }
}
