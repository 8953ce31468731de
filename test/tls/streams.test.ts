// The byte streams of a TLSSocket: back-pressure, half-close, and the ways in which connections end.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { Duplex, PassThrough, pipeline } from 'node:stream'
import nodeTls from 'node:tls'
import { connect, createServer, Session, TLSSocket } from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { certs } from '../support/certs.js'
import { Program, versionFlag } from '../support/programs.js'
import { times } from '../support/thorough.js'
import {
  afterTest,
  atHome,
  aWhile,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  dialledNode,
  drain,
  exchange,
  failure,
  hangUp,
  identity,
  inEachVersion,
  listen,
  only,
  readAll,
  serve,
  serveNode,
  trusting,
  until,
} from '../support/tls.js'
import { alertCode } from '../support/versions.js'

const MiB = 1024 * 1024
/** More than the buffers on the way take. */
const twentyMiB = 20 * MiB
/** What arrives whole. */
const large = times(20, 5) * MiB

/** Bytes that show every displacement, and their digest. */
function noise(length: number): { bytes: Buffer; digest: string } {
  const block = randomBytes(1 << 20)
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += block.length) {
    block.writeUInt32BE(at, 0)
    block.copy(bytes, at)
  }
  return { bytes, digest: createHash('sha256').update(bytes).digest('hex') }
}

async function digestOf(stream: Duplex): Promise<{ digest: string; length: number }> {
  const hash = createHash('sha256')
  let length = 0
  await drain(stream, (chunk) => {
    hash.update(chunk)
    length += chunk.length
  })
  return { digest: hash.digest('hex'), length }
}

/** Writes everything in pieces of odd sizes, as the stream takes it. */
async function pour(stream: Duplex, bytes: Buffer): Promise<void> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 13) % 200_000) {
    if (!stream.write(bytes.subarray(at, at + size))) await once(stream, 'drain')
  }
  stream.end()
}

/** Two ends of a stream that is no network socket. */
function duplexPair(): [Duplex, Duplex] {
  const [there, back] = [new PassThrough(), new PassThrough()]
  return [Duplex.from({ readable: back, writable: there }), Duplex.from({ readable: there, writable: back })]
}

/** The functions that ask a connection something, and want nothing else. */
function asking(ssl: libssl.SSL): ((ssl: libssl.SSL) => unknown)[] {
  const named = /^SSL_(get_|get0_|has_|is_|in_|pending|version|session_reused)/
  return Object.entries(libssl as unknown as Record<string, (ssl: libssl.SSL) => unknown>)
    .filter(([name, ask]) => {
      try {
        if (!named.test(name)) return false
        ask(ssl)
        return true
      } catch {
        return false
      }
    })
    .map(([, ask]) => ask)
}

/** A server's side and a client's side of a connection, both ours. */
async function pair(options: object): Promise<{ near: TLSSocket; far: TLSSocket }> {
  const { server, port } = await serve(options, () => {})
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const near = await dialled(port, options)
  const [far] = await accepted
  return { near, far: afterTest(far) }
}

/** A TCP server that passes everything on between its clients and the server at `port`, and tells what the latter sends. */
function relayTo(port: number, sent: (bytes: Buffer) => void = () => {}): { relay: net.Server; clients: net.Socket[] } {
  const clients: net.Socket[] = []
  const relay = net.createServer((client) => {
    clients.push(client)
    const server = net.connect(port, '127.0.0.1')
    server.on('data', sent)
    pipeline(client, server, client, () => {})
  })
  return { relay, clients }
}

