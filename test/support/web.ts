// Web servers over sockets of ours, for tests: an HTTP server behind a TLS server, bodies of known content, a proxy, and curl.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { type Duplex, Readable } from 'node:stream'
import { createServer, type ServerOptions, type TLSSocket } from 'openssl-session'
import { certs } from './certs.js'
import { afterTest, identity, listen, type Running } from './tls.js'

/** A server that takes connections: http.Server and http2's. */
export interface TakesConnections {
  emit(event: 'connection', socket: TLSSocket): boolean
}

export interface WebSite extends Running {
  /** https, by the name that is in the certificate. */
  readonly url: string
  /** Every connection it has got, in order. */
  readonly sockets: TLSSocket[]
}

/** Puts a TLS server of ours, which listens, in front of an HTTP server; or of the one that `choose` names for a connection. */
export async function inFront(
  web: TakesConnections | ((socket: TLSSocket) => TakesConnections),
  options: ServerOptions = {},
): Promise<WebSite> {
  const choose = typeof web === 'function' ? web : () => web
  const sockets: TLSSocket[] = []
  // As an HTTP server would have it on a port of its own.
  const server = createServer(identity({ noDelay: true, ...options }), (socket) => {
    sockets.push(socket)
    choose(socket).emit('connection', socket)
  })
  const port = await listen(server)
  return { server, port, url: `https://localhost:${port}`, sockets }
}

/** The response to a request. */
export async function responseTo(request: NodeJS.EventEmitter): Promise<IncomingMessage> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

/** All of a body. */
export async function body(message: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(Buffer.from(chunk as Buffer))
  return Buffer.concat(chunks).toString()
}

/** What a body is known by. */
export interface Digest {
  readonly length: number
  readonly sha256: string
}

/** Reads a body without keeping it. */
export async function digestOf(message: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256')
  let length = 0
  for await (const chunk of message) {
    hash.update(chunk)
    length += chunk.length
  }
  return { length, sha256: hash.digest('hex') }
}

const pieceSize = 64 * 1024

/** A body of `size` bytes that never repeats, in pieces. `taken` is told how many bytes have been asked for. */
export function* content(size: number, taken: (bytes: number) => void = () => {}): Generator<Buffer> {
  for (let begin = 0; begin < size; begin += pieceSize) {
    const piece = Buffer.alloc(Math.min(pieceSize, size - begin), `piece ${begin} `)
    taken(begin + piece.length)
    yield piece
  }
}

/** The same as a stream. */
export function contentStream(size: number, taken?: (bytes: number) => void): Readable {
  return Readable.from(content(size, taken), { objectMode: false, highWaterMark: pieceSize })
}

const digests = new Map<number, Promise<Digest>>()

/** What {@link content} is known by. */
export function digestOfContent(size: number): Promise<Digest> {
  const known = digests.get(size) ?? digestOf(Readable.from(content(size)))
  digests.set(size, known)
  return known
}

/** An HTTP server that lets clients through to where CONNECT says. `hosts` is told of each. */
export function proxy(hosts: string[] = []): http.Server {
  const server = http.createServer((_request, response) => response.writeHead(405).end())
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    const { hostname, port } = new URL(`http://${request.url}`)
    hosts.push(hostname)
    const target = afterTest(connect(Number(port), '127.0.0.1'))
    const end = (): void => {
      client.destroy()
      target.destroy()
    }
    client.on('error', end)
    target.on('error', end)
    target.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      target.write(head)
      client.pipe(target).pipe(client)
    })
  })
  return server
}

/** Runs curl, which trusts the tests' root and finds localhost where the test has it. Returns what it prints. */
export async function curl(site: WebSite, ...args: string[]): Promise<string> {
  const trust = ['--silent', '--show-error', '--max-time', '15', '--cacert', certs().root.certFile]
  const resolve = ['--resolve', `localhost:${site.port}:127.0.0.1`]
  return new Promise((done, fail) => {
    execFile('curl', [...trust, ...resolve, ...args], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error) fail(new Error(`curl: ${stderr || error.message}`))
      else done(stdout)
    })
  })
}
