// HTTP/2 over our sockets: many streams at once, large bodies both ways, flow control, how connections end, and HTTP/1.1
// beside it by ALPN. Node's http2 is on both ends, over its own sockets or over ours.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { pipeline } from 'node:stream/promises'
import { connect, type TLSSocket } from 'openssl-session'
import { certs } from '../support/certs.js'
import { times } from '../support/thorough.js'
import { closeAll, dialled, inEachHome, trusting, until } from '../support/tls.js'
import { noApplicationProtocol } from '../support/versions.js'
import { body, contentStream, digestOf, digestOfContent, inFront, responseTo, type WebSite } from '../support/web.js'

const MB = 2 ** 20
const large = times(8, 3) * MB

/** How a session reaches a site. */
type Dial = (site: WebSite) => http2.ClientHttp2Session

const dials: Record<string, Dial> = {
  'a socket of node:tls': ({ port, url }) => http2.connect(url, trusting(port)),
  'a socket of ours': ({ port, url }) =>
    http2.connect(url, { createConnection: () => connect(trusting(port, { ALPNProtocols: ['h2'], noDelay: true })) }),
}

/** Sends bodies back. */
function mirror(): http2.Http2Server {
  const server = http2.createServer()
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200 })
    stream.pipe(stream)
  })
  return server
}

/** Node.js 24 ends what is pushed before it can be read, on every Duplex that is not its own. */
const losesPushes = Number.parseInt(process.versions.node, 10) >= 24

