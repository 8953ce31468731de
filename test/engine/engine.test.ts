// The engine at the level of its own functions: threads, listeners and connections, against clients of node:tls.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import type tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName, promisify } from 'node:util'
import * as libssl from 'openssl-session/libssl'
import { engine } from '#engine'
import { credentials, readCredential } from '../support/credentials.js'
import { Rig } from './rig.js'

const protocols: tls.SecureVersion[] = ['TLSv1.2', 'TLSv1.3']
const only = (protocol: tls.SecureVersion): tls.ConnectionOptions => ({ minVersion: protocol, maxVersion: protocol })
const alone = process.env.OPENSSL_SESSION_ASYNC === '0'

/** Resolves when the socket has closed, for whatever reason. */
const closed = (socket: net.Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })

/** A cache in a Map behind the callbacks, whose answers take `delay` ms. */
function cacheIn(ctx: libssl.SSL_CTX, delay: number): Map<string, Buffer> {
  const cache = new Map<string, Buffer>()
  libssl.SSL_CTX_sess_set_new_cb(ctx, (_ssl, session) => {
    const der = libssl.i2d_SSL_SESSION(session)
    if (der) cache.set(libssl.SSL_SESSION_get_id(session).toString('hex'), der)
  })
  libssl.SSL_CTX_sess_set_get_cb(ctx, async (_ssl, id, copy) => {
    await setTimeout(delay)
    const der = cache.get(id.toString('hex'))
    copy.value = 0
    return der ? libssl.d2i_SSL_SESSION(der) : null
  })
  return cache
}

async function sessionOf(rig: Rig, protocol: tls.SecureVersion): Promise<Buffer> {
  const socket = rig.connect(only(protocol))
  const [session] = (await once(socket, 'session')) as [Buffer]
  // node:tls breaks its own connection when it writes inside that event (TLS 1.3).
  await setImmediate()
  socket.end('x')
  socket.resume()
  await once(socket, 'close')
  return session
}

async function resumes(rig: Rig, protocol: tls.SecureVersion, session: Buffer): Promise<boolean> {
  const socket = await rig.connected({ ...only(protocol), session })
  const reused = socket.isSessionReused()
  socket.end()
  socket.resume()
  await once(socket, 'close')
  return reused
}

