// Clients on the engine, compared with those of node:tls: how they connect, what they tell on the way, and how they fail.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { type AddressInfo, type LookupFunction } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { type ConnectionOptions, connect, createSecureContext, createServer, type Server } from 'openssl-session'
import { certs } from '../support/certs.js'
import { afterTest, closeAll, closed, exchange, inEachVersion, only, until } from '../support/tls.js'
import { killAll, Program } from './programs.js'

type Client = tls.TLSSocket

const dialers = {
  theirs: (options: object, listener?: () => void): Client => afterTest(tls.connect(options, listener)),
  ours: (options: object, listener?: () => void): Client =>
    afterTest(connect({ threads: 2, ...options }, listener)) as unknown as Client,
} as const

/** Runs a scenario with a client of node:tls and with ours. Returns what came of ours. */
async function alike<T>(
  scenario: (dial: (options: object, listener?: () => void) => Client) => Promise<T>,
): Promise<T> {
  const theirs = await scenario(dialers.theirs)
  const ours = await scenario(dialers.ours)
  assert.deepEqual(ours, theirs, 'as a client of node:tls')
  return ours
}

/** The properties of an error that programs look at. */
function shape(error: Error): object {
  const { name, message } = error
  return { ...error, name, message }
}

describe('Clients on the engine', () => {
  let folder: string
  let server: Server
  let port: number
  const trust = (): { ca: string; servername: string } => ({ ca: certs().root.cert, servername: 'localhost' })

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-clients-'))
    const { chain, key } = certs().server
    server = createServer({ cert: chain, key, threads: 2 }, (socket) => {
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    server.listen({ port: 0, host: '::' })
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })

  after(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    rmSync(folder, { recursive: true, force: true })
  })

  afterEach(async () => {
    killAll()
    await closeAll()
  })

  /** Which of these events come, in order. */
  function course(socket: Client): string[] {
    const events: string[] = []
    for (const name of ['lookup', 'connect', 'ready', 'secureConnect', 'end', 'close', 'error', 'timeout'])
      socket.on(name, () => events.push(name))
    return events
  }

  /** Addresses as a name server would give them, IPv6 first. */
  const lookup: LookupFunction = (_hostname, options, callback) => {
    const all = [
      { address: '100::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ]
    if (options.all) callback(null, all)
    else callback(null, '100::1', 6)
  }

  it('tell how they connect, in the order of node:tls', async () => {
    const events = await alike(async (dial) => {
      const socket = dial({ ...trust(), port, host: 'localhost' })
      const states = [socket.connecting, socket.readyState]
      const events = course(socket)
      await once(socket, 'secureConnect')
      states.push(socket.connecting, socket.readyState)
      assert.equal(await exchange(socket, 'hello'), 'hello')
      socket.end()
      await closed(socket)
      return [...states, ...events]
    })
    assert.ok(events.includes('lookup') && events.includes('ready'))
  })

  it('try the next address when the first is dead', async () => {
    const address = await alike(async (dial) => {
      const attempt = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 50, lookup }
      const socket = dial({ ...trust(), port, host: 'localhost', ...attempt })
      await once(socket, 'secureConnect')
      assert.equal(await exchange(socket, 'hello'), 'hello')
      const { remoteAddress, remoteFamily, remotePort } = socket
      assert.equal(remotePort, port)
      socket.end()
      await closed(socket)
      return { remoteAddress, remoteFamily }
    })
    assert.deepEqual(address, { remoteAddress: '127.0.0.1', remoteFamily: 'IPv4' })
  })

  it('fail as those of node:tls where nobody listens', async () => {
    const nobody = net.createServer().listen(0, '127.0.0.1')
    await once(nobody, 'listening')
    const { port: free } = nobody.address() as AddressInfo
    nobody.close()
    await once(nobody, 'close')
    const [error] = await alike(async (dial) => {
      const socket = dial({ ...trust(), port: free, host: '127.0.0.1' })
      const events = course(socket)
      const [error] = (await once(socket, 'error')) as [Error]
      await until(() => events.includes('close'))
      return [shape(error), events, socket.destroyed]
    })
    const { code, syscall, address } = error as NodeJS.ErrnoException & { address: string }
    assert.deepEqual({ code, syscall, address }, { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1' })
  })

  it('fail as those of node:tls on a path where nobody listens', async () => {
    const [error] = await alike(async (dial) => {
      const socket = dial({ ...trust(), path: join(folder, 'nobody.sock') })
      const [error] = (await once(socket, 'error')) as [Error]
      await closed(socket)
      return [shape(error)]
    })
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT')
  })

  it('fail as those of node:tls when the server hangs up during the handshake', async () => {
    const rude = net.createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    await once(rude, 'listening')
    const { port } = rude.address() as AddressInfo
    const [error] = await alike(async (dial) => {
      const socket = dial({ ...trust(), port, host: '127.0.0.1' })
      const events = course(socket)
      const [error] = (await once(socket, 'error')) as [Error]
      await until(() => events.includes('close'))
      return [shape(error), events]
    })
    rude.close()
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
  })

  it('connect to a path', async () => {
    const path = join(folder, 'there.sock')
    const { chain, key } = certs().server
    const there = createServer({ cert: chain, key, threads: 1 }, (socket) => socket.on('error', () => {}).pipe(socket))
    there.listen(path)
    await once(there, 'listening')
    await alike(async (dial) => {
      const socket = dial({ ...trust(), path })
      await once(socket, 'secureConnect')
      const answer = await exchange(socket, 'hello')
      const { remoteAddress, remotePort } = socket
      socket.end()
      await closed(socket)
      return [answer, remoteAddress, remotePort]
    })
    there.close()
    await once(there, 'close')
  })

  it('are destroyed by a signal, before and after they are connected', async () => {
    const outcomes = await alike(async (dial) => {
      const outcomes: unknown[] = []
      for (const moment of ['connect', 'secureConnect']) {
        const controller = new AbortController()
        const socket = dial({ ...trust(), port, host: '127.0.0.1', signal: controller.signal })
        const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
        await Promise.race([once(socket, moment), failed])
        controller.abort()
        const [{ name, code }] = await failed
        await closed(socket)
        outcomes.push([name, code, socket.destroyed])
      }
      return outcomes
    })
    assert.deepEqual(outcomes, [
      ['AbortError', 'ABORT_ERR', true],
      ['AbortError', 'ABORT_ERR', true],
    ])
  })

  it('time out during the handshake and after it', async () => {
    const silent = net.createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const events = await alike(async (dial) => {
      const inHandshake = dial({
        ...trust(),
        port: (silent.address() as AddressInfo).port,
        host: '127.0.0.1',
        timeout: 60,
      })
      await once(inHandshake, 'timeout')
      const after = [inHandshake.destroyed]
      inHandshake.destroy()
      await closed(inHandshake)
      const idle = dial({ ...trust(), port, host: '127.0.0.1', timeout: 60 })
      await once(idle, 'secureConnect')
      await once(idle, 'timeout')
      after.push(idle.destroyed)
      idle.setTimeout(0)
      assert.equal(await exchange(idle, 'hello'), 'hello')
      idle.end()
      await closed(idle)
      return after
    })
    silent.close()
    assert.deepEqual(events, [false, false])
  })

  it('wait with what was written before they were connected', async () => {
    await alike(async (dial) => {
      const socket = dial({ ...trust(), port, host: 'localhost' })
      const answer = await exchange(socket, 'early bird')
      const { bytesWritten, bytesRead } = socket
      socket.end()
      await closed(socket)
      return [answer, bytesWritten > 0, bytesRead > 0]
    })
  })

  inEachVersion((version) => {
    it('tell of sessions by the event and by the callback of their context, and resume them', async () => {
      const told: Buffer[] = []
      const secureContext = createSecureContext({
        ca: certs().root.cert,
        ...only(version),
        newSessionCallback: (_socket, session) => {
          told.push(session.toDER())
          session.free()
        },
      })
      const options: ConnectionOptions = { port, host: '127.0.0.1', servername: 'localhost', secureContext, threads: 2 }
      const socket = afterTest(connect(options))
      const [session] = (await once(socket, 'session')) as [Buffer]
      await until(() => told.length >= (version === 'TLSv1.2' ? 1 : 2))
      assert.ok(told.some((bytes) => bytes.equals(session)))
      socket.resume().end()
      await closed(socket)
      const again = afterTest(connect({ ...options, session }))
      await once(again, 'secureConnect')
      assert.equal(again.isSessionReused(), true)
      again.resume().end()
      await closed(again)
      secureContext.free()
    })
  })

  for (const kind of ['ours', 'theirs'] as const) {
    const whose = kind === 'ours' ? '' : ', as with node:tls'
    it(`do not keep a program alive after unref()${whose}`, async () => {
      const program = new Program('client', { kind, port, state: 'unref' })
      assert.equal(await program.says(), 'ready')
      program.leave()
      assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
    })

    it(`do not keep a program alive after unref() before they are connected${whose}`, async () => {
      const program = new Program('client', { kind, port, state: 'unref at once' })
      // It may end before it is connected.
      program.leave()
      assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
    })

    it(`keep a program alive until they end${whose}`, async () => {
      const program = new Program('client', { kind, port, state: 'ref' })
      assert.equal(await program.says(), 'ready')
      assert.equal(await program.ask('how are you?'), 'alive')
      program.tell('end')
      // It waits for the end of the connection and says so.
      assert.equal(await program.says(), 'closed')
      program.leave()
      assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
    })
  }
})
