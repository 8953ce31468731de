// undici, whose fetch and WebSocket are a browser's, as the client of web servers over our sockets: with its own TLS, and
// over connections of ours.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import { connect, type TLSSocket } from 'openssl-session'
import { MemorySessionStore } from 'openssl-session/stores'
import { Agent, type Dispatcher, fetch, Pool, ProxyAgent, WebSocket } from 'undici'
import { WebSocketServer } from 'ws'
import { times } from '../support/thorough.js'
import { aWhile, closeAll, inEachHome, trusting, until } from '../support/tls.js'
import {
  body,
  content,
  contentStream,
  digestOf,
  digestOfContent,
  inFront,
  proxy,
  type WebSite,
} from '../support/web.js'

const MB = 2 ** 20

type Connector = NonNullable<Agent.Options['connect']>

/** How undici gets its connections. Only what it is told about HTTP/2 differs between agents. */
const connectors: Record<string, (site: WebSite, made: TLSSocket[]) => (h2: boolean) => Connector> = {
  'its own TLS':
    ({ port }) =>
    () => {
      const { ca, servername } = trusting(port)
      return { ca, servername, lookup: (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) }
    },
  'connections of ours': ({ port }, made) => {
    let session: Buffer | undefined
    return (h2) => (_options, done) => {
      const ALPNProtocols = h2 ? ['h2', 'http/1.1'] : ['http/1.1']
      const socket = connect(trusting(port, { ALPNProtocols, noDelay: true, session }))
      made.push(socket)
      socket.on('session', (latest) => {
        session = latest
      })
      const fail = (error: Error): void => done(error, null)
      socket.once('error', fail)
      socket.once('secureConnect', () => {
        socket.off('error', fail)
        done(null, socket as never)
      })
    }
  },
}

