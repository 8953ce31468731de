// The shape of the package: node:tls's ways to call createServer and connect, and what a Server has from net.Server.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import nodeTls from 'node:tls'
import tls, {
  checkServerIdentity,
  connect,
  createServer,
  rootCertificates,
  Server,
  type TLSSocket,
} from 'openssl-session'
import { certs } from '../support/certs.js'
import { Program } from '../support/programs.js'
import {
  afterTest,
  atHome,
  aWhile,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  exchange,
  hangUp,
  identity,
  listen,
  serve,
  trusting,
  until,
} from '../support/tls.js'

describe('the package', () => {
  it('can be imported as node:tls is: as a whole or by name', () => {
    assert.equal(tls.connect, connect)
    assert.equal(tls.createServer, createServer)
    assert.equal(tls.Server, Server)
    assert.equal(checkServerIdentity, nodeTls.checkServerIdentity)
    assert.equal(rootCertificates, nodeTls.rootCertificates)
    assert.equal(tls.DEFAULT_MIN_VERSION, nodeTls.DEFAULT_MIN_VERSION)
  })
})

describe('createServer', () => {
  afterEach(closeAll)

  it('takes options and a listener, or either, or neither', () => {
    const listener = (): void => {}
    assert.deepEqual(createServer({}, listener).listeners('secureConnection'), [listener])
    assert.deepEqual(createServer(listener).listeners('secureConnection'), [listener])
    assert.deepEqual(createServer(null, listener).listeners('secureConnection'), [listener])
    assert.deepEqual(createServer().listeners('secureConnection'), [])
    assert.ok(createServer() instanceof net.Server)
    assert.throws(() => createServer('text' as never), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.throws(() => createServer({ handshakeTimeout: 'soon' as never }), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.throws(() => createServer({ secureContext: {} as never }), { code: 'ERR_TLS_INVALID_CONTEXT' })
    assert.throws(() => createServer({ pskCallback: () => null } as never), { code: 'ERR_FEATURE_UNAVAILABLE' })
  })

  it('asks for client certificates only where requestCert is true', () => {
    const { requestCert, rejectUnauthorized } = createServer()
    assert.deepEqual([requestCert, rejectUnauthorized], [false, true])
    assert.equal(createServer({ requestCert: 1 as never }).requestCert, false)
    assert.equal(createServer({ rejectUnauthorized: false }).rejectUnauthorized, false)
  })
})

describeInEachHome('a Server', (home) => {
  afterEach(closeAll)

  it('counts and limits its connections, and closes when they have gone', async () => {
    const { server, port } = await serve()
    server.maxConnections = 1
    const first = await dialled(port)
    const count = await new Promise((resolve) => server.getConnections((_error, value) => resolve(value)))
    assert.equal(count, 1)
    const dropped = once(server, 'drop')
    const second = afterTest(connect(trusting(port)))
    assert.equal(await closed(second), true)
    await dropped
    let isClosed = false
    server.close(() => {
      isClosed = true
    })
    await aWhile()
    assert.equal(isClosed, false)
    await hangUp(first)
    await until(() => isClosed)
  })

  it('ends all its connections with closeAllConnections, handshakes too, and goes on listening', async () => {
    const { server, port } = await serve()
    const raw = afterTest(net.connect(port, '127.0.0.1')).resume()
    const open = await dialled(port)
    open.resume()
    server.closeAllConnections()
    await Promise.all([closed(raw), closed(open)])
    assert.equal(await exchange(await dialled(port), 'still here'), 'still here')
  })

  if (home === 'engine') {
    it('ends with closeAllConnections what its threads have accepted while JavaScript was busy', async () => {
      let heard = 0
      const { server, port } = await serve({}, () => {
        heard += 1
      })
      const client = afterTest(new Program('s_client', '-connect', `127.0.0.1:${port}`))
      const busy = new Int32Array(new SharedArrayBuffer(4))
      Atomics.wait(busy, 0, 0, 500)
      server.closeAllConnections()
      Atomics.wait(busy, 0, 0, 50)
      assert.match(await client.ended(), /Verify return code/)
      assert.equal(heard, 0)
    })
  }

  it('makes sockets that know their server', async () => {
    const { server, port } = await serve()
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    await dialled(port)
    const [socket] = await accepted
    assert.equal(socket.server, server)
    assert.equal(socket.secureContext, server.secureContext)
  })

  it('leaves sockets paused with pauseOnConnect', async () => {
    const { server, port } = await serve({ pauseOnConnect: true }, () => {})
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    const client = await dialled(port)
    const [socket] = await accepted
    assert.equal(socket.isPaused(), true)
    socket.pipe(socket)
    client.write('wait')
    socket.resume()
    assert.equal(await exchange(client, ''), '')
    const [answer] = (await once(client, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'wait')
  })

  it('destroys the connection whose async listener fails, with captureRejections', async () => {
    const { EventEmitter } = await import('node:events')
    EventEmitter.captureRejections = true
    let server: Server
    try {
      server = createServer(identity(), async () => {
        throw new Error('cannot serve')
      })
    } finally {
      EventEmitter.captureRejections = false
    }
    const errors: unknown[] = []
    server.prependListener('secureConnection', (socket) => socket.on('error', (error) => errors.push(error.message)))
    const client = await dialled(await listen(server))
    await closed(client)
    assert.deepEqual(errors, ['cannot serve'])
  })
})

describeInEachHome("a listener of 'tlsClientError'", () => {
  afterEach(closeAll)

  it('that throws costs no descriptor: the connection is closed all the same', async () => {
    const { server, port } = await serve()
    const mocha = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const uncaught = once(process, 'uncaughtException') as Promise<[Error]>
    try {
      server.once('tlsClientError', () => {
        throw new Error('thrown by a listener')
      })
      const socket = afterTest(net.connect(port, '127.0.0.1'))
      socket.on('error', () => {}).resume()
      const gone = new Promise((resolve) => socket.once('close', resolve))
      socket.write('this is not TLS, and long enough for a record that could be')
      assert.equal((await uncaught)[0].message, 'thrown by a listener')
      await gone
    } finally {
      for (const listener of mocha) process.on('uncaughtException', listener)
    }
    await until(() => server.stats().handshaking === 0)
    const count = await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
    assert.equal(count, 0)
  })
})

describeInEachHome('connect', () => {
  afterEach(closeAll)

  it('takes port, host, options and listener in all the ways of node:tls', async () => {
    const { port } = await serve()
    const options = atHome({ ca: certs().root.cert })
    const ways: ((listener: () => void) => TLSSocket)[] = [
      (listener) => connect({ port, host: '127.0.0.1', ...options }, listener),
      (listener) => connect(port, '127.0.0.1', options, listener),
      (listener) => connect(port, { host: '127.0.0.1', ...options }, listener),
      (listener) => connect(String(port) as never, '127.0.0.1', options, listener),
      (listener) => connect(port, 'elsewhere.invalid', { host: '127.0.0.1', ...options }, listener),
    ]
    for (const way of ways) {
      const socket = await new Promise<TLSSocket>((resolve) => {
        const made = afterTest(way(() => resolve(made)))
      })
      assert.equal(socket.authorized, true)
    }
    for (const way of [() => connect(null as never), () => connect(undefined as never), () => connect(true as never)]) {
      assert.throws(way, { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })

  it('connects by name as net.connect does, and says so in events', async () => {
    const { port } = await serve()
    const events: string[] = []
    const socket = afterTest(connect(atHome({ port, host: 'localhost', family: 4, ca: certs().root.cert })))
    for (const event of ['lookup', 'connect', 'ready', 'secureConnect']) socket.on(event, () => events.push(event))
    await once(socket, 'secureConnect')
    assert.deepEqual(events, ['lookup', 'connect', 'ready', 'secureConnect'])
  })

  it('takes a socket that is still connecting', async () => {
    const { port } = await serve()
    const raw = net.connect(port, '127.0.0.1')
    const socket = afterTest(connect(trusting(0, { socket: raw })))
    assert.equal(socket.connecting, true)
    await once(socket, 'secureConnect')
    assert.equal(await exchange(socket, 'over mine'), 'over mine')
    await hangUp(socket)
    assert.equal(raw.destroyed, true)
  })

  it('throws on bad options before anything is sent', async () => {
    let connections = 0
    const port = await listen(
      net.createServer(() => {
        connections += 1
      }),
    )
    for (const options of [
      { ca: 'nonsense' },
      { session: Buffer.from('nonsense') },
      { secureContext: {} as never },
      { ALPNProtocols: [''] },
      { servername: 'a'.repeat(300) },
      { servername: 5 as never },
      { timeout: 'soon' as never },
      { signal: {} as never },
    ]) {
      assert.throws(() => connect(atHome({ port, host: '127.0.0.1', ...options })), { code: /^ERR_/ })
    }
    await aWhile()
    assert.equal(connections, 0)
  })

  it('leaves nothing behind when it throws over a socket that is connected', async () => {
    const { server, port } = await serve()
    const failed = once(server, 'tlsClientError')
    const socket = net.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    // A client that went on with this one would fail without anybody to hear of it.
    assert.throws(() => connect(atHome({ socket, servername: 'a'.repeat(300) })), { code: /^ERR_/ })
    await failed
    await until(() => socket.destroyed)
  })

  it("may be given up in a 'secure' listener", async () => {
    const { port } = await serve()
    const socket = dial(port)
    socket.on('secure', () => socket.destroy())
    socket.on('secureConnect', () => assert.fail('it is destroyed'))
    assert.equal(await closed(socket), false)
  })

  it('believes NODE_TLS_REJECT_UNAUTHORIZED=0, as node:tls does', async () => {
    const { port } = await serve()
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      const socket = afterTest(connect(atHome({ port, host: '127.0.0.1' })))
      await once(socket, 'secureConnect')
      assert.equal(socket.authorized, false)
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    }
  })

  it('limits the size of records with setMaxSendFragment', async () => {
    const { port } = await serve()
    const socket = await dialled(port)
    assert.equal(socket.setMaxSendFragment(1024), true)
    assert.equal(socket.setMaxSendFragment(1), false)
    assert.throws(() => socket.setMaxSendFragment('1' as never), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.equal(await exchange(socket, 'x'.repeat(5000)), 'x'.repeat(5000))
  })
})
