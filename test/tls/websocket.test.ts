// WebSockets over our sockets: the `ws` package on both ends, whose upgrade takes the TLSSocket from an HTTP server.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { connect, type TLSSocket } from 'openssl-session'
import { WebSocket, WebSocketServer } from 'ws'
import { times } from '../support/thorough.js'
import { aWhile, closeAll, inEachHome, trusting, until } from '../support/tls.js'
import { content, inFront, type WebSite } from '../support/web.js'

const MB = 2 ** 20

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

type Dial = (site: WebSite, path?: string, options?: object) => WebSocket

const dials: Record<string, Dial> = {
  'a socket of node:tls': ({ url, port }, path = '/', options = {}) =>
    new WebSocket(`${url.replace('https', 'wss')}${path}`, { ...trusting(port), ...options }),
  'a socket of ours': ({ url, port }, path = '/', options = {}) =>
    new WebSocket(`${url.replace('https', 'wss')}${path}`, {
      createConnection: () => connect(trusting(port)) as never,
      ...options,
    }),
}

interface Message {
  readonly data: Buffer
  readonly binary: boolean
}

async function message(socket: WebSocket): Promise<Message> {
  const [data, binary] = (await once(socket, 'message')) as [Buffer, boolean]
  return { data, binary }
}

async function closing(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return { code, reason: reason.toString() }
}

