// Session objects: their two written forms, what they tell, what they hide, and who owns them.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Session } from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { openssl } from '../support/credentials.js'
import {
  closeAll,
  dialled,
  hangUp,
  inEachHome,
  inEachVersion,
  only,
  serve,
  sessionOf,
  type Version,
} from '../support/tls.js'

async function der(version: Version): Promise<Buffer> {
  const { port } = await serve({ ...only(version), ALPNProtocols: ['proto'], sessionTimeout: 1234 })
  const client = await dialled(port, { ALPNProtocols: ['proto'] })
  const bytes = await sessionOf(client)
  await hangUp(client)
  return bytes
}

/** The file that holds `bytes`, for the openssl program. */
function file(name: string, bytes: string | Buffer): string {
  const path = join(tmpdir(), `openssl-session-${process.pid}-${name}`)
  writeFileSync(path, bytes)
  return path
}

describe('a Session', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    let bytes: Buffer

    before(async () => {
      bytes = await der(version)
      await closeAll()
    })

    it('tells what was negotiated', () => {
      using session = Session.fromDER(bytes)
      assert.equal(session.protocol, version)
      assert.match(session.cipher ?? '', /GCM/)
      assert.equal(session.servername, 'localhost')
      assert.equal(session.alpnProtocol, 'proto')
      // TLS 1.2 tells a client in the ticket how long the session lives; in TLS 1.3 OpenSSL's clients keep to their own limit.
      assert.ok(session.timeout > 0)
      assert.equal(libssl.SSL_SESSION_get_ticket_lifetime_hint(session.handle), 1234)
      assert.ok(Math.abs(session.time - Date.now() / 1000) < 60)
      assert.equal(session.id.length, 32)
      assert.equal(session.isResumable, true)
      assert.ok(session.idContext instanceof Buffer)
    })

    it('comes back unchanged from its DER and PEM forms', () => {
      using session = Session.fromDER(bytes)
      assert.deepEqual(session.toDER(), bytes)
      const pem = session.toPEM()
      assert.match(pem, /^-----BEGIN SSL SESSION PARAMETERS-----\n/)
      using again = Session.fromPEM(pem)
      assert.deepEqual(again.toDER(), bytes)
      using fromBytes = Session.fromPEM(Buffer.from(pem))
      assert.deepEqual(fromBytes.toDER(), bytes)
    })

    it('is read by openssl sess_id in both forms, and reads what that writes', () => {
      using session = Session.fromDER(bytes)
      const id = new RegExp(`Session-ID: ${session.id.toString('hex')}`, 'i')
      const fromDER = openssl('sess_id', '-inform', 'DER', '-in', file('der', bytes), '-text', '-noout').toString()
      assert.match(fromDER, id)
      const fromPEM = openssl('sess_id', '-in', file('pem', session.toPEM()), '-text', '-noout').toString()
      assert.match(fromPEM, id)
      using theirs = Session.fromPEM(openssl('sess_id', '-inform', 'DER', '-in', file('der', bytes)))
      assert.deepEqual(theirs.toDER(), bytes)
    })

    it('prints as OpenSSL does, without key material', () => {
      using session = Session.fromDER(bytes)
      const secret = libssl.SSL_SESSION_get_master_key(session.handle).toString('hex')
      const ticket = libssl.SSL_SESSION_get0_ticket(session.handle)
      assert.ok(ticket.length > 0)
      const dump = [...ticket.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
      const text = session.toString()
      assert.match(text, new RegExp(`Protocol +: ${version}`))
      assert.match(text, new RegExp(session.id.toString('hex'), 'i'))
      assert.ok(!text.toLowerCase().includes(secret))
      assert.ok(!text.includes(dump))
      assert.match(text, /(Master-Key|Resumption PSK): \(hidden\)/)
      assert.ok(!`${session}`.toLowerCase().includes(secret))
      const everything = session.toString({ secrets: true })
      assert.ok(everything.toLowerCase().includes(secret))
      assert.ok(everything.includes(dump))
    })

    it('shows no key material to console.log', () => {
      using session = Session.fromDER(bytes)
      const secret = libssl.SSL_SESSION_get_master_key(session.handle).toString('hex')
      const text = inspect(session, { depth: 9, showHidden: true })
      assert.match(text, /^Session \{/)
      assert.match(text, new RegExp(session.id.toString('hex')))
      assert.ok(!text.includes(secret))
      assert.ok(!JSON.stringify(session).includes(secret))
    })

    it('is an independent copy after dup', () => {
      using session = Session.fromDER(bytes)
      const copy = session.dup()
      assert.notEqual(copy.handle, session.handle)
      assert.deepEqual(copy.id, session.id)
      copy.free()
      assert.deepEqual(session.toDER(), bytes)
    })

    it('refuses to be used, or freed again, once it is freed', () => {
      const session = Session.fromDER(bytes)
      session.free()
      assert.throws(() => session.id, { code: 'ERR_HANDLE_FREED' })
      assert.throws(() => session.toDER(), { code: 'ERR_HANDLE_FREED' })
      assert.throws(() => session.free(), { code: 'ERR_HANDLE_FREED' })
      assert.equal(inspect(session), 'Session (freed)')
    })

    it('owns one reference, which `using` gives back', () => {
      const before = libssl.leaks().live.SSL_SESSION
      {
        using session = Session.fromDER(bytes)
        assert.equal(libssl.leaks().live.SSL_SESSION, before + 1)
        assert.ok(session)
      }
      assert.equal(libssl.leaks().live.SSL_SESSION, before)
    })

    it('is refused when its bytes are damaged, cut short or not bytes', () => {
      const before = libssl.leaks().live.SSL_SESSION
      for (const damaged of [bytes.subarray(1), bytes.subarray(0, 20), Buffer.alloc(0), Buffer.from('nonsense')]) {
        assert.throws(() => Session.fromDER(damaged), { message: /not the DER form of a session/ })
      }
      assert.throws(() => Session.fromDER('text' as unknown as Buffer), { code: 'ERR_INVALID_ARG_TYPE' })
      assert.throws(() => Session.fromPEM('nonsense'), { code: 'ERR_OSSL_PEM_NO_START_LINE' })
      assert.throws(() => Session.fromPEM(''), { code: 'ERR_OSSL_PEM_NO_START_LINE' })
      assert.throws(() => Session.fromPEM(7 as unknown as string), { code: 'ERR_INVALID_ARG_TYPE' })
      assert.throws(() => new Session({} as libssl.SSL_SESSION), { code: 'ERR_INVALID_ARG_TYPE' })
      assert.equal(libssl.leaks().live.SSL_SESSION, before)
    })

    inEachHome(() => {
      it('resumes a connection, given as an object or as its bytes', async () => {
        const { port } = await serve(only(version))
        const first = await dialled(port)
        const ours = await sessionOf(first)
        assert.equal(first.isSessionReused(), false)
        await hangUp(first)
        using session = Session.fromDER(ours)
        const second = await dialled(port, { session })
        assert.equal(second.isSessionReused(), true)
        await hangUp(second)
        const third = await dialled(port, { session: ours })
        assert.equal(third.isSessionReused(), true)
        await hangUp(third)
      })
    })
  })
})
