// HTTP over our sockets: Node's http and http2 servers take them through emit('connection'), and Node's clients use ours.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { connect, createServer, type Server, type ServerOptions } from 'openssl-session'
import { MemorySessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import {
  afterTest,
  closeAll,
  describeInEachHome,
  dial,
  dialled,
  identity,
  inEachVersion,
  listen,
  only,
  sessionOf,
  trusting,
} from '../support/tls.js'

/** A server of ours in front of an HTTP server. */
function inFront(server: { emit(event: 'connection', socket: unknown): boolean }, options: ServerOptions): Server {
  return createServer(identity(options), (socket) => void server.emit('connection', socket))
}

async function body(response: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

describeInEachHome('HTTP over a TLSSocket', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    const web = http.createServer(async (request, response) => {
      response.end(`${request.method} ${request.url} ${await body(request)}`)
    })

    it('answers a client of node:https, keep-alive included', async () => {
      const port = await listen(inFront(web, only(version)))
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ...trusting(port) })
      const sockets = new Set<unknown>()
      for (const word of ['one', 'two', 'three']) {
        const request = https.request({ agent, port, host: '127.0.0.1', path: `/${word}`, method: 'POST' })
        request.on('socket', (socket) => sockets.add(socket))
        request.end(word.repeat(100_000))
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        assert.equal(await body(response), `POST /${word} ${word.repeat(100_000)}`)
      }
      assert.equal(sockets.size, 1)
      agent.destroy()
    })

    it('answers curl', async () => {
      const port = await listen(inFront(web, only(version)))
      const args = [
        '--silent',
        '--show-error',
        '--cacert',
        certs().root.certFile,
        '--resolve',
        `localhost:${port}:127.0.0.1`,
      ]
      const url = `https://localhost:${port}/path`
      const answer = await new Promise((resolve, reject) => {
        execFile('curl', [...args, url, url], (error, stdout) => (error ? reject(error) : resolve(stdout)))
      })
      assert.equal(answer, 'GET /path GET /path ')
    })

    it('is asked by node:http through a connection of ours', async () => {
      const port = await listen(inFront(web, only(version)))
      const request = http.request({ createConnection: () => connect(trusting(port)), path: '/ours', method: 'PUT' })
      request.end('body')
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      assert.equal(await body(response), 'PUT /ours body')
    })

    it('carries HTTP/2 to a client of node:http2', async () => {
      const h2 = http2.createServer((request, response) => {
        response.end(`${request.headers[':path']}`)
      })
      const port = await listen(inFront(h2, { ...only(version), ALPNProtocols: ['h2'] }))
      const session = http2.connect(`https://localhost:${port}`, {
        ...trusting(port),
        createConnection: undefined,
      } as http2.SecureClientSessionOptions)
      const answers = ['/a', '/b', '/c'].map(async (path) => {
        const stream = session.request({ ':path': path })
        stream.end()
        return body(stream)
      })
      assert.deepEqual(await Promise.all(answers), ['/a', '/b', '/c'])
      session.close()
      await once(session, 'close')
    })

    it('carries HTTP/2 from a connection of ours', async () => {
      const { server } = certs()
      const h2 = http2.createSecureServer(
        { cert: server.chain, key: server.key, ...only(version) },
        (request, response) => {
          response.end(`${request.headers[':path']}`)
        },
      )
      const port = await listen(h2)
      const socket = await dialled(port, { ALPNProtocols: ['h2'] })
      const session = http2.connect('https://localhost', { createConnection: () => socket })
      const stream = session.request({ ':path': '/over/ours' })
      stream.end()
      assert.equal(await body(stream), '/over/ours')
      session.close()
      await once(session, 'close')
    })
  })

  it('resumes sessions of an https.Agent', async () => {
    const web = http.createServer((request, response) => {
      const socket = request.socket as unknown as { isSessionReused(): boolean }
      response.setHeader('connection', 'close')
      response.end(String(socket.isSessionReused()))
    })
    const port = await listen(inFront(web, {}))
    const agent = new https.Agent({ maxCachedSessions: 10 })
    const answers: string[] = []
    for (let i = 0; i < 2; i++) {
      const request = https.get({ agent, ...trusting(port) })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      answers.push(await body(response))
    }
    assert.deepEqual(answers, ['false', 'true'])
    agent.destroy()
  })

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`leaves the sessions of idle connections that it closes in the store, in ${version}`, async () => {
      const web = http.createServer({ keepAliveTimeout: 50 }, (_request, response) => void response.end('x'))
      const port = await listen(inFront(web, { ...only(version), sessionStore: new MemorySessionStore() }))
      let session: Buffer | undefined
      for (let i = 0; i < 2; i++) {
        const socket = dial(port, { session })
        socket.on('session', (latest) => {
          session = latest
        })
        await once(socket, 'secureConnect')
        assert.equal(socket.isSessionReused(), i > 0)
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        socket.resume()
        await once(socket, 'close')
        session ??= await Promise.reject(new Error('no session'))
      }
    })
  }

  it('closes idle connections after keepAliveTimeout, and all of them with the HTTP server', async () => {
    const web = http.createServer({ keepAliveTimeout: 50 }, (_request, response) => void response.end('x'))
    const port = await listen(inFront(web, {}))
    const socket = afterTest(await dialled(port))
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    socket.resume()
    await once(socket, 'close')
    assert.ok(await sessionOf(await dialled(port)))
  })
})