describe('The engine', () => {
  let rig: Rig
  let before: libssl.LeakReport['live']

  beforeEach(() => {
    before = libssl.leaks().live
    rig = new Rig()
  })

  /** What there is more of than before; of other tests' forgotten objects there may be less meanwhile. */
  function left(): [string, number][] {
    const { live } = libssl.leaks()
    return Object.entries(live).filter(([name, count]) => count > before[name as keyof typeof before])
  }

  afterEach(async () => {
    rig.stop()
    // Events that are on their way keep their context alive until they are delivered.
    const limit = Date.now() + 1000
    while (left().length > 0 && Date.now() < limit) await setImmediate()
    assert.deepEqual(left(), [], 'something of OpenSSL is left')
  })

  for (const protocol of protocols) {
    it(`does handshakes and carries bytes both ways in ${protocol}`, async () => {
      rig.echo().listen()
      const bytes = randomBytes(3_000_000)
      const socket = await rig.connected(only(protocol))
      assert.equal(socket.getProtocol(), protocol)
      const received: Buffer[] = []
      socket.on('data', (chunk: Buffer) => received.push(chunk))
      socket.end(bytes)
      await once(socket, 'close')
      assert.ok(Buffer.concat(received).equals(bytes))
    })

    it(`resumes from a cache whose answers take their time, in ${protocol}`, async () => {
      cacheIn(rig.ctx, 20)
      rig.echo().listen({ lookupTimeout: 5000 })
      const session = await sessionOf(rig, protocol)
      assert.equal(await resumes(rig, protocol, session), true)
    })

    it(`counts a lookup that is not answered in time as a miss, in ${protocol}`, async () => {
      rig.echo().listen({ lookupTimeout: 50 })
      const cache = cacheIn(rig.ctx, 0)
      const session = await sessionOf(rig, protocol)
      assert.ok(cache.size > 0)
      libssl.SSL_CTX_sess_set_get_cb(rig.ctx, () => new Promise(() => {}))
      assert.equal(await resumes(rig, protocol, session), false)
    })
  }

  it('lets JavaScript ask an SSL but not drive it, and its handle dies with the connection', async () => {
    rig.echo().listen()
    const established = once(rig, 'established')
    const socket = await rig.connected()
    const [connection] = (await established) as [number]
    const ssl = engine.ssl(connection) ?? assert.fail('no handle')
    assert.equal(libssl.SSL_get_version(ssl), 'TLSv1.3')
    assert.equal(engine.ssl(connection), ssl)
    assert.equal(engine.remoteAddress(connection)?.port, socket.localPort)
    const driving = [libssl.SSL_do_handshake, libssl.SSL_shutdown, libssl.SSL_clear, libssl.SSL_set_accept_state]
    for (const drive of driving) assert.throws(() => drive(ssl), { code: 'ERR_ENGINE_OWNED' })
    assert.throws(() => libssl.SSL_read(ssl, Buffer.alloc(1)), { code: 'ERR_ENGINE_OWNED' })
    assert.throws(() => libssl.SSL_free(ssl), { code: 'ERR_NOT_OWNED' })
    socket.end()
    await once(rig, 'closed')
    assert.throws(() => libssl.SSL_get_version(ssl), { code: 'ERR_HANDLE_FREED' })
    assert.equal(engine.ssl(connection), null)
  })

  it('fails what is no TLS with the reason on the error queue, and goes on', async () => {
    rig.echo().listen()
    const reason = new Promise((resolve) => {
      rig.prependOnceListener('failed', () => resolve(libssl.ERR_error_string(libssl.ERR_get_error())))
    })
    const socket = net.connect(rig.port, '127.0.0.1', () => socket.write('this is no TLS at all\r\n'))
    socket.on('error', () => {}).resume()
    await closed(socket)
    assert.match(String(await reason), /wrong version number|unknown protocol/)
    ;(await rig.connected()).destroy()
    await once(rig, 'closed')
  })

  it('gives up on a client that does not begin', async () => {
    rig.echo().listen({ handshakeTimeout: 50 })
    const failed = once(rig, 'failed')
    const socket = net.connect(rig.port, '127.0.0.1')
    socket.on('error', () => {}).resume()
    const [, timedOut] = (await failed) as [number, boolean]
    assert.equal(timedOut, true)
    await closed(socket)
  })

  it('closes what is open and unwinds what waits when it stops', async () => {
    rig.echo().listen({ lookupTimeout: 60_000 })
    cacheIn(rig.ctx, 0)
    const session = await sessionOf(rig, 'TLSv1.2')
    const open = await rig.connected()
    const asked = new Promise<void>((resolve) => {
      libssl.SSL_CTX_sess_set_get_cb(rig.ctx, () => {
        resolve()
        return new Promise(() => {})
      })
    })
    const waiting = rig.connect({ ...only('TLSv1.2'), session })
    waiting.on('error', () => {})
    open.on('error', () => {})
    await asked
    const gone = [closed(open), closed(waiting)]
    engine.stop()
    open.resume()
    await Promise.all(gone)
  })

  it('listens on a Unix socket, and on a descriptor that somebody else has bound', async () => {
    const path = join(credentials().folder, 'engine.sock')
    rig.echo().listen({}, engine.bindPath(path))
    ;(await rig.connected({ path })).destroy()
    await once(rig, 'closed')
    assert.equal(getSystemErrorName(engine.bindPath(path)), 'EADDRINUSE')
    assert.equal(getSystemErrorName(engine.bindPath('x'.repeat(200))), 'ENAMETOOLONG')
    await rig.closeListener()

    const bound = engine.bindTcp('::1', 0, 1, 1)
    const port = engine.descriptorAddress(bound)?.port ?? assert.fail('no port')
    const taken = engine.takeDescriptor(bound)
    engine.closeDescriptor(bound)
    rig.listen({}, taken)
    const established = once(rig, 'established')
    const socket = await rig.connected({ host: '::1', port })
    const [connection] = (await established) as [number]
    assert.deepEqual(engine.localAddress(connection), { address: '::1', family: 'IPv6', port })
    assert.equal(engine.setNoDelay(connection, 1), 0)
    assert.equal(engine.setKeepAlive(connection, 1, 60), 0)
    socket.destroy()
    await once(rig, 'closed')
    assert.equal(getSystemErrorName(engine.setNoDelay(connection, 1)), 'EBADF')
    assert.equal(getSystemErrorName(engine.takeDescriptor(1_000_000)), 'EBADF')
  })

  it('treats connections as its settings say, and takes another context for those to come', async () => {
    rig.echo().listen({ verifyMode: libssl.SSL_VERIFY_PEER, options: libssl.SSL_OP_NO_TLSv1_3, noDelay: 1 })
    const established = once(rig, 'established')
    const first = await rig.connected({ cert: readCredential('certFile'), key: readCredential('keyFile') })
    const ssl = engine.ssl(((await established) as [number])[0]) ?? assert.fail('no handle')
    assert.equal(first.getProtocol(), 'TLSv1.2')
    // Judged by nobody but recorded: the certificate is signed by itself.
    assert.equal(libssl.SSL_get_verify_result(ssl), libssl.X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
    const other = libssl.SSL_CTX_new(libssl.TLS_server_method()) ?? assert.fail('no context')
    rig.useContext(other)
    const refused = rig.connect()
    refused.on('error', () => {})
    const [failed] = await Promise.all([once(rig, 'failed'), closed(refused)])
    assert.equal(failed[1], false)
    first.write('still here')
    const [answer] = (await once(first, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'still here')
    first.destroy()
    await once(rig, 'closed')
    await rig.closeListener()
    libssl.SSL_CTX_free(other)
  })

  it('serves many clients at once, some of which leave in the middle', async () => {
    cacheIn(rig.ctx, 1)
    rig.echo().listen({ lookupTimeout: 5000 })
    const one = async (index: number): Promise<boolean> => {
      const socket = rig.connect(only(protocols[index % 2] as tls.SecureVersion))
      socket.on('error', () => {})
      if (index % 5 === 0) {
        await once(socket, 'connect')
        socket.destroy()
        return true
      }
      await once(socket, 'secureConnect')
      socket.write(`client ${index}`)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      socket.end()
      await once(socket, 'close')
      return answer.toString() === `client ${index}`
    }
    const results = await Promise.all(Array.from({ length: 200 }, (_, index) => one(index)))
    assert.deepEqual(results, new Array(200).fill(true))
    await rig.closeListener()
  })

  if (!alone) {
    it('does all of this without async jobs too, where its threads wait for answers themselves', async () => {
      const mocha = fileURLToPath(new URL('../../../node_modules/mocha/bin/mocha.js', import.meta.url))
      const env = { ...process.env, OPENSSL_SESSION_ASYNC: '0' }
      const { stdout } = await promisify(execFile)(process.execPath, [mocha, fileURLToPath(import.meta.url)], { env })
      assert.match(stdout, /^ *13 passing/m)
    })
  }
})