describeInEachHome('data of a TLSSocket', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    const { bytes, digest } = noise(large)

    it('arrives byte for byte, megabytes from client to server', async () => {
      const { near, far } = await pair(only(version))
      const [received] = await Promise.all([digestOf(far), pour(near, bytes)])
      assert.deepEqual(received, { digest, length: large })
      assert.equal(near.bytesWritten, large)
      assert.equal(far.bytesRead, large)
    })

    it('arrives byte for byte, megabytes from server to client in one write', async () => {
      const { near, far } = await pair(only(version))
      far.end(bytes)
      assert.deepEqual(await digestOf(near), { digest, length: large })
    })

    it('arrives byte for byte in both directions at once', async () => {
      const { near, far } = await pair({ ...only(version), allowHalfOpen: true })
      const work = [digestOf(near), digestOf(far), pour(near, bytes), pour(far, bytes)] as const
      const [first, second] = await Promise.all(work)
      assert.deepEqual(first, { digest, length: large })
      assert.deepEqual(second, { digest, length: large })
    })

    it('arrives byte for byte while the connection is asked everything that can be asked', async () => {
      const { near, far } = await pair(only(version))
      const getters = asking(near.handle as libssl.SSL)
      assert.ok(getters.length > 20, `${getters.length} functions`)
      let asked = 0
      far.on('data', () => {
        for (const { handle } of [near, far]) for (const ask of getters) ask(handle as libssl.SSL)
        asked += 1
      })
      const part = bytes.subarray(0, 5 * MiB)
      const [received] = await Promise.all([digestOf(far), pour(near, part)])
      assert.deepEqual(received, { digest: createHash('sha256').update(part).digest('hex'), length: part.length })
      assert.ok(asked > 50, `asked ${asked} times`)
    })

    it('arrives byte for byte at a client of node:tls, and from one', async () => {
      const { server, port } = await serve(only(version), () => {})
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialledNode(port, { allowHalfOpen: true } as nodeTls.ConnectionOptions)
      const [connection] = await accepted
      connection.allowHalfOpen = true
      const [there, back] = await Promise.all([
        digestOf(connection),
        digestOf(client),
        pour(client, bytes),
        pour(connection, bytes),
      ])
      assert.deepEqual(
        [there, back],
        [
          { digest, length: large },
          { digest, length: large },
        ],
      )
    })

    it('arrives byte for byte at openssl s_client', async () => {
      const { bytes: some } = noise(1 << 20)
      const { port } = await serve(only(version), (socket) => socket.end(some))
      const client = afterTest(new Program('s_client', '-connect', `127.0.0.1:${port}`, '-quiet', versionFlag(version)))
      const output = await client.ended()
      assert.ok(output.endsWith(some.toString('latin1')))
    })

    it('waits at the sender while nobody reads it', async () => {
      const { near, far } = await pair(only(version))
      let drained = 0
      near.on('drain', () => {
        drained += 1
      })
      const chunk = Buffer.alloc(64 * 1024)
      while (near.write(chunk));
      // What goes out now goes into buffers of fixed size: the streams' and the kernel's.
      for (;;) {
        const before = drained
        await aWhile(30)
        if (drained === before) break
        while (near.write(chunk));
      }
      const waiting = near.writableLength
      assert.ok(waiting > 0)
      assert.ok(
        far.readableLength <= far.readableHighWaterMark + 128 * 1024,
        `${far.readableLength} bytes wait to be read`,
      )
      const all = digestOf(far)
      near.end()
      assert.equal((await all).length, near.bytesWritten)
    })

    it('calls a write back when the transport has taken it, not before', async () => {
      const { near, far } = await pair(only(version))
      far.pause()
      let done = false
      near.write(Buffer.alloc(twentyMiB), () => {
        done = true
      })
      await aWhile(100)
      assert.equal(done, false)
      far.resume()
      await until(() => done)
    })

    it('goes out in one record when it is corked', async () => {
      const server = createServer(identity(only(version)), (socket) => {
        socket.once('data', () => {
          socket.cork()
          for (const word of ['one ', 'two ', 'three']) socket.write(word)
          socket.uncork()
        })
      })
      libssl.SSL_CTX_set_num_tickets(server.secureContext.handle, 0)
      const port = await listen(server)
      const sent: Buffer[] = []
      const { relay } = relayTo(port, (bytes) => sent.push(bytes))
      const near = await dialled(await listen(relay))
      sent.length = 0
      near.write('go')
      const [text] = (await once(near, 'data')) as [Buffer]
      assert.equal(text.toString(), 'one two three')
      const record = Buffer.concat(sent)
      // A record begins with its type, version and length: this one is all there is.
      assert.equal(record[0], 23)
      assert.equal(record.readUInt16BE(3) + 5, record.length)
    })

    it('may be text, in any encoding', async () => {
      const { near, far } = await pair(only(version))
      near.write('68e9', 'hex')
      near.end('llo')
      far.setEncoding('latin1')
      let text = ''
      for await (const part of far) text += part
      assert.equal(text, 'héllo')
    })

    it('passes over any Duplex', async () => {
      const [left, right] = duplexPair()
      const { server, root } = certs()
      const far = new TLSSocket(right, { isServer: true, cert: server.chain, key: server.key, ...only(version) })
      const near = connect({ socket: left, ca: root.cert, servername: 'localhost' })
      await once(near, 'secureConnect')
      assert.equal(near.getProtocol(), version)
      assert.equal(near.remoteAddress, undefined)
      assert.deepEqual(near.address(), {})
      assert.equal(near.setNoDelay().setKeepAlive(true).ref().unref(), near)
      const [received] = await Promise.all([digestOf(far), pour(near, bytes)])
      assert.deepEqual(received, { digest, length: large })
    })

    it('passes over a TLS connection, as TLS in TLS', async () => {
      const inner = createServer(identity(only(version)), (socket) => socket.pipe(socket))
      const { port } = await serve(only(version), (socket) => void inner.emit('connection', socket))
      const outer = await dialled(port)
      const near = afterTest(connect(trusting(0, { socket: outer })))
      await once(near, 'secureConnect')
      assert.equal(await exchange(near, 'deep inside'), 'deep inside')
      await hangUp(near)
    })

    it('that arrived before the socket was wrapped is not lost', async () => {
      const listener = net.createServer((raw) => {
        // The client's first message waits here, read but unused.
        raw.once('readable', () => {
          raw.unshift(raw.read() as Buffer)
          const socket = new TLSSocket(raw, { ...identity(only(version)), isServer: true })
          socket.pipe(socket)
        })
      })
      const client = await dialled(await listen(listener))
      assert.equal(await exchange(client, 'all here'), 'all here')
      await hangUp(client)
    })
  })

  it('is refused from a transport that gives text', async () => {
    const transport = new PassThrough({ encoding: 'utf8' })
    const socket = connect({ socket: transport, rejectUnauthorized: false })
    transport.write('text')
    assert.equal((await failure(socket)).code, 'ERR_STREAM_WRAP')
  })

  it('needs a Duplex to pass over', () => {
    for (const nothing of [undefined, null, {}, 'text']) {
      assert.throws(() => new TLSSocket(nothing as unknown as Duplex), { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })
})

describeInEachHome('the end of a TLS connection', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it('is said by end, heard by the other side, and answered', async () => {
      const { near, far } = await pair(only(version))
      const events: string[] = []
      for (const [name, socket] of [
        ['near', near],
        ['far', far],
      ] as const) {
        for (const event of ['end', 'finish', 'close'] as const) socket.on(event, () => events.push(`${name} ${event}`))
        socket.resume()
      }
      near.end()
      await Promise.all([once(near, 'close'), once(far, 'close')])
      assert.deepEqual(events.toSorted(), [
        'far close',
        'far end',
        'far finish',
        'near close',
        'near end',
        'near finish',
      ])
      assert.ok(events.indexOf('near finish') < events.indexOf('near end'))
      assert.ok(events.indexOf('far end') < events.indexOf('far finish'))
    })

    it('of one direction leaves the other open where allowHalfOpen is set', async () => {
      const { near, far } = await pair({ ...only(version), allowHalfOpen: true })
      near.end('question')
      assert.equal((await readAll(far)).toString(), 'question')
      await aWhile(20)
      assert.equal(far.writable, true)
      far.end('answer')
      assert.equal((await readAll(near)).toString(), 'answer')
      await Promise.all([near, far].map(async (socket) => socket.closed || (await once(socket, 'close'))))
    })

    it('of one direction is followed by the other where it is not', async () => {
      const { near, far } = await pair(only(version))
      near.end('question')
      assert.equal((await readAll(far)).toString(), 'question')
      assert.equal((await readAll(near)).length, 0)
    })

    it('comes after everything that was written', async () => {
      const { port } = await serve(only(version), (socket) => {
        socket.write(Buffer.alloc(1 << 20))
        socket.end('last words')
      })
      const received = await readAll(await dialled(port))
      assert.equal(received.length, (1 << 20) + 10)
      assert.equal(received.subarray(1 << 20).toString(), 'last words')
    })

    it('without a goodbye is an end, too, as in node:tls', async () => {
      const { near, far } = await pair(only(version))
      far.write('something')
      await once(near, 'data')
      near.write('then nothing')
      far.once('data', () => near.destroy())
      assert.equal((await readAll(far)).toString(), 'then nothing')
    })

    it('is said to node:tls, and heard from it', async () => {
      const { port } = await serve(only(version), (socket) => socket.end('bye'))
      const theirs = await dialledNode(port)
      assert.equal((await readAll(theirs)).toString(), 'bye')
      const { port: other } = await serveNode(only(version), (socket) => void socket.end('bye'))
      assert.equal((await readAll(await dialled(other))).toString(), 'bye')
    })

    it('is said to openssl s_client', async () => {
      const { port } = await serve(only(version), (socket) => socket.end('bye'))
      const client = afterTest(new Program('s_client', '-connect', `127.0.0.1:${port}`, '-msg', versionFlag(version)))
      const output = await client.ended()
      assert.match(output, /<<< TLS [\d.]+, Alert \[length 0002\], warning close_notify/)
    })

    it('is no error when the other side is gone right after its goodbye', async () => {
      const { server, port } = await serve(only(version), (socket) => socket.resume())
      const errors: Error[] = []
      server.on('secureConnection', (socket) => socket.on('error', (error) => errors.push(error)))
      for (let i = 0; i < 20; i++) {
        const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
        const near = await dialled(port)
        const [far] = await accepted
        near.end(() => near.destroy())
        await Promise.all([closed(near), closed(far)])
      }
      assert.deepEqual(errors, [])
    })

    it('is seen by a server that reads nothing', async () => {
      const { near, far } = await pair(only(version))
      near.end()
      await once(far, 'end')
      await once(near, 'close')
    })

    it('by destroy drops what waits and closes the transport at once', async () => {
      const { near, far } = await pair(only(version))
      far.pause()
      const written = new Promise<Error | null | undefined>((resolve) => near.write(Buffer.alloc(twentyMiB), resolve))
      const hadError = once(near, 'close')
      near.destroy()
      assert.equal(((await written) as { code?: string }).code, 'ERR_STREAM_DESTROYED')
      assert.deepEqual(await hadError, [false])
      far.resume()
      await closed(far)
    })

    it('by destroy does not wait for a peer that has stopped reading in the middle of a write', async () => {
      const { near, far } = await pair(only(version))
      far.pause()
      near.write(Buffer.alloc(twentyMiB), () => {})
      // As much of it is on its way as the other side takes.
      await aWhile(200)
      const began = performance.now()
      near.destroy()
      await closed(near)
      const took = performance.now() - began
      assert.ok(took < 5_000, `closed after ${took} ms`)
      far.resume()
      await closed(far)
    })

    it('by destroy with an error emits it, and says so in close', async () => {
      const { near, far } = await pair(only(version))
      const reason = new Error('enough')
      const events: unknown[] = []
      near.on('error', (error) => events.push(error))
      const hadError = new Promise((resolve) => near.on('close', resolve))
      near.destroy(reason)
      assert.equal(await hadError, true)
      await closed(far)
      assert.deepEqual(events, [reason])
    })

    it('by reset is an ECONNRESET', async () => {
      const { near, far } = await pair(only(version))
      // Node takes a reset that it meets together with bytes for an end.
      far.write('something')
      await once(near, 'data')
      const failed = failure(near)
      far.resetAndDestroy()
      assert.equal((await failed).code, 'ECONNRESET')
    })

    it('by destroy on a server says goodbye when nothing waits to be sent, and only then', async () => {
      for (const [write, error, goodbye] of [
        [0, undefined, true],
        [twentyMiB, undefined, false],
        [0, new Error('x'), false],
      ] as const) {
        const { port } = await serve(only(version), (socket) => {
          socket.on('error', () => {})
          socket.once('data', () => {
            // Otherwise all of it may be sent before the thread hears of the end.
            program.halt()
            socket.write(Buffer.alloc(write))
            socket.destroy(error)
            setTimeout(() => program.goOn(), 50)
          })
        })
        const program: Program = afterTest(
          new Program('s_client', '-connect', `127.0.0.1:${port}`, '-msg', versionFlag(version)),
        )
        await program.prints(/Verify return code/)
        program.write('go\n')
        // What came in; programs of 1.1.1 answer with one of their own whatever the end was.
        assert.equal(/<<< .*close_notify/.test(await program.ended()), goodbye)
      }
    })

    it('by destroySoon comes after what was written', async () => {
      const { near, far } = await pair(only(version))
      near.write('first this')
      near.destroySoon()
      const gone = once(near, 'close')
      assert.equal((await readAll(far)).toString(), 'first this')
      await gone
    })

    it("by garbage is an error with OpenSSL's reason, and an alert for the peer", async () => {
      const { server, port } = await serve(only(version), () => {})
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const { relay, clients } = relayTo(port)
      const near = await dialled(await listen(relay))
      const told = failure((await accepted)[0])
      const failed = failure(near) as Promise<Error & { code?: string; library?: string; reason?: string }>
      // A record that decrypts to nothing sensible.
      clients[0]?.write(Buffer.from('1703030020'.padEnd(74, '0'), 'hex'))
      const error = await failed
      assert.match(
        error.code ?? '',
        /^ERR_SSL_(DECRYPTION_FAILED_OR_BAD_RECORD_MAC|BAD_RECORD_TYPE|WRONG_VERSION_NUMBER)$/,
      )
      assert.equal(error.library, 'SSL routines')
      assert.match(error.reason ?? '', /bad record mac/)
      assert.equal((await told).code, alertCode('BAD_RECORD_MAC'))
    })

    it('by an AbortSignal is an AbortError', async () => {
      const { port } = await serve(only(version))
      const control = new AbortController()
      const near = await dialled(port, { signal: control.signal })
      const failed = failure(near)
      control.abort()
      assert.equal((await failed).name, 'AbortError')
    })

    it('leaves a Session that it used to its owner', async () => {
      const { port } = await serve(only(version))
      const first = await dialled(port)
      const bytes = version === 'TLSv1.2' ? first.getSession() : ((await once(first, 'session')) as [Buffer])[0]
      await hangUp(first)
      const session = Session.fromDER(bytes as Buffer)
      const second = await dialled(port, { session })
      await hangUp(second)
      assert.equal(session.id.length, 32)
      session.free()
      assert.throws(() => session.id, { code: 'ERR_HANDLE_FREED' })
    })
  })

  it('during the handshake is the ECONNRESET of node:tls for a client', async () => {
    const listener = net.createServer((raw) => raw.once('data', () => raw.end()))
    const port = await listen(listener)
    const ours = (await failure(dial(port))) as Error & { port?: number; host?: string }
    const theirs = (await failure(afterTest(nodeTls.connect(trusting(port))))) as typeof ours
    assert.deepEqual({ ...ours }, { ...theirs })
    assert.equal(ours.message, theirs.message)
  })

  it('during the handshake is an ECONNRESET for a server', async () => {
    const { server, port } = await serve()
    const failed = once(server, 'tlsClientError') as Promise<[Error & { code: string }, TLSSocket]>
    const raw = net.connect(port, '127.0.0.1')
    raw.end()
    const [error, socket] = await failed
    assert.equal(error.code, 'ECONNRESET')
    assert.ok(socket instanceof TLSSocket)
    raw.resume()
    await once(raw, 'close')
  })

  it('before the handshake, asked for by the client, waits for the handshake', async () => {
    const { server, port } = await serve()
    const accepted = once(server, 'secureConnection')
    const client = dial(port)
    client.end()
    client.resume()
    await accepted
    await once(client, 'close')
  })

  it('of a client that cannot connect is the error of the network', async () => {
    const { server, port } = await serve()
    await new Promise((resolve) => server.close(resolve))
    assert.equal((await failure(dial(port))).code, 'ECONNREFUSED')
  })
})