describe('undici', () => {
  const dispatchers: Dispatcher[] = []

  function keep<D extends Dispatcher>(dispatcher: D): D {
    dispatchers.push(dispatcher)
    return dispatcher
  }

  afterEach(async () => {
    await Promise.all(dispatchers.splice(0).map((dispatcher) => dispatcher.destroy()))
    await closeAll()
  })

  inEachHome(() => {
    for (const [name, connector] of Object.entries(connectors)) {
      describe(`over ${name}`, () => {
        for (const h2 of [false, true]) {
          const protocol = h2 ? 'HTTP/2.0' : 'HTTP/1.1'

          describe(`in ${protocol}`, () => {
            type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => unknown

            /** A site and an agent that trusts it. */
            async function browse(handler: Handler, options: { agent?: Agent.Options; site?: object } = {}) {
              const h1 = http.createServer(handler)
              const two = http2.createServer(handler as never)
              const site = await inFront((socket) => (socket.alpnProtocol === 'h2' ? two : h1), {
                ALPNProtocols: h2 ? ['h2', 'http/1.1'] : ['http/1.1'],
                ...options.site,
              })
              const made: TLSSocket[] = []
              const connection = connector(site, made)(h2)
              const agent = keep(new Agent({ connect: connection, allowH2: h2, ...options.agent }))
              return { site, agent, made, connection }
            }

            it('fetches', async () => {
              const { site, agent } = await browse(async (request, response) => {
                response.setHeader('x-method', request.method ?? '')
                response.end(`${request.httpVersion} ${request.url} ${await body(request)}`)
              })
              const response = await fetch(`${site.url}/path?query`, {
                dispatcher: agent,
                method: 'POST',
                body: 'sent',
              })
              assert.equal(response.status, 200)
              assert.equal(response.headers.get('x-method'), 'POST')
              assert.equal(await response.text(), `${protocol.slice(5)} /path?query sent`)
            })

            it('makes hundreds of requests over the few connections of a pool', async () => {
              const { site, connection } = await browse((request, response) => response.end(request.url))
              const pool = keep(new Pool(site.url, { connect: connection, connections: 5, allowH2: h2 }))
              const answers = Array.from({ length: 400 }, async (_, index) => {
                const answer = await pool.request({ path: `/${index}`, method: 'GET' })
                return answer.body.text()
              })
              assert.deepEqual(
                await Promise.all(answers),
                answers.map((_, index) => `/${index}`),
              )
              assert.ok(site.sockets.length <= 5, `${site.sockets.length} connections`)
            })

            it('streams a large body up, and a large one down', async () => {
              const size = times(12, 4) * MB
              const { site, agent } = await browse(async (request, response) => {
                const { length, sha256 } = await digestOf(request)
                response.setHeader('x-received', `${length} ${sha256}`)
                contentStream(size).pipe(response)
              })
              const response = await fetch(site.url, {
                dispatcher: agent,
                method: 'PUT',
                duplex: 'half',
                body: contentStream(size) as never,
              })
              const expected = await digestOfContent(size)
              assert.equal(response.headers.get('x-received'), `${expected.length} ${expected.sha256}`)
              assert.ok(response.body)
              assert.deepEqual(await digestOf(response.body as AsyncIterable<Uint8Array>), expected)
            })

            it('makes the server wait for a reader that is slow', async () => {
              const size = times(48, 24) * MB
              let taken = 0
              const { site, agent } = await browse((_request, response) => {
                contentStream(size, (bytes) => {
                  taken = bytes
                }).pipe(response)
              })
              const answer = await agent.request({ origin: site.url, path: '/', method: 'GET' })
              await aWhile(400)
              assert.ok(taken < size / 2, `${taken} bytes were made for a client that reads nothing`)
              assert.deepEqual(await digestOf(answer.body), await digestOfContent(size))
            })

            it('breaks a download off, and goes on with the next one', async () => {
              let broken = 0
              const { site, agent } = await browse((request, response) => {
                if (request.url !== '/endless') return response.end('fine')
                request.on('aborted', () => {
                  broken += 1
                })
                return contentStream(2 ** 40).pipe(response)
              })
              const abort = new AbortController()
              const response = await fetch(`${site.url}/endless`, { dispatcher: agent, signal: abort.signal })
              abort.abort()
              await assert.rejects(response.text(), { name: 'AbortError' })
              await until(() => broken === 1)
              assert.equal(await (await fetch(`${site.url}/next`, { dispatcher: agent })).text(), 'fine')
            })

            it('is told when a server goes in the middle of an answer', async () => {
              const { site, agent } = await browse((_request, response) => response.write('begun'))
              const response = await fetch(site.url, { dispatcher: agent })
              site.sockets.at(-1)?.destroy()
              await assert.rejects(response.text(), TypeError)
            })
          })
        }

        // With its own TLS it is chance whether undici proposes a session: its cache holds them weakly, and goes with their pool.
        if (name === 'connections of ours') {
          it('resumes sessions on its later connections', async () => {
            const h1 = http.createServer((request, response) => {
              const socket = request.socket as unknown as TLSSocket
              // The server says goodbye first: a client that just left would take its session with it.
              response.once('finish', () => setTimeout(() => socket.end(), 10))
              response.end(String(socket.isSessionReused()))
            })
            const site = await inFront(h1, { sessionStore: new MemorySessionStore() })
            // An Agent destroys, when a connection has closed, what it has begun since; and it would leave first.
            const pool = keep(new Pool(site.url, { connect: connector(site, [])(false), connections: 1 }))
            const answers: string[] = []
            for (let count = 0; count < 5; count++) {
              const { body: answer } = await pool.request({ path: '/', method: 'GET' })
              answers.push(await answer.text())
              await until(() => site.sockets.at(-1)?.destroyed === true)
            }
            assert.deepEqual(answers, ['false', 'true', 'true', 'true', 'true'])
          })
        }

        it('talks over WebSockets', async () => {
          const web = http.createServer()
          const server = new WebSocketServer({ server: web })
          server.on('connection', (socket) => {
            socket.on('message', (data, binary) => socket.send(data, { binary }))
          })
          const site = await inFront(web)
          const agent = keep(new Agent({ connect: connector(site, [])(false) }))
          const socket = new WebSocket(`${site.url.replace('https', 'wss')}/`, { dispatcher: agent })
          socket.binaryType = 'arraybuffer'
          await once(socket, 'open')
          const large = Buffer.concat([...content(2 * MB)])
          for (const sent of ['Grüße', large] as const) {
            const answered = once(socket, 'message')
            socket.send(sent)
            const [{ data }] = (await answered) as [{ data: string | ArrayBuffer }]
            if (typeof sent === 'string') assert.equal(data, sent)
            else assert.ok(Buffer.from(data as ArrayBuffer).equals(sent))
          }
          const closed = once(socket, 'close')
          socket.close(3001, 'enough')
          const [{ code, reason, wasClean }] = (await closed) as [{ code: number; reason: string; wasClean: boolean }]
          assert.deepEqual([code, reason, wasClean], [3001, 'enough', true])
        })
      })
    }

    it('reaches a site through a proxy of ours, TLS within TLS', async () => {
      const size = 3 * MB
      const hosts: string[] = []
      const web = http.createServer((_request, response) => {
        contentStream(size).pipe(response)
      })
      const [gate, site] = await Promise.all([inFront(proxy(hosts)), inFront(web)])
      const { ca } = trusting(0)
      const agent = keep(new ProxyAgent({ uri: gate.url, proxyTls: { ca }, requestTls: { ca } }))
      const { body: answer } = await agent.request({ origin: site.url, path: '/', method: 'GET' })
      assert.deepEqual(await digestOf(answer), await digestOfContent(size))
      assert.deepEqual(hosts, ['localhost'])
    })

    it('reaches a site through a tunnel whose both ends are ours', async () => {
      const web = http.createServer(async (request, response) => response.end(`through: ${await body(request)}`))
      const [gate, site] = await Promise.all([inFront(proxy()), inFront(web)])
      const agent = keep(
        new Agent({
          connect(_options, done) {
            const outer = connect(trusting(gate.port))
            outer.once('error', (error) => done(error, null))
            outer.write(`CONNECT localhost:${site.port} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
            outer.once('data', () => {
              const inner = connect({ ...trusting(site.port), socket: outer })
              inner.once('error', (error) => done(error, null))
              inner.once('secureConnect', () => done(null, inner as never))
            })
          },
        }),
      )
      const text = 'both ways '.repeat(50_000)
      const answer = await fetch(site.url, { dispatcher: agent, method: 'POST', body: text })
      assert.equal(await answer.text(), `through: ${text}`)
    })
  })
})
