// Servers and clients of the tls layer for tests: started in one line, closed after each test, with the answers of events as
// promises. Foreign programs are in programs.ts.

import { once } from 'node:events'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { Duplex } from 'node:stream'
import nodeTls from 'node:tls'
import {
  type ConnectionOptions,
  connect,
  createServer,
  Server,
  type ServerOptions,
  type TLSSocket,
} from 'openssl-session'
import { certs } from './certs.js'
import { complete } from './thorough.js'

export type Version = 'TLSv1.2' | 'TLSv1.3'

/** Runs the tests of `define` once for each protocol; of those for both homes, briefly, in one home each. */
export function inEachVersion(define: (version: Version) => void): void {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    if (definedFor !== undefined && !isWorthwhile(definedFor, version)) continue
    describe(`in TLS ${version.slice('TLSv'.length)}`, () => define(version))
  }
}

/** Whether something is to be tried here: briefly, once in each home and in each version. */
export function isWorthwhile(home: Home, version: Version): boolean {
  return complete || (home === 'engine') === (version === 'TLSv1.3')
}

/** Options that pin both ends to one protocol. */
export function only(version: Version): { minVersion: Version; maxVersion: Version } {
  return { minVersion: version, maxVersion: version }
}

/** Where connections live: on the JavaScript thread, or on threads of the engine. */
export type Home = 'inline' | 'engine'

/** The `threads` option of what this file starts; undefined leaves it to the library. */
let threads: number | undefined

/** The home that tests are being defined for. */
let definedFor: Home | undefined

/** Runs the tests of `define` once for each home, which `identity()` and `trusting()` then choose. */
export function inEachHome(define: (home: Home) => void): void {
  const homes = [
    { home: 'inline', title: 'at home on the JavaScript thread', count: 0 },
    { home: 'engine', title: 'at home on the engine', count: 2 },
  ] as const
  for (const { home, title, count } of homes) {
    describe(title, () => {
      let outside: number | undefined
      before(() => {
        outside = threads
        threads = count
      })
      after(() => {
        threads = outside
      })
      const around = definedFor
      definedFor = home
      define(home)
      definedFor = around
    })
  }
}

/** A `describe` whose tests run once for each home. */
export function describeInEachHome(title: string, define: (home: Home) => void): void {
  describe(title, () => inEachHome(define))
}

/** Options with the chosen home, for what is not made by `identity()` or `trusting()`. */
export function atHome<O extends object>(options: O): O & { threads?: number } {
  return threads === undefined ? options : { threads, ...options }
}

const open = new Set<{ destroy(): unknown }>()
const listening = new Set<NetServer>()

/** Destroys something when the test ends, if it is still there then. */
export function afterTest<T extends { destroy(): unknown }>(thing: T): T {
  open.add(thing)
  if (thing instanceof Duplex) thing.once('close', () => open.delete(thing))
  return thing
}

/** Closes every server and connection of the test and waits for them. */
export async function closeAll(): Promise<void> {
  for (const thing of open) thing.destroy()
  open.clear()
  const servers = [...listening]
  listening.clear()
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
}

