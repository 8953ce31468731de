// Sockets that somebody else has accepted or connected, and that the engine takes over: no byte is lost, no descriptor either.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { Duplex, PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import tls from 'node:tls'
import { createServer, type Server, TLSSocket } from 'openssl-session'
import { certs } from '../support/certs.js'
import { afterTest, closeAll, closed, exchange, trusting, until } from '../support/tls.js'

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

describe('A socket that the engine takes over', () => {
  let server: Server
  let front: net.Server
  let port: number
  /** What becomes of a connection that the front has accepted. */
  let handOver: (socket: net.Socket) => void

  beforeEach(async () => {
    const { chain, key } = certs().server
    server = createServer({ cert: chain, key, threads: 2 }, (socket) => {
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    server.on('tlsClientError', () => {})
    handOver = (socket) => server.emit('connection', socket)
    front = net.createServer({ allowHalfOpen: true }, (socket) => {
      afterTest(socket)
      handOver(socket)
    })
    front.listen(0, '127.0.0.1')
    await once(front, 'listening')
    port = (front.address() as AddressInfo).port
  })

  afterEach(async () => {
    await closeAll()
    const ended = once(front, 'close')
    front.close()
    await ended
  })

  async function speak(socket: tls.TLSSocket): Promise<void> {
    await once(socket, 'secureConnect')
    assert.equal(await exchange(socket, 'hello'), 'hello')
  }

  it('serves, and closes together with its connection, whichever end begins', async () => {
    const ends: Record<string, (client: tls.TLSSocket, ours: TLSSocket, shell: net.Socket) => void> = {
      'the client ends': (client) => client.resume().end(),
      'the client goes': (client) => client.destroy(),
      'the client resets': (client) => (client as unknown as { _parent: net.Socket })._parent.resetAndDestroy(),
      'the server ends': (_client, ours) => ours.end(),
      'the server goes': (_client, ours) => ours.destroy(),
      'the shell is destroyed': (_client, _ours, shell) => shell.destroy(),
    }
    for (const [title, end] of Object.entries(ends)) {
      let shell: net.Socket | undefined
      handOver = (socket) => {
        shell = socket
        server.emit('connection', socket)
      }
      const secured = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const transport = net.connect(port, '127.0.0.1')
      const client = tls.connect({ ...trusting(port), socket: transport })
      client.on('error', () => {})
      transport.on('error', () => {})
      await speak(client)
      const [ours] = await secured
      assert.ok(shell)
      assert.equal(ours.remotePort, transport.localPort, title)
      assert.equal(shell.remotePort, transport.localPort, title)
      end(client, ours, shell)
      await Promise.all([closed(client.resume()), closed(ours), closed(shell)])
    }
  })

  it('leaves no descriptor behind', async () => {
    // Threads and their descriptors come with the first connection.
    const first = tls.connect(trusting(port))
    await speak(first)
    first.resume().end()
    await closed(first)
    await drained(front)
    const before = descriptors()
    for (let round = 0; round < 10; round++) {
      const clients = Array.from({ length: 10 }, () => tls.connect(trusting(port)))
      await Promise.all(clients.map(speak))
      assert.ok(descriptors() >= before + 20)
      for (const client of clients) client.resume().end()
      await Promise.all(clients.map(closed))
      await drained(front)
    }
    await until(() => descriptors() <= before)
  })

  it('brings along what was read from it, and put back', async () => {
    for (const size of [1, 5, 100, 10_000]) {
      handOver = (socket) => {
        socket.once('data', (bytes: Buffer) => {
          socket.pause()
          socket.unshift(bytes.subarray(Math.min(size, bytes.length)))
          socket.unshift(bytes.subarray(0, Math.min(size, bytes.length)))
          server.emit('connection', socket)
        })
      }
      const client = tls.connect(trusting(port))
      await speak(client)
      client.resume().end()
      await closed(client)
    }
  })

  it('brings along what came while nobody looked', async () => {
    handOver = (socket) => {
      // Readable and not read: the greeting of the client is in its buffer.
      socket.on('readable', function look() {
        if (socket.readableLength === 0) return
        socket.off('readable', look)
        server.emit('connection', socket)
      })
    }
    const client = tls.connect(trusting(port))
    await speak(client)
    client.resume().end()
    await closed(client)
  })

  it('may be paused', async () => {
    handOver = (socket) => {
      socket.pause()
      server.emit('connection', socket)
    }
    const client = tls.connect(trusting(port))
    await speak(client)
    client.resume().end()
    await closed(client)
  })

  it('sends first what was written to it before, however much (STARTTLS)', async () => {
    const greeting = Buffer.alloc(3_000_000, 'go ahead')
    handOver = (socket) => {
      socket.once('data', () => {
        socket.pause()
        socket.write(greeting)
        server.emit('connection', socket)
      })
    }
    const plain = net.connect(port, '127.0.0.1')
    plain.write('STARTTLS')
    let left = greeting.length
    while (left > 0) {
      const bytes = (plain.read(Math.min(left, plain.readableLength || 1)) as Buffer | null) ?? null
      if (bytes === null) await once(plain, 'readable')
      else left -= bytes.length
    }
    const client = tls.connect({ ...trusting(port), socket: plain })
    await speak(client)
    client.resume().end()
    await closed(client)
  })

  it('may be closed by then', async () => {
    const failures: Error[] = []
    server.on('tlsClientError', (error) => failures.push(error))
    handOver = (socket) => {
      socket.destroy()
      server.emit('connection', socket)
    }
    const client = net.connect(port, '127.0.0.1').resume()
    await closed(client)
    handOver = (socket) => {
      socket.once('close', () => server.emit('connection', socket))
      socket.destroy()
    }
    const other = net.connect(port, '127.0.0.1').resume()
    await closed(other)
    await until(() => failures.length === 2)
    handOver = (socket) => {
      server.emit('connection', socket)
      socket.destroy()
    }
    const third = net.connect(port, '127.0.0.1').resume()
    await closed(third)
    await until(() => failures.length === 3)
    assert.deepEqual(new Set(failures.map((error) => (error as NodeJS.ErrnoException).code)), new Set(['ECONNRESET']))
  })

  it('may be a client that is not connected yet, or fails to connect', async () => {
    const plain = net.connect(port, '127.0.0.1')
    const socket = afterTest(new TLSSocket(plain, { ca: certs().root.cert, threads: 2 }))
    await once(socket, 'secure')
    assert.equal(await exchange(socket, 'hello'), 'hello')
    socket.end()
    await Promise.all([closed(socket.resume()), closed(plain)])

    const nobody = net.connect(1, '127.0.0.1')
    const lost = afterTest(new TLSSocket(nobody, { ca: certs().root.cert, threads: 2 }))
    const [error] = (await once(lost, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
    await closed(lost)
  })

  it('may be no socket at all, which stays on the JavaScript thread', async () => {
    handOver = (socket) => {
      const [readable, writable] = [new PassThrough(), new PassThrough()]
      socket.pipe(readable)
      writable.pipe(socket)
      server.emit('connection', Duplex.from({ readable, writable }))
    }
    const client = tls.connect(trusting(port))
    await speak(client)
    client.destroy()
    await closed(client)
  })
})

/** Waits until the sockets that a server has accepted are closed. */
async function drained(server: net.Server): Promise<void> {
  for (;;) {
    const count = await new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))
    if (count === 0) return
    await setImmediate()
  }
}
