// Writing on the engine runs ahead of sending: a write counts as done once its bytes are copied. What counts as done is sent,
// whatever happens to the socket, the Buffer or the process afterwards.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type tls from 'node:tls'
import type { TLSSocket } from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { aWhile, closeAll, dialled, dialledNode, drain, inEachVersion, readAll, serve } from '../support/tls.js'
import { killAll, Program } from './programs.js'

const chunk = 64 * 1024

/** ArrayBuffer as it has been since Node.js 20. */
type Resizable = new (size: number, options: { maxByteLength: number }) => ArrayBuffer

/** A server's side, and a client of node:tls that does not read. */
async function stalled(options: object = {}): Promise<{ near: TLSSocket; far: tls.TLSSocket }> {
  const { server, port } = await serve({ ...options, threads: 2 }, () => {})
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const far = await dialledNode(port)
  const [near] = await accepted
  return { near, far }
}

/** Writes until nothing more counts as done. Returns how much did, with its digest. */
async function fill(socket: TLSSocket): Promise<{ done: number; digest: string }> {
  const hash = createHash('sha256')
  let done = 0
  for (let turn = 0; ; turn++) {
    const bytes = Buffer.alloc(chunk, `${turn}.`)
    const written = new Promise<boolean>((resolve) => socket.write(bytes, (error) => resolve(!error)))
    const late = aWhile(300).then(() => false)
    if (!(await Promise.race([written, late]))) return { done, digest: hash.digest('hex') }
    hash.update(bytes)
    done += chunk
  }
}

/** What comes until the end, in pieces. */
async function received(socket: tls.TLSSocket): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  await drain(socket, (bytes) => chunks.push(bytes))
  return chunks
}

describe('Writing ahead', () => {
  afterEach(() => {
    killAll()
    return closeAll()
  })

  inEachVersion((version) => {
    it('sends what was written though its memory is given away, or shrinks, right after that', async () => {
      const size = 8 * 2 ** 20
      const pattern = Uint8Array.from({ length: 251 }, (_, at) => at)
      const ways = [
        () => new ArrayBuffer(size),
        () => new (ArrayBuffer as unknown as Resizable)(size, { maxByteLength: size }),
      ]
      for (const make of ways) {
        const { near, far } = await stalled({ minVersion: version, maxVersion: version })
        const memory = make()
        const bytes = Buffer.alloc(size, pattern)
        new Uint8Array(memory).set(bytes)
        near.end(new Uint8Array(memory))
        if ((memory as { resizable?: boolean }).resizable)
          (memory as unknown as { resize(size: number): void }).resize(0)
        else structuredClone(memory, { transfer: [memory] })
        assert.equal(memory.byteLength, 0)
        assert.ok(Buffer.concat(await received(far)).equals(bytes))
      }
    })

    it('leaves the Buffer alone once the write is done', async () => {
      const { near, far } = await stalled({ minVersion: version, maxVersion: version })
      const bytes = Buffer.alloc(chunk)
      const expected = createHash('sha256')
      const all = received(far)
      for (let turn = 0; turn < 400; turn++) {
        const part = bytes.subarray(0, (turn * 7919) % (chunk + 1))
        part.fill(turn)
        expected.update(part)
        await new Promise((resolve) => near.write(part, resolve))
        part.fill(255)
      }
      near.end()
      const actual = createHash('sha256')
      for (const part of await all) actual.update(part)
      assert.equal(actual.digest('hex'), expected.digest('hex'))
    })

    it('sends what is done after destroy(), and gives up what is not', async () => {
      const { near, far } = await stalled({ minVersion: version, maxVersion: version })
      const { done, digest } = await fill(near)
      assert.ok(done >= 4 * chunk, `${done}`)
      near.destroy()
      const bytes = Buffer.concat(await received(far))
      assert.equal(createHash('sha256').update(bytes.subarray(0, done)).digest('hex'), digest)
      assert.ok(bytes.length < done + chunk, `${bytes.length - done} bytes too many`)
      if (!near.closed) await once(near, 'close')
    })

    it('completes the handshake of a connection that is destroyed while its session is being stored', async () => {
      const sessionStore = { get: () => null, set: () => aWhile(30), delete: () => {} }
      const options = { minVersion: version, maxVersion: version, threads: 2, sessionStore }
      const { port } = await serve(options, (socket) => socket.destroy())
      for (let turn = 0; turn < 5; turn++) {
        const client = await dialledNode(port)
        assert.equal((await readAll(client)).length, 0)
      }
    })

    it('says goodbye after the last byte of what was done', async () => {
      const { near, far } = await stalled({ minVersion: version, maxVersion: version })
      const bytes = Buffer.alloc(200_000, 'goodbye')
      for (let at = 0; at < bytes.length; at += 50_000)
        await new Promise((resolve) => near.write(bytes.subarray(at, at + 50_000), resolve))
      near.destroy()
      assert.deepEqual(await readAll(far), bytes)
    })
  })

  it("finishes when everything is sent, and not before: 'finish' waits for a client that does not read", async () => {
    const { near, far } = await stalled()
    await fill(near)
    let finished = false
    near.end(() => {
      finished = true
    })
    await aWhile(200)
    assert.equal(finished, false)
    const all = received(far)
    await once(near, 'finish')
    assert.equal(Buffer.concat(await all).length, near.bytesWritten)
  })

  it('stops at a bound: a client that does not read holds a writer up', async () => {
    const { near } = await stalled()
    await fill(near)
    const copied = near.bytesWritten - near.writableLength
    const more = new Promise<boolean>((resolve) => near.write('more', (error) => resolve(!error)))
    assert.equal(await Promise.race([more, aWhile(200).then(() => false)]), false)
    assert.equal(near.bytesWritten - near.writableLength, copied)
  })

  it('ends at once with an error, sent or not', async () => {
    const { near, far } = await stalled()
    far.on('error', () => {})
    await fill(near)
    const failed = once(near, 'error')
    const begin = Date.now()
    near.destroy(new Error('enough'))
    assert.equal((await failed)[0].message, 'enough')
    await once(near, 'close')
    assert.ok(Date.now() - begin < 2000)
  })

  it('reaches the client even if the process exits as soon as the write is done', async () => {
    for (let turn = 0; turn < 5; turn++) {
      const program = new Program('last_words', { size: 30_000 })
      const client = await dialledNode(Number(await program.says()))
      assert.equal((await readAll(client)).length, 30_000)
      assert.equal((await program.ended).code, 0)
    }
  })
})

describe('Getters', () => {
  afterEach(closeAll)

  it('can be asked at any time while a thread works with the connection', async () => {
    const { port } = await serve({ threads: 2 })
    const socket = await dialled(port, { threads: 2 })
    const total = 8 * 1024 * 1024
    let back = 0
    const echoed = new Promise<void>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        back += bytes.length
        if (back === total) resolve()
      })
    })
    const ask = (): unknown[] => {
      const handle = socket.handle as libssl.SSL
      return [
        socket.getCipher()?.name,
        socket.getPeerX509Certificate()?.fingerprint256,
        socket.exportKeyingMaterial(32, 'test').toString('hex'),
        socket.getFinished()?.toString('hex'),
        libssl.SSL_get_version(handle),
        libssl.SSL_get_shutdown(handle),
        libssl.SSL_state_string_long(handle),
      ]
    }
    const before = ask()
    for (let at = 0; at < total; at += chunk) {
      if (!socket.write(Buffer.alloc(chunk))) await once(socket, 'drain')
      assert.deepEqual(ask(), before)
    }
    await echoed
    assert.deepEqual(ask(), before)
  })
})