/** The code of the error with which a session refuses a request: thrown by some versions of Node.js, an event of the stream in others. */
async function refusal(session: http2.ClientHttp2Session): Promise<string | undefined> {
  try {
    const [error] = (await once(session.request(), 'error')) as [NodeJS.ErrnoException]
    return error.code
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

describe('HTTP/2 over a TLSSocket', () => {
  const sessions: http2.ClientHttp2Session[] = []

  function open(dial: Dial, site: WebSite): http2.ClientHttp2Session {
    const session = dial(site)
    session.on('error', () => {})
    sessions.push(session)
    return session
  }

  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy()
    await closeAll()
  })

  inEachHome(() => {
    for (const [name, dial] of Object.entries(dials)) {
      describe(`from ${name}`, () => {
        const negotiated = { ALPNProtocols: ['h2'] }

        it('answers hundreds of streams at once on one connection, each with its own body', async () => {
          const site = await inFront(mirror(), negotiated)
          const session = open(dial, site)
          const answers = Array.from({ length: 300 }, async (_, index) => {
            const stream = session.request({ ':method': 'POST', ':path': `/${index}` })
            stream.end(`${index} `.repeat(2000))
            return body(stream)
          })
          const expected = answers.map((_, index) => `${index} `.repeat(2000))
          assert.deepEqual(await Promise.all(answers), expected)
          assert.equal(site.sockets.length, 1)
          assert.equal(site.sockets[0]?.alpnProtocol, 'h2')
        })

        it('carries large bodies both ways at the same time', async () => {
          const site = await inFront(mirror(), negotiated)
          const session = open(dial, site)
          const streams = await Promise.all(
            [0, 1, 2].map(async (index) => {
              const stream = session.request({ ':method': 'POST' })
              const size = large + index
              const [digest] = await Promise.all([digestOf(stream), pipeline(contentStream(size), stream)])
              assert.deepEqual(digest, await digestOfContent(size))
              return digest.length
            }),
          )
          assert.deepEqual(streams, [large, large + 1, large + 2])
        })

        it('halts the stream that nobody reads, and no other', async () => {
          const size = 16 * MB
          let taken = 0
          const web = http2.createServer((request, response) => {
            if (request.url === '/quick') {
              response.end('quick')
              return
            }
            void pipeline(
              contentStream(size, (bytes) => {
                taken = bytes
              }),
              response,
            )
          })
          const session = open(dial, await inFront(web, negotiated))
          const halted = session.request({ ':path': '/large' })
          await once(halted, 'response')
          halted.pause()
          for (let count = 0; count < 20; count++) {
            assert.equal(await body(session.request({ ':path': '/quick' })), 'quick')
          }
          assert.ok(taken < size / 2, `${taken} bytes were made for a stream that nobody reads`)
          assert.deepEqual(await digestOf(halted), await digestOfContent(size))
        })

        it('ends a connection with GOAWAY when its streams are done, and takes no more of them', async () => {
          const web = http2.createServer()
          const opened = once(web, 'session')
          const streamed = once(web, 'stream')
          const session = open(dial, await inFront(web, negotiated))
          const stream = session.request()
          const [serverSession] = (await opened) as [http2.ServerHttp2Session]
          const [serverStream] = (await streamed) as [http2.ServerHttp2Stream]
          const goneAway = once(session, 'goaway')
          serverSession.close()
          const [code] = await goneAway
          assert.equal(code, http2.constants.NGHTTP2_NO_ERROR)
          assert.equal(await refusal(session), 'ERR_HTTP2_GOAWAY_SESSION')
          const ended = Promise.all([once(session, 'close'), once(serverSession, 'close')])
          serverStream.respond({ ':status': 200 })
          serverStream.end('the last word')
          assert.equal(await body(stream), 'the last word')
          await ended
        })

        it('pings, pushes and changes settings', async () => {
          const web = http2.createServer()
          web.on('stream', (stream) => {
            stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
              if (error) throw error
              pushed.respond({ ':status': 200 })
              pushed.end('unasked')
            })
            stream.respond({ ':status': 200 })
            stream.end('asked')
          })
          const session = open(dial, await inFront(web, negotiated))
          // Read from the first moment on: it may have come whole already.
          const unasked = new Promise((resolve) => {
            session.once('stream', (pushed) => resolve(body(pushed).catch((error) => error.code)))
          })
          assert.equal(await body(session.request()), 'asked')
          assert.equal(
            await unasked,
            losesPushes && name === 'a socket of ours' ? 'ERR_STREAM_PREMATURE_CLOSE' : 'unasked',
          )
          const echoed = await new Promise((resolve, reject) => {
            session.ping(Buffer.from('12345678'), (error, _duration, payload) =>
              error ? reject(error) : resolve(payload.toString()),
            )
          })
          assert.equal(echoed, '12345678')
          await new Promise<void>((resolve, reject) => {
            session.settings({ enablePush: false }, (error) => (error ? reject(error) : resolve()))
          })
          assert.equal(session.localSettings.enablePush, false)
        })

        it('survives clients that vanish with streams under way', async () => {
          const web = mirror()
          const ended: http2.ServerHttp2Session[] = []
          web.on('session', (session) => {
            session.on('error', () => {})
            session.on('close', () => ended.push(session))
          })
          const site = await inFront(web, negotiated)
          const vanishing = [0, 1, 2].map(() => open(dial, site))
          const begun = vanishing.flatMap((session) =>
            [0, 1, 2].map((index) => {
              const stream = session.request({ ':method': 'POST', ':path': `/${index}` })
              stream.on('error', () => {})
              stream.write('begun')
              return once(stream, 'data')
            }),
          )
          await Promise.all(begun)
          for (const session of vanishing) session.destroy()
          await until(() => ended.length === 3)
          const stream = open(dial, site).request({ ':method': 'POST' })
          stream.end('still here')
          assert.equal(await body(stream), 'still here')
        })
      })
    }

    describe('beside HTTP/1.1', () => {
      const bodyFor = (request: { httpVersion: string; url?: string | undefined }) =>
        `HTTP/${request.httpVersion} ${request.url}`

      async function askBoth(site: WebSite): Promise<void> {
        const over2 = open(dials['a socket of node:tls'] as Dial, site)
        assert.equal(await body(over2.request({ ':path': '/two' })), 'HTTP/2.0 /two')
        const alpn = trusting(site.port, { ALPNProtocols: ['http/1.1'] })
        const over1 = https.get({ ...alpn, path: '/one', agent: false })
        assert.equal(await body(await responseTo(over1)), 'HTTP/1.1 /one')
        const silent = https.get({ ...trusting(site.port), path: '/silent', agent: false })
        assert.equal(await body(await responseTo(silent)), 'HTTP/1.1 /silent')
      }

      it('leaves the choice to ALPN, with a server for each', async () => {
        const h1 = http.createServer((request, response) => response.end(bodyFor(request)))
        const h2 = http2.createServer((request, response) => response.end(bodyFor(request)))
        const choose = (socket: TLSSocket) => (socket.alpnProtocol === 'h2' ? h2 : h1)
        await askBoth(await inFront(choose, { ALPNProtocols: ['h2', 'http/1.1'] }))
      })

      it('leaves the choice to an http2 server that allows HTTP/1', async () => {
        const { server } = certs()
        const web = http2.createSecureServer({ cert: server.cert, key: server.key, allowHTTP1: true })
        web.on('request', (request, response) => response.end(bodyFor(request)))
        // Its 'connection' would do TLS once more.
        const behindTls = {
          emit(_event: 'connection', socket: object): boolean {
            // It looks there for what its HTTP/1 requests and responses are made of.
            Object.assign(socket, { server: web })
            return web.emit('secureConnection', socket)
          },
        }
        await askBoth(await inFront(behindTls, { ALPNProtocols: ['h2', 'http/1.1'] }))
      })

      it('refuses a client that wants neither', async () => {
        const site = await inFront(mirror(), { ALPNProtocols: ['h2', 'http/1.1'] })
        await assert.rejects(dialled(site.port, { ALPNProtocols: ['h3'] }), {
          code: noApplicationProtocol.code,
        })
        assert.deepEqual(site.sockets, [])
      })
    })

    it('tells by the session event which socket a session runs over', async () => {
      const sockets = new WeakMap<http2.ServerHttp2Session, TLSSocket>()
      const h2 = http2.createServer((request, response) => {
        const socket = request.stream.session && sockets.get(request.stream.session as http2.ServerHttp2Session)
        response.end(`${socket?.getProtocol()} ${socket?.remotePort}`)
      })
      const site = await inFront(
        (socket) => {
          h2.once('session', (session) => sockets.set(session, socket))
          return h2
        },
        { ALPNProtocols: ['h2'] },
      )
      for (let count = 0; count < 2; count++) {
        const session = open(dials['a socket of node:tls'] as Dial, site)
        assert.equal(await body(session.request()), `TLSv1.3 ${session.socket.localPort}`)
      }
    })

    it('ends quietly when a client breaks the protocol', async () => {
      const web = mirror()
      const failures: unknown[] = []
      web.on('session', (session) => session.on('error', (error) => failures.push(error)))
      const site = await inFront(web, { ALPNProtocols: ['h2'] })
      const socket = await dialled(site.port, { ALPNProtocols: ['h2'] })
      socket.on('error', () => {})
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(10))
      socket.resume()
      await once(socket, 'close')
      await until(() => failures.length > 0)
      const good = open(dials['a socket of node:tls'] as Dial, site)
      assert.equal(await body(good.request({ ':method': 'POST' }).end('fine')), 'fine')
    })
  })
})
