// Listening: every way that net.Server has, on the engine's threads. Each scenario runs with a server of node:tls, then with
// one of ours, and must come to the same.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo, type ListenOptions } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { createServer, type Server } from 'openssl-session'
import { engine } from '#engine'
import { certs } from '../support/certs.js'
import { closeAll, closed, exchange, trusting } from '../support/tls.js'
import type { Attempt } from './programs/few_descriptors.js'
import { killAll, Program } from './programs.js'

type AnyServer = net.Server & { maxConnections: number }
type Scenario<T> = (server: AnyServer) => T | Promise<T>

const makers = {
  theirs: () => {
    const { chain, key } = certs().server
    return tls.createServer({ cert: chain, key }, (socket) => socket.on('error', () => {}).pipe(socket))
  },
  ours: () => ourServer(),
} as const

function ourServer(): Server {
  const { chain, key } = certs().server
  return createServer({ cert: chain, key, threads: 2 }, (socket) => socket.on('error', () => {}).pipe(socket))
}

const started = new Set<net.Server>()

function make(maker: () => net.Server): AnyServer {
  const server = maker()
  started.add(server)
  server.on('connection', (socket: net.Socket) => socket.on('error', () => {}))
  return server as AnyServer
}

async function end(server: net.Server): Promise<void> {
  started.delete(server)
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

/** Runs a scenario with node:tls's server and with ours. Returns what came of ours. */
async function alike<T>(scenario: Scenario<T>): Promise<T> {
  const theirs = await scenario(make(makers.theirs))
  const ours = await scenario(make(makers.ours))
  assert.deepEqual(ours, theirs, 'as a server of node:tls')
  return ours
}

async function listening(server: net.Server, ...args: unknown[]): Promise<AddressInfo> {
  ;(server.listen as (...args: unknown[]) => unknown)(...args)
  await once(server, 'listening')
  return server.address() as AddressInfo
}

/** Says something over TLS and returns what comes back. */
async function speaks(to: tls.ConnectionOptions): Promise<string> {
  const { port: _port, host: _host, ...trust } = trusting(0)
  const socket = tls.connect({ ...trust, ...to })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  const answer = await exchange(socket, 'hello')
  socket.resume().end()
  await closed(socket)
  return answer
}

/** The properties of an error that programs look at. */
function shape(error: Error, ...alsoWithout: string[]): object {
  const { name, message } = error
  const properties = Object.fromEntries(Object.entries(error).filter(([key]) => !alsoWithout.includes(key)))
  return { name, message, ...properties }
}

function thrown(call: () => unknown): object {
  try {
    call()
  } catch (error) {
    return shape(error as Error)
  }
  return { nothing: 'thrown' }
}

async function refusal(to: net.NetConnectOpts): Promise<string | undefined> {
  const socket = net.connect(to)
  try {
    await once(socket, 'connect')
    return 'connected'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  } finally {
    socket.destroy()
  }
}

/** Listens on a port of 127.0.0.1 that nobody else can have meanwhile, and says something else than an echo. */
async function listenOnIPv4(): Promise<net.Server> {
  const server = net.createServer((socket) => socket.end('IPv4'))
  started.add(server)
  await listening(server, { port: 0, host: '127.0.0.1' })
  return server
}

describe('Listening on the engine', () => {
  let folder: string
  let taken: net.Server
  let takenPort: number

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-listen-'))
    taken = net.createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    takenPort = (taken.address() as AddressInfo).port
  })

  after(() => {
    taken.close()
    rmSync(folder, { recursive: true, force: true })
  })

  afterEach(async () => {
    killAll()
    await Promise.all([...started].filter((server) => server.listening).map(end))
    started.clear()
    await closeAll()
  })

  describe('on a port', () => {
    const ways: [string, unknown[]][] = [
      ['a port and a host', [0, '127.0.0.1']],
      ['a port, a host and a backlog', [0, '127.0.0.1', 5]],
      ['options', [{ port: 0, host: '127.0.0.1', backlog: 5, exclusive: true }]],
      ['an IPv6 address', [{ port: 0, host: '::1' }]],
      ['an IPv6 address only', [{ port: 0, host: '::1', ipv6Only: true }]],
      ['a name', [{ port: 0, host: 'localhost' }]],
      ['nothing', []],
      ['nothing but a backlog', [{ port: 0, backlog: 1 }]],
      ['a port that is a text', ['0', '127.0.0.1']],
    ]
    for (const [title, args] of ways) {
      it(`tells the same address and serves: ${title}`, async () => {
        const { family, address } = await alike(async (server) => {
          const { port, ...rest } = await listening(server, ...args)
          assert.ok(port > 0)
          const host = rest.family === 'IPv6' ? '::1' : '127.0.0.1'
          assert.equal(await speaks({ port, host }), 'hello')
          await end(server)
          assert.equal(server.address(), null)
          return rest
        })
        assert.ok(net.isIP(address))
        assert.ok(['IPv4', 'IPv6'].includes(family))
      })
    }

    it('hears both families unless told otherwise', async () => {
      await alike(async (server) => {
        const { port } = await listening(server, { port: 0, host: '::' })
        const answers = [await speaks({ port, host: '::1' }), await speaks({ port, host: '127.0.0.1' })]
        assert.deepEqual(answers, ['hello', 'hello'])
        await end(server)
        return answers
      })
      await alike(async (server) => {
        // With the port of another that has it in IPv4.
        const other = await listenOnIPv4()
        const { port } = await listening(server, { ...(other.address() as AddressInfo), host: '::', ipv6Only: true })
        const answers = [await speaks({ port, host: '::1' }), await text(net.connect({ port, host: '127.0.0.1' }))]
        assert.deepEqual(answers, ['hello', 'IPv4'])
        await Promise.all([end(server), end(other)])
        return answers
      })
    })

    it('knows its clients by the same addresses, whichever family they come by', async () => {
      for (const host of ['::1', '127.0.0.1']) {
        await alike(async (server) => {
          const { port } = await listening(server, { port: 0, host: '::' })
          const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
          const client = tls.connect(trusting(port, { host }))
          await once(client, 'secureConnect')
          const [socket] = await accepted
          assert.equal(socket.remotePort, client.localPort)
          assert.equal(socket.localPort, port)
          const { remoteAddress, remoteFamily, localAddress, localFamily } = socket
          client.destroy()
          await end(server)
          return { remoteAddress, remoteFamily, localAddress, localFamily }
        })
      }
    })

    it('keeps as many clients waiting as the backlog says', async () => {
      await alike(async (server) => {
        const { port } = await listening(server, { port: 0, host: '127.0.0.1', backlog: 7 })
        const table = execFileSync('ss', ['-Hltn', `sport = :${port}`], { encoding: 'utf8' })
        await end(server)
        return table.trim().split(/\s+/)[2]
      })
    })
  })

  describe('on a Unix socket', () => {
    it('serves on a path, which is gone after the end', async () => {
      const path = join(folder, 'plain.sock')
      await alike(async (server) => {
        await listening(server, path)
        assert.equal(server.address(), path)
        assert.equal(await speaks({ path }), 'hello')
        const { mode } = statSync(path)
        await end(server)
        return { mode, left: existsSync(path) }
      })
      assert.equal(existsSync(path), false)
    })

    for (const access of [{ readableAll: true }, { writableAll: true }, { readableAll: true, writableAll: true }]) {
      it(`opens it to everybody: ${Object.keys(access).join(', ')}`, async () => {
        const path = join(folder, 'open.sock')
        const mode = await alike(async (server) => {
          const before = process.umask(0o077)
          await listening(server, { path, ...access })
          process.umask(before)
          const { mode } = statSync(path)
          assert.equal(await speaks({ path }), 'hello')
          await end(server)
          // What is left to the owner differs between versions of Node.js.
          return mode & 0o077
        })
        assert.equal((mode & 0o044) === 0o044, 'readableAll' in access)
        assert.equal((mode & 0o022) === 0o022, 'writableAll' in access)
      })
    }

    it('serves under an abstract name, which leaves no file', async () => {
      const name = `\0openssl-session-${randomUUID()}`
      const address = await alike(async (server) => {
        await listening(server, { path: name })
        const table = execFileSync('ss', ['-Hlxn'], { encoding: 'utf8' })
        assert.ok(table.includes(`@${name.slice(1)}`))
        assert.equal(await speaks({ path: name }), 'hello')
        const address = server.address()
        await end(server)
        return address
      })
      assert.equal(String(address), name)
    })
  })

  describe('on what somebody else has opened', () => {
    type WithHandle = net.Server & { _handle: { fd: number } }

    it('serves on a descriptor', async () => {
      await alike(async (server) => {
        // As from a parent process: nobody else in this one knows it.
        const fd = engine.bindTcp('127.0.0.1', 0, 0, 0)
        const port = engine.descriptorAddress(fd)?.port ?? assert.fail('no port')
        // Given away: the server closes it.
        await listening(server, { fd })
        const answer = await speaks({ port, host: '127.0.0.1' })
        const { port: own, ...rest } = server.address() as AddressInfo
        assert.equal(own, port)
        await end(server)
        assert.equal(engine.descriptorAddress(fd), null)
        return { answer, ...rest }
      })
    })

    it('serves on a handle of net', async () => {
      await alike(async (server) => {
        const opener = net.createServer()
        const { port } = await listening(opener, 0, '127.0.0.1')
        await listening(server, (opener as WithHandle)._handle)
        // Whichever of those who listen now is quicker, all of them are the server's.
        const answer = await Promise.all(Array.from({ length: 20 }, () => speaks({ port, host: '127.0.0.1' })))
        const { port: own, ...rest } = server.address() as AddressInfo
        assert.equal(own, port)
        await end(server)
        return { answer, ...rest }
      })
    })

    it('serves on what a server of net listens on', async () => {
      await alike(async (server) => {
        const opener = net.createServer()
        const { port } = await listening(opener, 0, '127.0.0.1')
        await listening(server, opener)
        const answer = await speaks({ port, host: '127.0.0.1' })
        await end(server)
        return answer
      })
    })
  })

  describe('that fails', () => {
    /** What happens after listen(), in order. */
    async function course(server: net.Server, ...args: unknown[]): Promise<unknown[]> {
      const events: unknown[] = []
      for (const name of ['listening', 'close'] as const) server.on(name, () => events.push(name))
      const failed = new Promise<void>((resolve) => {
        server.on('error', (error) => {
          events.push(shape(error))
          resolve()
        })
      })
      ;(server.listen as (...args: unknown[]) => unknown)(...args)
      events.push('returned', server.listening)
      await failed
      await new Promise(setImmediate)
      events.push(server.listening, server.address())
      return events
    }

    const failures: [string, string, () => unknown[]][] = [
      ['a port that is taken', 'EADDRINUSE', () => [{ port: takenPort, host: '127.0.0.1' }]],
      ['a port that is taken on every address', 'EADDRINUSE', () => [{ port: takenPort }]],
      ['an address of another machine', 'EADDRNOTAVAIL', () => [{ port: 0, host: '192.0.2.1' }]],
      ['a path that is taken', 'EADDRINUSE', () => [join(folder, 'taken.sock')]],
      ['a path in no folder', 'EACCES', () => [join(folder, 'nowhere', 'x.sock')]],
      ['a descriptor that is none', 'EINVAL', () => [{ fd: 1_000_000 }]],
      ['a descriptor of a file', 'EINVAL', () => [{ fd: openSync(join(folder, 'taken.sock'), 'r') }]],
    ]
    before(() => writeFileSync(join(folder, 'taken.sock'), 'no socket'))
    for (const [title, code, args] of failures) {
      it(`says so as net does: ${title}`, async () => {
        const events = await alike((server) => course(server, ...args()))
        assert.equal((events[2] as NodeJS.ErrnoException).code, code)
      })
    }

    it('says so where net would listen elsewhere: a path that is too long', async () => {
      const events = await course(make(makers.ours), join(folder, 'x'.repeat(200)))
      assert.equal((events[2] as NodeJS.ErrnoException).code, 'ENAMETOOLONG')
    })

    it('says so as net does: a name that is none', async () => {
      const [, , error] = await alike((server) => course(server, { port: 0, host: 'nowhere.invalid' }))
      const { code, syscall } = error as NodeJS.ErrnoException
      // Where there is no network, nobody knows.
      assert.match(String(code), /^(ENOTFOUND|EAI_AGAIN)$/)
      assert.equal(syscall, 'getaddrinfo')
    })

    it('says so as net does: a folder without rights', async () => {
      const outcome = async (kind: string): Promise<unknown> => {
        const program = new Program('without_rights', { kind, folder })
        const result = await program.says<object>()
        program.leave()
        assert.equal((await program.ended).code, 0)
        return result
      }
      const ours = await outcome('ours')
      assert.deepEqual(ours, await outcome('theirs'))
      assert.deepEqual(
        (ours as { code: string }[]).map(({ code }) => code),
        ['EACCES', 'EACCES'],
      )
    })

    it('leaves a server that can listen elsewhere', async () => {
      await alike(async (server) => {
        await course(server, { port: takenPort, host: '127.0.0.1' })
        const { port } = await listening(server, 0, '127.0.0.1')
        const answer = await speaks({ port, host: '127.0.0.1' })
        await end(server)
        return answer
      })
    })

    const invalid: [string, unknown[]][] = [
      ['no options', [{}]],
      ['a negative port', [{ port: -1 }]],
      ['a port that is too large', [65536]],
      ['a port that is no number', [{ port: 'x' }]],
      ['a truth value', [true]],
      ['a path that is no text', [{ path: 1 }]],
      ['a signal that is none', [{ port: 0, signal: 'INT' }]],
    ]
    for (const [title, args] of invalid) {
      it(`throws what net throws: ${title}`, async () => {
        const error = await alike((server) => thrown(() => server.listen(...(args as [ListenOptions]))))
        assert.match((error as NodeJS.ErrnoException).code ?? '', /^ERR_/)
      })
    }

    it('throws what net throws when it listens already', async () => {
      const error = await alike(async (server) => {
        await listening(server, 0, '127.0.0.1')
        const error = thrown(() => server.listen(0))
        await end(server)
        return error
      })
      assert.equal((error as NodeJS.ErrnoException).code, 'ERR_SERVER_ALREADY_LISTEN')
    })
  })

  describe('ends', () => {
    it('when a signal says so, before or after it has begun', async () => {
      await alike(async (server) => {
        const controller = new AbortController()
        await listening(server, { port: 0, host: '127.0.0.1', signal: controller.signal })
        controller.abort()
        const during = server.listening
        await once(server, 'close')
        return [during, server.listening]
      })
      await alike(async (server) => {
        server.listen({ port: 0, host: '127.0.0.1', signal: AbortSignal.abort() })
        await once(server, 'close')
        return server.listening
      })
    })

    it('after the last connection, with its callback and event in order', async () => {
      const events = await alike(async (server) => {
        const events: unknown[] = []
        const { port } = await listening(server, 0, '127.0.0.1')
        const socket = tls.connect(trusting(port))
        await once(socket, 'secureConnect')
        server.on('close', () => events.push('close'))
        const done = new Promise<void>((resolve) => {
          server.close((error) => {
            events.push(['callback', error])
            resolve()
          })
        })
        started.delete(server)
        events.push(server.listening, server.address(), await refusal({ port, host: '127.0.0.1' }))
        events.push(await exchange(socket, 'still here'))
        socket.resume().end()
        await closed(socket)
        await done
        return events
      })
      assert.deepEqual(events, [false, null, 'ECONNREFUSED', 'still here', 'close', ['callback', undefined]])
    })

    it('once', async () => {
      const results = await alike(async (server) => {
        const errors: (object | undefined)[] = []
        const close = (): Promise<void> =>
          new Promise((resolve) => {
            server.close((error) => {
              errors.push(error && shape(error))
              resolve()
            })
          })
        await close()
        await listening(server, 0, '127.0.0.1')
        const both = [close(), close()]
        await Promise.all(both)
        await close()
        return errors
      })
      assert.deepEqual(
        results.map((error) => (error as NodeJS.ErrnoException | undefined)?.code),
        ['ERR_SERVER_NOT_RUNNING', undefined, 'ERR_SERVER_NOT_RUNNING', 'ERR_SERVER_NOT_RUNNING'],
      )
    })

    it('and begins again, on another port', async () => {
      await alike(async (server) => {
        const answers: string[] = []
        for (let round = 0; round < 5; round++) {
          const { port } = await listening(server, 0, '127.0.0.1')
          answers.push(await speaks({ port, host: '127.0.0.1' }))
          await end(server)
        }
        return answers
      })
    })

    it('by asyncDispose', async () => {
      await alike(async (server) => {
        await listening(server, 0, '127.0.0.1')
        await server[Symbol.asyncDispose]()
        const again = await server[Symbol.asyncDispose]()
        return [server.listening, again]
      })
    })

    it('at once with closeAllConnections, which ends handshakes and look-ups too', async () => {
      const server = make(makers.ours) as unknown as Server
      let asked = (): void => {}
      const lookup = new Promise<void>((resolve) => {
        asked = resolve
      })
      const { port } = await listening(server, 0, '127.0.0.1')
      const first = tls.connect(trusting(port, { maxVersion: 'TLSv1.2' as const }))
      // From now on sessions are not in tickets, and nobody answers for them.
      server.on('resumeSession', () => asked())
      await once(first, 'secureConnect')
      const session = first.getSession()
      assert.ok(session)
      const silent = net.connect(port, '127.0.0.1')
      await once(silent, 'connect')
      const partial = net.connect(port, '127.0.0.1', () => partial.write(Buffer.from([22, 3, 1])))
      await once(partial, 'connect')
      const second = tls.connect(trusting(port, { maxVersion: 'TLSv1.2' as const }))
      await once(second, 'secureConnect')
      const asking = tls.connect(
        trusting(port, { maxVersion: 'TLSv1.2' as const, session: second.getSession() as Buffer }),
      )
      await lookup
      const sockets = [first, silent, partial, second, asking]
      const ends = sockets.map((socket) => closed(socket.resume()))
      while ((await connections(server)) < sockets.length) await new Promise(setImmediate)
      const ended = end(server)
      server.closeAllConnections()
      await Promise.all([ended, ...ends])
      assert.equal(await connections(server), 0)
    })
  })

  describe('counts', () => {
    it('its connections', async () => {
      const counts = await alike(async (server) => {
        const counts = [await connections(server)]
        const { port } = await listening(server, 0, '127.0.0.1')
        const sockets: tls.TLSSocket[] = []
        for (let i = 0; i < 3; i++) {
          const accepted = once(server, 'secureConnection')
          const socket = tls.connect(trusting(port))
          await Promise.all([once(socket, 'secureConnect'), accepted])
          sockets.push(socket)
          counts.push(await connections(server))
        }
        for (const socket of sockets) socket.resume().end()
        await Promise.all(sockets.map(closed))
        await end(server)
        counts.push(await connections(server))
        return counts
      })
      assert.deepEqual(counts, [0, 1, 2, 3, 0])
    })

    it('no more than maxConnections, and tells whom it has dropped', async () => {
      const drop = await alike(async (server) => {
        server.maxConnections = 2
        const { port } = await listening(server, 0, '127.0.0.1')
        const open: tls.TLSSocket[] = []
        for (let i = 0; i < 2; i++) {
          const accepted = once(server, 'secureConnection')
          const socket = tls.connect(trusting(port))
          await Promise.all([once(socket, 'secureConnect'), accepted])
          open.push(socket)
        }
        const dropped = once(server, 'drop') as Promise<[net.DropArgument]>
        const third = net.connect(port, '127.0.0.1').resume()
        await once(third, 'connect')
        const from = third.localPort
        const [data] = await dropped
        await closed(third)
        const { localPort, remotePort, ...rest } = data
        assert.deepEqual({ localPort, remotePort }, { localPort: port, remotePort: from })
        const [first] = open
        first?.resume().end()
        await closed(first as tls.TLSSocket)
        while ((await connections(server)) > 1) await new Promise(setImmediate)
        assert.equal(await speaks({ port, host: '127.0.0.1' }), 'hello')
        // Raised while it listens.
        server.maxConnections = 100
        const more = await Promise.all(Array.from({ length: 10 }, () => speaks({ port, host: '127.0.0.1' })))
        assert.deepEqual(more, Array(10).fill('hello'))
        open[1]?.destroy()
        await end(server)
        return rest
      })
      assert.deepEqual(drop, {
        localAddress: '127.0.0.1',
        localFamily: 'IPv4',
        remoteAddress: '127.0.0.1',
        remoteFamily: 'IPv4',
      })
    })
  })

  describe('in a program', () => {
    for (const kind of ['ours', 'theirs'] as const) {
      const whose = kind === 'ours' ? '' : ', as with node:tls'
      for (const state of ['unref', 'unref before', 'closed', 'not listening', 'one connection, unref'] as const) {
        it(`does not keep it alive: ${state}${whose}`, async () => {
          const program = new Program('idle', { kind, state })
          assert.equal(await program.says(), 'ready')
          const begin = Date.now()
          program.leave()
          assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
          assert.ok(Date.now() - begin < 5000, `took ${Date.now() - begin} ms`)
        })
      }

      it(`keeps it alive until it is closed${whose}`, async () => {
        const program = new Program('idle', { kind, state: 'ref' })
        assert.equal(await program.says(), 'ready')
        // A full turn with an answer later it is still there.
        assert.equal(await program.ask('how are you?'), 'alive')
        program.tell('close')
        program.leave()
        assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
      })
    }

    it('pauses when descriptors run out, says so, and goes on when there are some again', async () => {
      const program = new Program('no_descriptors', { clients: 100 }, { descriptors: 70 })
      const port = Number(await program.says())
      const sockets = Array.from({ length: 100 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      assert.deepEqual(await program.says<object>(), { code: 'EMFILE', syscall: 'accept' })
      for (const socket of sockets) socket.destroy()
      assert.equal(await speaks({ port, host: '127.0.0.1' }), 'hello')
      program.tell('close')
      const { open, errors } = await program.says<{ open: number; errors: number }>()
      assert.equal(open, 0)
      // Paused and not hammering: a few times a second at most.
      assert.ok(errors >= 1 && errors < 100, `${errors} errors`)
      program.leave()
      assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
    })

    it('fails with an error event when there are no descriptors to begin with, and leaves none behind', async () => {
      const program = new Program('few_descriptors', {}, { descriptors: 90 })
      const { attempts, after } = await program.says<{ attempts: Attempt[]; after: string }>()
      assert.ok(attempts.length > 3, JSON.stringify(attempts))
      for (const [index, { outcome, left }] of attempts.entries()) {
        assert.equal(outcome, 'EMFILE')
        // libuv forgets one of a loop that it cannot set up.
        assert.ok(left <= index + 1, JSON.stringify(attempts))
      }
      assert.equal(after, 'listening')
      program.leave()
      assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
    })

    it('warns when descriptors run out and nobody listens for that', async () => {
      const program = new Program('no_descriptors', { clients: 100, silent: true }, { descriptors: 70 })
      const port = Number(await program.says())
      const sockets = Array.from({ length: 100 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      assert.deepEqual(await program.says<object>(), { code: 'EMFILE', syscall: 'accept' })
      for (const socket of sockets) socket.destroy()
      assert.equal(await speaks({ port, host: '127.0.0.1' }), 'hello')
      program.tell('close')
      await program.says<object>()
      program.leave()
      const { code, stderr } = await program.ended
      assert.equal(code, 0)
      assert.match(stderr, /accept EMFILE/)
    })
  })
})

function connections(server: net.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })
}