/** Starts a server and closes it, with its connections, after the test. Returns the port. */
export async function listen(server: NetServer): Promise<number> {
  // On the engine a listener of 'connection' would change how connections come.
  const event = server instanceof Server && threads !== 0 ? 'secureConnection' : 'connection'
  server.on(event, (socket: Duplex) => {
    if (listening.has(server)) afterTest(socket)
    else socket.destroy()
  })
  listening.add(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Options of a server with the tests' certificate. */
export function identity(options: ServerOptions = {}): ServerOptions {
  const { server } = certs()
  return atHome({ cert: server.chain, key: server.key, ...options } as ServerOptions)
}

export interface Running {
  readonly server: Server
  readonly port: number
}

/** Does something where the system trusts the certificates in a file, and no others: this is OpenSSL's own variable for where they are. */
export async function whereSystemTrusts(file: string, work: () => Promise<void>): Promise<void> {
  const before = process.env.SSL_CERT_FILE
  process.env.SSL_CERT_FILE = file
  try {
    await work()
  } finally {
    if (before === undefined) delete process.env.SSL_CERT_FILE
    else process.env.SSL_CERT_FILE = before
  }
}

/** Starts a server of ours with the tests' certificate; it sends back what it gets unless `listener` does something else. */
export async function serve(options: ServerOptions = {}, listener = echo): Promise<Running> {
  const server = createServer(identity(options), listener)
  return { server, port: await listen(server) }
}

/** The same with node:tls. */
export async function serveNode(
  options: nodeTls.TlsOptions = {},
  listener = echoNode,
): Promise<{ server: nodeTls.Server; port: number }> {
  const { server } = certs()
  const running = nodeTls.createServer({ cert: server.chain, key: server.key, ...options }, listener)
  return { server: running, port: await listen(running) }
}

export function echo(socket: TLSSocket): void {
  socket.on('error', () => {})
  socket.pipe(socket)
}

function echoNode(socket: nodeTls.TLSSocket): void {
  socket.on('error', () => {})
  socket.pipe(socket)
}

/** Options of a client that trusts the tests' root. */
export function trusting<O extends object>(
  port: number,
  options?: O,
): { port: number; host: string; ca: string; servername: string } & O {
  return atHome({ port, host: '127.0.0.1', ca: certs().root.cert, servername: 'localhost', ...(options as O) })
}

/** A client of ours, which the test's end destroys. */
export function dial(port: number, options: ConnectionOptions = {}): TLSSocket {
  return afterTest(connect(trusting(port, options)))
}

/** A client of ours whose handshake is complete. */
export async function dialled(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = dial(port, options)
  await once(socket, 'secureConnect')
  return socket
}

/** A client of node:tls's whose handshake is complete. */
export async function dialledNode(port: number, options: nodeTls.ConnectionOptions = {}): Promise<nodeTls.TLSSocket> {
  const socket = afterTest(nodeTls.connect(trusting(port, options)))
  await once(socket, 'secureConnect')
  return socket
}

/** The error that a stream ends with. */
export async function failure(stream: Duplex): Promise<Error & { code?: string }> {
  const [error] = (await once(stream, 'error')) as [Error & { code?: string }]
  return error
}

/** Hands everything that a stream gives to `use`, up to its end. Unlike `for await`, it leaves a Duplex open for writing. */
export function drain(stream: Duplex, use: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on('data', use)
    stream.once('end', resolve)
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('closed before its end')))
  })
}

/** Reads a stream to its end. */
export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  await drain(stream, (chunk) => chunks.push(chunk))
  return Buffer.concat(chunks)
}

/** Sends `text`, waits for as many bytes to come back, and returns them. */
export async function exchange(stream: Duplex, text: string): Promise<string> {
  stream.write(text)
  let answer = ''
  while (answer.length < text.length) {
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    answer += chunk.toString()
  }
  return answer
}

/** Waits until a stream is closed, whether or not it fails. Returns whether it did. */
export async function closed(stream: Duplex): Promise<boolean> {
  stream.on('error', () => {})
  if (stream.closed) return stream.errored !== null
  return new Promise((resolve) => stream.once('close', () => resolve(stream.errored !== null)))
}

/** Ends a connection as it should end and waits until it is closed. */
export async function hangUp(socket: Duplex): Promise<void> {
  socket.resume()
  socket.end()
  await closed(socket)
}

/** The session of a client's connection that can be resumed, in DER form. */
export async function sessionOf(socket: TLSSocket): Promise<Buffer> {
  const now = socket.getProtocol() === 'TLSv1.2' ? socket.getSession() : undefined
  return now ?? ((await once(socket, 'session')) as [Buffer])[0]
}

/** Waits until `condition` holds. The runner's own timeout is the limit; the wait of a test that is over keeps nobody from exiting. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2).unref())
}

/** Waits a little for something that should not happen. */
export async function aWhile(milliseconds = 50): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
}
