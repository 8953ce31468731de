// A server on the engine's threads, as bare as the engine's functions are, and clients of node:tls to talk to it.

import { EventEmitter, once } from 'node:events'
import tls from 'node:tls'
import * as libssl from 'openssl-session/libssl'
import { type EngineSettings, engine, Told } from '#engine'
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
    engine.start(2, (what, connection, _listener, value) => {
      this.emit(names[what] as keyof typeof Told, connection, value)
    })
    engine.keepAlive(1)
  }

  listen(settings: EngineSettings = {}, fd = engine.bindTcp('127.0.0.1', 0, 0, 0)): this {
    if (fd < 0 || engine.listenOn(fd, 511) !== 0) throw new Error(`cannot listen: ${fd}`)
    this.port = engine.descriptorAddress(fd)?.port ?? 0
    this.#listener = engine.listen(fd, this.ctx, settings)
    return this
  }

  /** Sends everything back, and ends when the client does. */
  echo(): this {
    const pending = new Map<number, Buffer[]>()
    this.on('data', (connection, value) => {
      const bytes = value as Buffer
      pending.set(connection, [...(pending.get(connection) ?? []), bytes])
      engine.write(connection, [bytes])
    })
    this.on('written', (connection) => {
      // Consumed once it is sent back: a client that does not read is not read from.
      const bytes = pending.get(connection)?.shift()
      if (bytes) engine.consumed(connection, bytes.length)
    })
    this.on('ended', (connection) => engine.finish(connection))
    this.on('finished', (connection) => engine.destroy(connection))
    this.on('failed', (connection) => engine.destroy(connection))
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
    engine.setContext(this.#listener, ctx)
  }

  async closeListener(): Promise<void> {
    const closed = once(this, 'listener')
    engine.closeListener(this.#listener)
    await closed
  }

  stop(): void {
    engine.stop()
    engine.keepAlive(0)
    libssl.SSL_CTX_free(this.ctx)
  }
}
