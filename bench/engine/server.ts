// The TLS server in Node.js that the benchmark measures: node:tls or openssl-session, by its first argument. It prints one
// JSON line with its port, answers every line on its standard input with one JSON line, and ends with its input:
//
//   report  what it has counted and used so far
//   delay   begins to watch the event loop's delay; the next answer has it, and ends the watch

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { parseArgs } from 'node:util'
import { createServer, type ServerOptions } from 'openssl-session'
import type { SessionStore } from 'openssl-session/stores'
import type { Report } from './program.js'

const { values } = parseArgs({
  options: {
    peer: { type: 'string', default: 'ours' },
    cert: { type: 'string', default: 'cert.pem' },
    key: { type: 'string', default: 'key.pem' },
    threads: { type: 'string', default: '2' },
    /** What happens on a connection: echo, source, sink or http. */
    serve: { type: 'string', default: 'echo' },
    /** Where sessions live: nowhere but in tickets (none), or in a Map outside OpenSSL that answers at once (memory) or later (slow). */
    store: { type: 'string', default: 'none' },
    /** Milliseconds until a slow store answers. */
    latency: { type: 'string', default: '5' },
  },
})

const counted = { handshakes: 0, resumed: 0, open: 0, errors: 0, received: 0, sent: 0, requests: 0 }

type Connection = Duplex & { isSessionReused(): boolean }

// The same bytes as in native/common.h.
const block = Buffer.from(Array.from({ length: 64 * 1024 }, (_, place) => (place * 31 + (place >> 8) * 7) & 255))

function echo(socket: Connection): void {
  socket.on('data', (chunk: Buffer) => {
    counted.received += chunk.length
    counted.sent += chunk.length
    if (socket.write(chunk)) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  })
}

function sink(socket: Connection): void {
  socket.on('data', (chunk: Buffer) => {
    counted.received += chunk.length
  })
}

/** Sends, once asked with a byte, until the other side has ended. */
function source(socket: Connection): void {
  const push = (): void => {
    let room = true
    while (room && !socket.readableEnded) {
      counted.sent += block.length
      room = socket.write(block)
    }
  }
  socket.on('data', (chunk: Buffer) => {
    counted.received += chunk.length
    push()
  })
  socket.on('drain', push)
}

const onRequest: http.RequestListener = (_request, response) => {
  counted.requests++
  response.setHeader('content-type', 'text/plain')
  response.end('Hello, world!\n')
}

const serve = { echo, sink, source }[values.serve]

function onConnection(socket: Connection): void {
  counted.handshakes++
  counted.open++
  if (socket.isSessionReused()) counted.resumed++
  socket.on('close', () => counted.open--)
  socket.on('error', () => counted.errors++)
  serve?.(socket)
}

const sessions = new Map<string, Buffer>()
const later = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(resolve, Number(values.latency), value))
const delayed = <T>(value: T): T | Promise<T> => (values.store === 'slow' ? later(value) : value)

const store: SessionStore = {
  get: (id) => delayed(sessions.get(id.toString('hex'))),
  take(id) {
    const key = id.toString('hex')
    const session = sessions.get(key)
    sessions.delete(key)
    return delayed(session)
  },
  set: (id, session) => void sessions.set(id.toString('hex'), session),
  delete: (id) => void sessions.delete(id.toString('hex')),
}

const credentials = { cert: readFileSync(values.cert), key: readFileSync(values.key) }

function nodeServer(): Server {
  if (values.serve === 'http') return https.createServer(credentials, onRequest)
  const server = tls.createServer(credentials, onConnection)
  if (values.store === 'none') return server
  server.on('newSession', (id: Buffer, session: Buffer, done: () => void) => {
    sessions.set(id.toString('hex'), session)
    done()
  })
  server.on('resumeSession', (id: Buffer, done: (error: null, session: Buffer | null) => void) => {
    done(null, sessions.get(id.toString('hex')) ?? null)
  })
  return server
}

function ourServer(): Server {
  const options: ServerOptions = { ...credentials, threads: Number(values.threads) }
  if (values.store !== 'none') options.sessionStore = store
  if (values.serve !== 'http') return createServer(options, onConnection)
  // https.Server asks for the same.
  const server = createServer({ ...options, noDelay: true })
  const web = http.createServer(onRequest)
  return server.on('secureConnection', (socket) => web.emit('connection', socket))
}

const server = values.peer === 'node' ? nodeServer() : ourServer()
server.on('tlsClientError', () => counted.errors++)
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(server, 'listening')

const print = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
print({ port: (server.address() as AddressInfo).port })

const delay = monitorEventLoopDelay({ resolution: 1 })
let watching = false
for await (const command of createInterface({ input: process.stdin })) {
  const { userCPUTime, systemCPUTime, voluntaryContextSwitches: switches } = process.resourceUsage()
  const cpu = userCPUTime + systemCPUTime
  const report: Report = { cpu, switches, rss: process.memoryUsage.rss(), ...counted }
  if (watching) report.delay = delay.percentile(99) / 1e6
  delay.disable()
  watching = command === 'delay'
  if (watching) {
    delay.reset()
    delay.enable()
  }
  print(report)
}
process.exit()