describeInEachHome('a timeout of a TLSSocket', () => {
  afterEach(closeAll)

  it('is emitted after a time without traffic, and closes nothing', async () => {
    const { near } = await pair({})
    const started = Date.now()
    near.setTimeout(50)
    assert.equal(near.timeout, 50)
    await once(near, 'timeout')
    assert.ok(Date.now() - started >= 45)
    assert.equal(near.destroyed, false)
  })

  it('waits while there is traffic in either direction', async () => {
    const { port } = await serve()
    const near = await dialled(port)
    let latest = Date.now()
    const silences: number[] = []
    near.setTimeout(200, () => silences.push(Date.now() - latest))
    for (let i = 0; i < 8; i++) {
      await exchange(near, 'x')
      latest = Date.now()
      await aWhile(50)
    }
    // A machine that does nothing for so long makes a silence, too.
    for (const silence of silences) assert.ok(silence >= 150, `${silence} ms after traffic`)
    near.setTimeout(0)
    assert.equal(near.timeout, undefined)
  })

  it('covers connecting when it is an option of connect', async () => {
    const listener = net.createServer(() => {})
    const client = dial(await listen(listener), { timeout: 50 })
    client.on('error', () => {})
    await once(client, 'timeout')
  })

  it('refuses what is no time', async () => {
    const { near } = await pair({})
    assert.throws(() => near.setTimeout('1' as unknown as number), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.throws(() => near.setTimeout(-1), { code: 'ERR_OUT_OF_RANGE' })
    assert.throws(() => near.setTimeout(1, 'text' as unknown as () => void), { code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('ends a handshake that takes too long, as an ERR_TLS_HANDSHAKE_TIMEOUT of the server', async () => {
    const { server, port } = await serve({ handshakeTimeout: 50 })
    const raw = afterTest(net.connect(port, '127.0.0.1'))
    const seen = new Promise((resolve) => {
      server.on('tlsClientError', (error: Error & { code?: string }, socket) =>
        resolve([error.code, socket.remotePort]),
      )
    })
    assert.deepEqual(await seen, ['ERR_TLS_HANDSHAKE_TIMEOUT', raw.localPort])
    raw.resume()
    await once(raw, 'close')
  })
})

describeInEachHome('a process with an open TLS connection', () => {
  it('can end when the socket is unreferenced', async () => {
    const { execFile } = await import('node:child_process')
    const { port } = await serve()
    const program = `
      import { connect } from 'openssl-session'
      const socket = connect(${JSON.stringify(atHome({ port, host: '127.0.0.1', rejectUnauthorized: false }))}, () => {
        console.log('connected')
        socket.unref()
      })`
    const output = await new Promise<string>((resolve, reject) => {
      const args = ['--input-type=module', '--eval', program]
      execFile(process.execPath, args, { timeout: 10_000 }, (error, stdout) =>
        error ? reject(error) : resolve(stdout),
      )
    })
    assert.equal(output, 'connected\n')
    await closeAll()
  })
})
