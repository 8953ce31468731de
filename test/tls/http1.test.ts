// HTTP/1.1 over our sockets in all its habits: connections kept alive, chunked bodies with back-pressure, pipelining,
// 100-continue, and how servers end connections. What it takes to get a request answered at all is in http.test.ts.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect } from 'openssl-session'
import { times } from '../support/thorough.js'
import { aWhile, closeAll, closed, dialled, inEachHome, readAll, trusting, until } from '../support/tls.js'
import { body, content, contentStream, digestOf, digestOfContent, inFront, responseTo } from '../support/web.js'

const MB = 2 ** 20
// More than the kernel's buffers of a connection hold.
const large = times(48, 16) * MB

/** An agent whose connections are ours. */
class OurAgent extends http.Agent {
  readonly #port: number

  constructor(port: number, options: http.AgentOptions) {
    super(options)
    this.#port = port
  }

  override createConnection(): Duplex {
    return connect(trusting(this.#port))
  }
}

const greeting = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** Waits until `count` stands still. */
async function standstill(count: () => number): Promise<number> {
  for (let last = -1; ; ) {
    const now = count()
    if (now === last) return now
    last = now
    await aWhile(150)
  }
}

describe('HTTP/1.1 over a TLSSocket', () => {
  const agents: http.Agent[] = []

  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.destroy()
    await closeAll()
  })

  const clients = {
    'node:https': (port: number, options: http.AgentOptions) => new https.Agent({ ...options, ...trusting(port) }),
    'node:http over connections of ours': (port: number, options: http.AgentOptions) => new OurAgent(port, options),
  }

  inEachHome(() => {
    for (const [name, makeAgent] of Object.entries(clients)) {
      describe(`asked by ${name}`, () => {
        const { request } = name === 'node:https' ? https : http

        async function ask(
          server: http.Server,
          agentOptions: http.AgentOptions = {},
        ): Promise<{ site: Awaited<ReturnType<typeof inFront>>; send: (options?: object) => http.ClientRequest }> {
          const site = await inFront(server)
          const agent = makeAgent(site.port, { keepAlive: true, ...agentOptions })
          agents.push(agent)
          const target = { agent, host: '127.0.0.1', port: site.port }
          return { site, send: (options) => request({ ...target, ...options }) }
        }

        it('answers hundreds of requests on the few connections that the agent keeps', async () => {
          const web = http.createServer(async (incoming, response) => {
            response.end(`${incoming.url} ${await body(incoming)}`)
          })
          const { site, send } = await ask(web, { maxSockets: 4 })
          const answers = Array.from({ length: 300 }, async (_, index) => {
            const sent = send({ method: 'POST', path: `/${index}` }).end(`body ${index}`)
            return body(await responseTo(sent))
          })
          const expected = answers.map((_, index) => `/${index} body ${index}`)
          assert.deepEqual(await Promise.all(answers), expected)
          assert.equal(site.sockets.length, 4)
        })

        it('takes a chunked upload of many megabytes at the pace of its reader', async () => {
          let incoming: http.IncomingMessage | undefined
          const web = http.createServer((message) => {
            incoming = message
          })
          web.on('request', (_message, response) => {
            response.on('error', () => {})
          })
          const { send } = await ask(web)
          const upload = send({ method: 'PUT' })
          let taken = 0
          const sent = pipeline(
            contentStream(large, (bytes) => {
              taken = bytes
            }),
            upload,
          )
          await until(() => incoming !== undefined)
          const message = incoming as unknown as http.IncomingMessage
          // Nobody reads: the upload comes to a halt, long before its end.
          const halted = await standstill(() => taken)
          assert.ok(halted < large / 2, `${halted} bytes went to a server that reads nothing`)
          assert.equal(message.headers['transfer-encoding'], 'chunked')
          assert.deepEqual(await digestOf(message), await digestOfContent(large))
          await sent
          assert.equal(taken, large)
        })

        it('produces a large answer at the pace of the client', async () => {
          let taken = 0
          const web = http.createServer((_message, response) => {
            void pipeline(
              contentStream(large, (bytes) => {
                taken = bytes
              }),
              response,
            )
          })
          const { send } = await ask(web)
          const response = await responseTo(send().end())
          const halted = await standstill(() => taken)
          assert.ok(halted < large / 2, `${halted} bytes were made for a client that reads nothing`)
          assert.deepEqual(await digestOf(response), await digestOfContent(large))
        })

        it('lets a client wait for leave to send its body', async () => {
          const web = http.createServer()
          web.on('checkContinue', async (message: http.IncomingMessage, response: http.ServerResponse) => {
            if (message.url !== '/open') {
              response.writeHead(417).end()
              return
            }
            response.writeContinue()
            response.end(await body(message))
          })
          const { send } = await ask(web)
          const headers = { expect: '100-continue' }
          const welcome = send({ method: 'POST', path: '/open', headers })
          welcome.flushHeaders()
          await once(welcome, 'continue')
          welcome.end('the body')
          const answer = await responseTo(welcome)
          assert.deepEqual([answer.statusCode, await body(answer)], [200, 'the body'])

          const refused = send({ method: 'POST', path: '/closed', headers })
          refused.flushHeaders()
          let continued = false
          refused.once('continue', () => {
            continued = true
          })
          assert.equal((await responseTo(refused)).statusCode, 417)
          assert.equal(continued, false)
          refused.destroy()
        })

        it('tells the server that a client has gone in the middle of its upload, and serves the others', async () => {
          const ends: string[] = []
          const arrived: http.IncomingMessage[] = []
          const web = http.createServer(async (message, response) => {
            arrived.push(message)
            try {
              response.end(String((await body(message)).length))
            } catch (error) {
              ends.push((error as Error & { code: string }).code)
            }
          })
          const { send } = await ask(web)
          const leaving = send({ method: 'PUT', path: '/leaving' })
          leaving.on('error', () => {})
          const staying = send({ method: 'PUT', path: '/staying' })
          for (const upload of [leaving, staying]) upload.write('x'.repeat(100_000))
          await until(() => arrived.length === 2)
          leaving.destroy()
          await until(() => ends.length > 0)
          assert.deepEqual(ends, ['ECONNRESET'])
          staying.end('y')
          assert.equal(await body(await responseTo(staying)), '100001')
        })

        it('hears from its socket that an answer takes too long', async () => {
          const web = http.createServer(() => {})
          const { send } = await ask(web)
          const sent = send({ timeout: 100 }).end()
          await once(sent, 'timeout')
          sent.on('error', () => {})
          sent.destroy()
        })

        it('carries a response that ends with its connection', async () => {
          const web = http.createServer((_message, response) => {
            response.useChunkedEncodingByDefault = false
            response.removeHeader('transfer-encoding')
            void pipeline(content(3 * MB), response)
          })
          const { send } = await ask(web)
          const response = await responseTo(send({ headers: { connection: 'close' } }).end())
          assert.equal(response.headers['transfer-encoding'], undefined)
          assert.equal(response.headers['content-length'], undefined)
          assert.deepEqual(await digestOf(response), await digestOfContent(3 * MB))
        })
      })
    }

    it('answers pipelined requests in their order, however their bytes are cut', async () => {
      const web = http.createServer(async (message, response) => {
        // The first to come is the last to be ready.
        const number = Number(message.url?.slice(1))
        await aWhile(20 - number)
        response.end(`<${number}>`)
      })
      const site = await inFront(web)
      const requests = Array.from({ length: 20 }, (_, number) => greeting.replace('/', `/${number}`)).join('')
      const last = greeting.replace('/', '/20').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
      const expected = Array.from({ length: 21 }, (_, number) => `<${number}>`)
      for (const size of [requests.length + last.length, 1000, 7]) {
        const socket = await dialled(site.port)
        const bytes = Buffer.from(requests + last)
        for (let begin = 0; begin < bytes.length; begin += size) socket.write(bytes.subarray(begin, begin + size))
        const answer = (await readAll(socket)).toString()
        assert.deepEqual(answer.match(/<\d+>/g), expected, `cut every ${size} bytes`)
      }
    })

    it('answers what is no HTTP with an error of its own, on that connection only', async () => {
      const web = http.createServer((_message, response) => response.end('fine'))
      const site = await inFront(web)
      const good = await dialled(site.port)
      const bad = await dialled(site.port)
      bad.write('NONSENSE\r\n\r\n')
      assert.match((await readAll(bad)).toString(), /^HTTP\/1\.1 400 Bad Request/)
      good.write(greeting)
      const [answer] = (await once(good, 'data')) as [Buffer]
      assert.match(answer.toString(), /^HTTP\/1\.1 200 OK/)
    })

    it('closes idle connections when asked to, once the HTTP server has heard of listening, and lets busy ones finish', async () => {
      const pending: http.ServerResponse[] = []
      const web = http.createServer((message, response) => {
        if (message.url === '/slow') pending.push(response)
        else response.end('quick')
      })
      const site = await inFront(web)
      web.emit('listening')
      const idle = await dialled(site.port)
      const busy = await dialled(site.port)
      idle.write(greeting)
      await once(idle, 'data')
      busy.write(greeting.replace('/', '/slow'))
      await until(() => pending.length === 1)
      const began = Date.now()
      web.closeIdleConnections()
      assert.equal(await closed(idle), false)
      assert.equal(busy.destroyed, false)
      pending[0]?.end('done')
      const [answer] = (await once(busy, 'data')) as [Buffer]
      assert.match(answer.toString(), /done/)
      web.closeIdleConnections()
      assert.equal(await closed(busy), false)
      assert.ok(Date.now() - began < web.keepAliveTimeout, 'they were closed by their own timeout')
    })

    it('closes all connections when asked to, busy ones too', async () => {
      const web = http.createServer(() => {})
      const requested = once(web, 'request')
      const site = await inFront(web)
      web.emit('listening')
      const sockets = [await dialled(site.port), await dialled(site.port)]
      sockets[0]?.write(greeting)
      await requested
      const ends = Promise.all(sockets.map(closed))
      for (const socket of sockets) socket.resume()
      web.closeAllConnections()
      await ends
      assert.deepEqual(await Promise.all(site.sockets.map(closed)), [false, false])
    })

    it('times out clients that send their headers too slowly, once the HTTP server has heard of listening', async () => {
      const web = http.createServer({ headersTimeout: 200, requestTimeout: 200, connectionsCheckingInterval: 50 })
      const site = await inFront(web)
      web.emit('listening')
      const socket = await dialled(site.port)
      socket.write(greeting.slice(0, 20))
      assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 408 Request Timeout/)
    })

    it('closes connections on which nothing moves for the time that the server allows', async () => {
      const web = http.createServer(() => {})
      web.setTimeout(150)
      const site = await inFront(web)
      const socket = await dialled(site.port)
      socket.write(greeting)
      socket.resume()
      assert.equal(await closed(socket), false)
    })

    it('hands over a connection that is upgraded, with the bytes that came with the request', async () => {
      const web = http.createServer()
      web.on('upgrade', (_message, socket: Duplex, head: Buffer) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
        socket.write(head)
        socket.pipe(socket)
      })
      const site = await inFront(web)
      const socket = await dialled(site.port)
      const request = greeting.replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.write(`${request}first `)
      await once(socket, 'readable')
      socket.end('second')
      assert.match((await readAll(socket)).toString(), /\r\n\r\nfirst second$/)
    })
  })
})
