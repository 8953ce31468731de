// What docs/security.md says: what becomes possible with a stolen store or a stolen key, and what sessions do not keep apart.

import assert from 'node:assert/strict'
import { createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext, Session, type TLSSocket } from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { MemorySessionStore, SealedSessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { closeAll, dial, dialled, inEachVersion, only, type Running, serve, sessionOf } from '../support/tls.js'

/** A store whose content a thief has read. */
class StolenStore extends MemorySessionStore {
  readonly loot: Buffer[] = []
  override set(id: Buffer, session: Buffer, ttl: number): void {
    this.loot.push(Buffer.from(session))
    super.set(id, session, ttl)
  }
}

/** What a thief of a ticket key reads in a ticket: the session in DER form. */
function opened(ticket: Buffer, key: Buffer): Buffer {
  const [name, iv, sealed, mac] = [
    ticket.subarray(0, 16),
    ticket.subarray(16, 32),
    ticket.subarray(32, -32),
    ticket.subarray(-32),
  ]
  assert.deepEqual(name, key.subarray(0, 16))
  const expected = createHmac('sha256', key.subarray(16, 48)).update(ticket.subarray(0, -32)).digest()
  assert.deepEqual(mac, expected)
  const decipher = createDecipheriv('aes-256-cbc', key.subarray(48), iv)
  return Buffer.concat([decipher.update(sealed), decipher.final()])
}

function masterKey(der: Buffer): Buffer {
  using session = Session.fromDER(der)
  return libssl.SSL_SESSION_get_master_key(session.handle)
}

function ticketOf(der: Buffer): Buffer {
  using session = Session.fromDER(der)
  return libssl.SSL_SESSION_get0_ticket(session.handle)
}

/** The server's end of a connection that is made meanwhile. */
async function accepted({ server }: Running, client: Promise<TLSSocket>): Promise<[TLSSocket, TLSSocket]> {
  const [[connection]] = await Promise.all([once(server, 'secureConnection') as Promise<[TLSSocket]>, client])
  return [connection, await client]
}

describe('Security', () => {
  const { client: alice, root, selfSigned } = certs()
  const asAlice = { cert: alice.chain, key: alice.key }
  const asking = { requestCert: true, ca: root.cert }

  afterEach(closeAll)

  inEachVersion((version) => {
    it('a thief who reads a store has what it takes to decrypt or to resume, and nothing when it is sealed', async () => {
      const stolen = new StolenStore()
      const plain = await serve({ ...only(version), sessionStore: stolen })
      const session = await sessionOf(await dialled(plain.port))
      assert.ok(stolen.loot.some((der) => masterKey(der).equals(masterKey(session))))

      const sealed = new StolenStore()
      const sessionStore = new SealedSessionStore({ store: sealed, keys: [randomBytes(32)] })
      const secret = masterKey(await sessionOf(await dialled((await serve({ ...only(version), sessionStore })).port)))
      assert.ok(sealed.loot.length > 0)
      assert.ok(!sealed.loot.some((value) => value.includes(secret)))
      for (const value of sealed.loot) assert.throws(() => Session.fromDER(value))
    })

    it('a thief of a ticket key reads the secret in every ticket under it', async () => {
      const ticketKeys = randomBytes(80)
      const { port } = await serve({ ...only(version), ticketKeys })
      const session = await sessionOf(await dialled(port))
      assert.deepEqual(masterKey(opened(ticketOf(session), ticketKeys)), masterKey(session))
    })

    const age = version === 'TLSv1.2' ? 'that of its first handshake' : 'that of its last ticket'
    it(`the age of a session in tickets is ${age}`, async () => {
      const [old, now] = [randomBytes(80), randomBytes(80)]
      const running = await serve({ ...only(version), ticketKeys: old })
      const timeIn = (session: Buffer, key: Buffer): number => {
        using inside = Session.fromDER(opened(ticketOf(session), key))
        return inside.time
      }
      const first = await sessionOf(await dialled(running.port))
      running.server.setTicketKeys([now, old])
      await sleep(1100)
      const client = await dialled(running.port, { session: first })
      assert.equal(client.isSessionReused(), true)
      const later = timeIn(await sessionOf(client), now) - timeIn(first, old)
      assert.ok(version === 'TLSv1.2' ? later === 0 : later >= 1, `${later} s`)
    })

    it('a resumed client is not verified again; what must not be shared has a session id context of its own', async () => {
      const ticketKeys = randomBytes(80)
      const one = await serve({ ...only(version), ...asking, ticketKeys, sessionIdContext: 'one' })
      const session = await sessionOf(await dialled(one.port, asAlice))
      // It would not trust her certificate.
      const trustsOthers = { ...asking, ca: selfSigned.cert, ticketKeys }
      const same = await serve({ ...only(version), ...trustsOthers, sessionIdContext: 'one' })
      const [connection] = await accepted(same, dialled(same.port, { session }))
      assert.deepEqual([connection.isSessionReused(), connection.authorized], [true, true])
      assert.equal(connection.getPeerCertificate().subject.CN, 'client')
      const other = await serve({ ...only(version), ...trustsOthers, sessionIdContext: 'other' })
      const refused = once(other.server, 'tlsClientError')
      dial(other.port, { session, ...asAlice }).on('error', () => {})
      await refused
    })

    it('a session is resumed under every name of its server', async () => {
      const running = await serve({ ...only(version), ticketKeys: randomBytes(80) })
      const { server } = certs()
      running.server.addContext(
        'localhost',
        createSecureContext({ cert: server.chain, key: server.key, sessionIdContext: 'of its own' }),
      )
      const lenient = { servername: 'elsewhere', rejectUnauthorized: false }
      const session = await sessionOf(await dialled(running.port, lenient))
      const client = await dialled(running.port, { session, rejectUnauthorized: false })
      assert.equal(client.isSessionReused(), true)
    })
  })

  it('a thief of a plain store of TLS 1.2 is the client to whom the session belongs', async () => {
    const sessionStore = new StolenStore()
    const running = await serve({ ...only('TLSv1.2'), ...asking, sessionStore })
    await dialled(running.port, asAlice)
    using session = Session.fromDER(sessionStore.loot[0] as Buffer)
    // A client's session has none.
    libssl.SSL_SESSION_set1_id_context(session.handle, Buffer.alloc(0))
    const [connection, thief] = await accepted(running, dialled(running.port, { session: session.toDER() }))
    assert.equal(thief.isSessionReused(), true)
    assert.deepEqual([connection.authorized, connection.getPeerCertificate().subject.CN], [true, 'client'])
  })

  it('TLS 1.3 never resumes without a new key exchange, unless told to', () => {
    const options = libssl.SSL_CTX_get_options(createSecureContext().handle)
    assert.equal(options & libssl.SSL_OP_ALLOW_NO_DHE_KEX, 0)
  })
})