describe('WebSockets over a TLSSocket', () => {
  const sockets: WebSocket[] = []

  /** A client that is connected, and the server's end of it. */
  async function pair(dial: Dial, options: { server?: object; client?: object } = {}) {
    const web = http.createServer()
    const server = new WebSocketServer({ server: web, ...options.server })
    const site = await inFront(web)
    const connected = once(server, 'connection')
    const client = dial(site, '/', options.client)
    sockets.push(client)
    await once(client, 'open')
    const [accepted, request] = (await connected) as [WebSocket, http.IncomingMessage]
    sockets.push(accepted)
    return { client, accepted, request, site }
  }

  function echo(socket: WebSocket): void {
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  }

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate()
    await closeAll()
  })

  inEachHome(() => {
    for (const [name, dial] of Object.entries(dials)) {
      describe(`from ${name}`, () => {
        it('tells text from binary, both ways', async () => {
          const { client, accepted } = await pair(dial)
          echo(accepted)
          const text = 'Grüße, 世界 🌍'
          client.send(text)
          const first = await message(client)
          assert.deepEqual([first.data.toString(), first.binary], [text, false])
          client.send(Buffer.from([0, 255, 1, 254]))
          const second = await message(client)
          assert.deepEqual([[...second.data], second.binary], [[0, 255, 1, 254], true])
          client.send('')
          assert.equal((await message(client)).data.length, 0)
        })

        it('carries binary messages of megabytes both ways at the same time', async () => {
          const { client, accepted } = await pair(dial)
          const large = Buffer.concat([...content(times(12, 4) * MB + 1)])
          const larger = Buffer.concat([...content(times(16, 5) * MB)])
          const answers = Promise.all([message(client), message(accepted)])
          accepted.send(large)
          client.send(larger)
          const [down, up] = await answers
          assert.equal(sha256(down.data), sha256(large))
          assert.equal(sha256(up.data), sha256(larger))
        })

        it('puts a fragmented message together, and lets a ping through between its fragments', async () => {
          const { client, accepted } = await pair(dial)
          const pieces = [...content(3 * MB)]
          const pinged = once(accepted, 'ping')
          const whole = message(accepted)
          for (const [index, piece] of pieces.entries()) {
            client.send(piece, { binary: true, fin: index === pieces.length - 1 })
            if (index === 5) client.ping('between')
          }
          const [payload] = (await pinged) as [Buffer]
          assert.equal(payload.toString(), 'between')
          const { data, binary } = await whole
          assert.deepEqual([sha256(data), binary], [sha256(Buffer.concat(pieces)), true])
        })

        it('keeps the order of thousands of small messages', async () => {
          const { client, accepted } = await pair(dial)
          echo(accepted)
          const count = 5000
          const answers: string[] = []
          client.on('message', (data: Buffer) => answers.push(data.toString()))
          for (let index = 0; index < count; index++) client.send(String(index))
          await until(() => answers.length === count)
          assert.deepEqual(
            answers,
            Array.from({ length: count }, (_, index) => String(index)),
          )
        })

        it('compresses messages when both ends want to', async () => {
          const perMessageDeflate = { threshold: 0 }
          const { client, accepted } = await pair(dial, {
            server: { perMessageDeflate },
            client: { perMessageDeflate },
          })
          echo(accepted)
          assert.equal(client.extensions, 'permessage-deflate')
          const text = 'again and again '.repeat(100_000)
          client.send(text)
          assert.equal((await message(client)).data.toString(), text)
        })

        it('answers pings from either end', async () => {
          const { client, accepted } = await pair(dial)
          for (const [from, payload] of [
            [client, 'of the client'],
            [accepted, 'of the server'],
          ] as const) {
            const answered = once(from, 'pong')
            from.ping(payload)
            const [echoed] = (await answered) as [Buffer]
            assert.equal(echoed.toString(), payload)
          }
        })

        it('gives each end the code and reason that the other closes with', async () => {
          for (const closer of ['client', 'accepted'] as const) {
            const { client, accepted } = await pair(dial)
            const ends = Promise.all([closing(client), closing(accepted)])
            const one = closer === 'client' ? client : accepted
            one.close(4001, `closed by ${closer}`)
            const expected = { code: 4001, reason: `closed by ${closer}` }
            assert.deepEqual(await ends, [expected, expected])
          }
        })

        it('has sent everything before a close', async () => {
          const { client, accepted } = await pair(dial)
          const pieces = [...content(4 * MB)]
          const received: Buffer[] = []
          client.on('message', (data: Buffer) => received.push(data))
          const closed = closing(client)
          for (const piece of pieces) accepted.send(piece)
          accepted.close(1000, 'all told')
          assert.deepEqual(await closed, { code: 1000, reason: 'all told' })
          assert.equal(sha256(Buffer.concat(received)), sha256(Buffer.concat(pieces)))
        })

        it('tells an end that the other was terminated without a word', async () => {
          for (const terminator of ['client', 'accepted'] as const) {
            const { client, accepted } = await pair(dial)
            const other = terminator === 'client' ? accepted : client
            const told = closing(other)
            ;(terminator === 'client' ? client : accepted).terminate()
            assert.deepEqual(await told, { code: 1006, reason: '' })
          }
        })

        it('holds back what a client that does not read is sent, until it reads again', async () => {
          const { client, accepted } = await pair(dial)
          client.pause()
          const piece = Buffer.alloc(MB, 'x')
          let sent = 0
          const count = 48
          for (let index = 0; index < count; index++) {
            accepted.send(piece, () => {
              sent += 1
            })
          }
          await aWhile(300)
          assert.ok(sent < count / 2, `${sent} of ${count} messages have left for a client that does not read`)
          assert.ok(accepted.bufferedAmount > (count / 2) * MB, `only ${accepted.bufferedAmount} bytes are held`)
          let received = 0
          client.on('message', (data: Buffer) => {
            received += data.length
          })
          client.resume()
          await until(() => received === count * MB && sent === count)
        })

        it('shows the server the connection that it came over', async () => {
          const { request, site } = await pair(dial)
          const socket = request.socket as unknown as TLSSocket
          assert.equal(socket, site.sockets[0])
          assert.equal(socket.getProtocol(), 'TLSv1.3')
          assert.equal(socket.encrypted, true)
          assert.equal(socket.remoteAddress, '127.0.0.1')
        })

        it('is refused by the server before the upgrade, with a status', async () => {
          const web = http.createServer()
          const sockets = new WebSocketServer({ noServer: true })
          web.on('upgrade', (request, socket, head) => {
            // Who has read the status needs no goodbye.
            socket.on('error', (error: NodeJS.ErrnoException) => assert.equal(error.code, 'ECONNRESET'))
            if (request.url === '/open')
              sockets.handleUpgrade(request, socket, head, (accepted) => accepted.send('hello'))
            else socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
          })
          const site = await inFront(web)
          const refused = dial(site, '/closed')
          const [, response] = (await once(refused, 'unexpected-response')) as [unknown, http.IncomingMessage]
          assert.equal(response.statusCode, 401)
          response.destroy()
          const welcome = dial(site, '/open')
          const { data } = await message(welcome)
          assert.equal(data.toString(), 'hello')
          welcome.terminate()
        })
      })
    }

    it('serves many sockets at once', async () => {
      const web = http.createServer()
      const server = new WebSocketServer({ server: web })
      server.on('connection', (socket) => {
        socket.on('message', (data, binary) => {
          for (const client of server.clients) client.send(data, { binary })
        })
      })
      const site = await inFront(web)
      const clients = Array.from({ length: 40 }, () => (dials['a socket of ours'] as Dial)(site))
      sockets.push(...clients)
      await Promise.all(clients.map((client) => once(client, 'open')))
      const received = clients.map((client) => {
        const texts: string[] = []
        client.on('message', (data: Buffer) => texts.push(data.toString()))
        return texts
      })
      for (const [index, client] of clients.entries()) client.send(`from ${index}`)
      await until(() => received.every((texts) => texts.length === clients.length))
      const everything = clients.map((_, index) => `from ${index}`).toSorted()
      for (const texts of received) assert.deepEqual(texts.toSorted(), everything)
    })
  })
})
