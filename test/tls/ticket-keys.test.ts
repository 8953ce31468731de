// Stateless tickets across a fleet: rings of keys that servers share and that turn while clients come and go, tickets that
// no key opens, and others who use the same keys: node:tls, OpenSSL by itself, and openssl s_client.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  createSecureContext,
  leaks,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  Session,
  type TicketKeys,
  type TicketKeysError,
} from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { collectGarbage } from '../support/accounts.js'
import { certs } from '../support/certs.js'
import { runFresh } from '../support/children.js'
import { credentials } from '../support/credentials.js'
import { Program, versionFlag } from '../support/programs.js'
import { SiteProcess } from '../support/site-process.js'
import {
  closeAll,
  describeInEachHome,
  dialled,
  exchange,
  hangUp,
  inEachVersion,
  only,
  type Running,
  serve,
  serveNode,
  sessionOf,
  until,
} from '../support/tls.js'
import { readsLaterSessions } from '../support/versions.js'

const key = (length: 48 | 80 = 80): Buffer => randomBytes(length)
const nameOf = (key: Uint8Array): string => Buffer.from(key.subarray(0, 16)).toString('hex')

function ticketOf(session: Buffer): Buffer {
  using restored = Session.fromDER(session)
  return libssl.SSL_SESSION_get0_ticket(restored.handle)
}

/** The name of the key that a client's ticket is sealed under. */
const sealedUnder = (session: Buffer): string => nameOf(ticketOf(session))

interface Visit {
  /** Whether the session that the client had was resumed. */
  readonly resumed: boolean
  /** What the client has for its next visit. */
  readonly session: Buffer
}

/** Whether a server, which may give no ticket in return, resumes a session, whoever began it. */
async function resumes(port: number, session: Buffer): Promise<boolean> {
  const client = await dialled(port, { session, rejectUnauthorized: false })
  const resumed = client.isSessionReused()
  await hangUp(client)
  return resumed
}

/** A client that has got everything it needs to come back, and hangs up. */
async function visit(port: number, session?: Buffer): Promise<Visit> {
  const client = await dialled(port, session === undefined ? {} : { session })
  const next = sessionOf(client)
  assert.equal(await exchange(client, 'x'), 'x')
  const result = { resumed: client.isSessionReused(), session: await next }
  await hangUp(client)
  return result
}

describeInEachHome('A ring of ticket keys', (home) => {
  afterEach(closeAll)

  inEachVersion((version) => {
    const start = (ticketKeys: TicketKeys): Promise<Running> => serve({ ...only(version), ticketKeys })

    it('is shared: what one server seals under any of its keys another opens, and seals again under its first', async () => {
      const [a, b, c] = [key(80), key(48), key(80)]
      const [one, two, three] = [await start([a, b]), await start([b, c, a]), await start([c, b])]
      const began = await visit(one.port)
      assert.deepEqual([began.resumed, sealedUnder(began.session)], [false, nameOf(a)])
      const second = await visit(two.port, began.session)
      assert.deepEqual([second.resumed, sealedUnder(second.session)], [true, nameOf(b)])
      const third = await visit(three.port, second.session)
      assert.deepEqual([third.resumed, sealedUnder(third.session)], [true, nameOf(c)])
      const stranger = await visit(three.port, began.session)
      assert.deepEqual([stranger.resumed, sealedUnder(stranger.session)], [false, nameOf(c)])
    })

    it(`renews ${version === 'TLSv1.2' ? 'no ticket' : 'a ticket too'} that is sealed under the first key`, async () => {
      const { port } = await start([key(), key()])
      const { session } = await visit(port)
      const next = await visit(port, session)
      assert.equal(next.resumed, true)
      assert.equal(ticketOf(next.session).equals(ticketOf(session)), version === 'TLSv1.2')
    })

    it('opens no ticket of which a bit was changed: the handshake goes on in full', async () => {
      const { port, server } = await start([key(48), key(80)])
      const failures: Error[] = []
      server.on('tlsClientError', (error) => failures.push(error))
      for (const length of [48, 80] as const) {
        server.setTicketKeys([key(length), key()])
        const { session } = await visit(port)
        const at = session.indexOf(ticketOf(session))
        const { length: size } = ticketOf(session)
        // Name, vector, session, and what authenticates them.
        for (const offset of [0, 15, 16, 31, 32, Math.floor(size / 2), size - 33, size - 32, size - 1]) {
          const altered = Buffer.from(session)
          altered[at + offset] = (altered[at + offset] as number) ^ 1
          const { resumed } = await visit(port, altered)
          assert.equal(resumed, false, `byte ${offset} of ${size}`)
        }
        assert.equal((await visit(port, session)).resumed, true)
      }
      assert.deepEqual(failures, [])
    })

    it('knows a key by its name, and does not open what another key of that name has sealed', async () => {
      const [a, b] = [key(), key()]
      a.copy(b, 0, 0, 16)
      const [one, two] = [await start(a), await start(b)]
      const { session } = await visit(one.port)
      assert.equal((await visit(two.port, session)).resumed, false)
    })

    it('is the same for OpenSSL with SSL_CTX_set_tlsext_ticket_keys in another process, in both directions', async () => {
      const shared = key(80)
      const { port } = await serve({ ...only(version), ticketKeys: [shared, key()], sessionIdContext: 'test' })
      const there = (session: Buffer): { resumed: boolean; session: string } =>
        runFresh(`
          const { clientContext, Pair, present, serverContext } = await use('peers')
          const lib = await import('openssl-session/libssl')
          const serverCtx = serverContext(${version === 'TLSv1.2' ? 'lib.TLS1_2_VERSION' : 'lib.TLS1_3_VERSION'}, 'stateless')
          if (lib.SSL_CTX_set_tlsext_ticket_keys(serverCtx, Buffer.from('${shared.toString('hex')}', 'hex')) !== 1) throw new Error('80 bytes?')
          const clientCtx = clientContext()
          const sessions = []
          lib.SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, made) => void sessions.push(lib.i2d_SSL_SESSION(made)))
          const given = Buffer.from('${session.toString('hex')}', 'hex')
          const pair = new Pair(serverCtx, clientCtx, given.length > 0 ? lib.d2i_SSL_SESSION(given) : null)
          pair.handshake()
          const resumed = pair.reused
          pair.close()
          return { resumed, session: sessions[0]?.toString('hex') ?? '' }`)
      const began = there(Buffer.alloc(0))
      assert.equal(began.resumed, false)
      const session = Buffer.from(began.session, 'hex')
      assert.equal(sealedUnder(session), nameOf(shared))
      assert.equal(await resumes(port, session), true)
      assert.equal(there((await visit(port)).session).resumed, true)
    })

    it('of 48 bytes is the same for node:tls, in both directions', async () => {
      const ticketKeys = key(48)
      const settings = { ...only(version), ticketKeys, sessionIdContext: 'both' }
      const [ours, theirs] = [await serve(settings), await serveNode(settings)]
      const { session } = await visit(theirs.port)
      assert.equal((await visit(ours.port, session)).resumed, readsLaterSessions)
      assert.equal(await resumes(theirs.port, (await visit(ours.port)).session), true)
    })

    it('turns in two processes for openssl s_client: what it has goes on from key to key', async () => {
      const [a, b] = [key(), key(48)]
      const threads = home === 'engine' ? 2 : 0
      const began: SiteProcess[] = []
      const site = async (...keys: Buffer[]): Promise<number> => {
        const ticketKeys = keys.map((key) => key.toString('hex'))
        const started = await SiteProcess.start({ threads, listen: { port: 0, host: '127.0.0.1' }, ticketKeys })
        began.push(started)
        return [...started.ports][0] ?? assert.fail(started.errors.join())
      }
      const file = (name: string): string => join(credentials().folder, `ticket-${version}-${name}.pem`)
      const come = async (port: number, ...args: string[]): Promise<string> => {
        const program = new Program('s_client', '-connect', `127.0.0.1:${port}`, versionFlag(version), ...args)
        const [, how] = await program.prints(/^\d+ (new|resumed)$/m)
        // The last one: in TLS 1.3 several may come.
        const tickets = [...(await program.end()).matchAll(/session ticket:\s+0000 - ([0-9a-f -]+?) {3}/g)]
        return `${how} ${tickets.at(-1)?.[1]?.replaceAll(/[ -]/g, '')}`
      }
      try {
        const ports = [await site(a), await site(b, a), await site(b)] as const
        assert.equal(await come(ports[0], '-sess_out', file('a')), `new ${nameOf(a)}`)
        assert.equal(await come(ports[2], '-sess_in', file('a')), `new ${nameOf(b)}`)
        assert.equal(await come(ports[1], '-sess_in', file('a'), '-sess_out', file('b')), `resumed ${nameOf(b)}`)
        // In TLS 1.2 s_client does not write what it got when it has resumed.
        if (version === 'TLSv1.2') await come(ports[1], '-sess_out', file('b'))
        assert.equal(await come(ports[2], '-sess_in', file('b')), `resumed ${nameOf(b)}`)
        assert.equal(await come(ports[0], '-sess_in', file('b')), `new ${nameOf(a)}`)
      } finally {
        for (const process of began) await process.stop()
      }
    })

    for (const way of ['setTicketKeys', 'a function that is asked at an interval'] as const) {
      it(`turns by ${way} while clients come and go: no handshake fails, and every ticket of a key in it is resumed`, async () => {
        let ring = [key()]
        const options =
          way === 'setTicketKeys'
            ? { ticketKeys: ring }
            : { ticketKeys: async () => ring, ticketKeysRefreshInterval: 0.01 }
        const servers = [await serve({ ...only(version), ...options }), await serve({ ...only(version), ...options })]
        const errors: Error[] = []
        for (const { server } of servers) {
          server.on('tlsClientError', (error) => errors.push(error))
          server.on('ticketKeysError', (error) => errors.push(error))
        }
        const use = async (keys: Buffer[]): Promise<void> => {
          ring = keys
          if (way === 'setTicketKeys') for (const { server } of servers) server.setTicketKeys(ring)
          const names = keys.map(nameOf).join()
          await until(() => servers.every(({ server }) => server.secureContext.ticketKeyNames.join() === names))
        }
        await use(ring)
        let turning = true
        let resumed = 0
        const full: string[] = []
        const used = new Set<string>()
        const client = async (): Promise<void> => {
          let last: Visit | undefined
          for (let count = 0; turning; count++) {
            const next = await visit(servers[count % 2]?.port as number, last?.session)
            if (next.resumed) resumed += 1
            else if (last !== undefined) full.push(sealedUnder(last.session))
            used.add(sealedUnder(next.session))
            last = next
          }
        }
        const clients = Promise.all(Array.from({ length: 4 }, client))
        const fresh = Array.from({ length: 6 }, (_, index) => key(index % 2 === 0 ? 48 : 80))
        for (const next of fresh) {
          // All can open with it before one of them seals, and the oldest goes when all clients have newer tickets.
          await use([...ring, next])
          await use([next, ...ring.slice(0, -1)])
          const enough = resumed + 16
          await until(() => resumed >= enough || errors.length > 0)
          await use(ring.slice(0, 2))
        }
        turning = false
        await clients
        assert.deepEqual(errors, [])
        assert.deepEqual(full, [])
        assert.ok(fresh.every((key) => used.has(nameOf(key))))
      })
    }
  })

  describe('of a server', () => {
    it('has the first key as the one for getTicketKeys, with which another server can go on', async () => {
      for (const length of [48, 80] as const) {
        const [first, second] = [key(length), key()]
        const { server } = await serve({ ticketKeys: [first, second] })
        assert.deepEqual(server.getTicketKeys(), first)
        assert.deepEqual(server.secureContext.ticketKeyNames, [nameOf(first), nameOf(second)])
        server.setTicketKeys(second)
        assert.deepEqual(server.getTicketKeys(), second)
      }
      const { server } = await serve()
      assert.equal(server.getTicketKeys().length, 80)
      assert.deepEqual(server.secureContext.ticketKeyNames, [])
    })

    it('survives setSecureContext, whether it came with the options, by setTicketKeys or from a function', async () => {
      const { chain, key: secret } = certs().server
      const ways: ((server: Server) => Promise<void> | void)[] = [
        () => {},
        (server) => server.setTicketKeys([key(), key()]),
        async (server) => {
          const ring = [key()]
          server.setTicketKeys(() => sleep(100, ring))
          await server.secureContext.refreshTicketKeys()
        },
      ]
      for (const way of ways) {
        const { server, port } = await serve({ ticketKeys: key() })
        await way(server)
        const { session } = await visit(port)
        server.setSecureContext({ cert: chain, key: secret })
        assert.equal((await visit(port, session)).resumed, true)
      }
    })
  })
})

describe('ticketKeys', () => {
  const contexts: SecureContext[] = []
  afterEach(() => {
    for (const context of contexts.splice(0)) context.free()
  })

  function make(options: SecureContextOptions): { context: SecureContext; errors: TicketKeysError[] } {
    const context = createSecureContext(options)
    contexts.push(context)
    const errors: TicketKeysError[] = []
    context.on('ticketKeysError', (error) => errors.push(error))
    return { context, errors }
  }

  const same = key()
  const refusals: [what: string, keys: unknown, code: string][] = [
    ['no keys', [], 'ERR_INVALID_ARG_VALUE'],
    ['17 keys', Array.from({ length: 17 }, () => key()), 'ERR_INVALID_ARG_VALUE'],
    [
      'two keys of one name',
      [same, key(), Buffer.concat([same.subarray(0, 16), randomBytes(32)])],
      'ERR_INVALID_ARG_VALUE',
    ],
    ['the same key twice', [same, same], 'ERR_INVALID_ARG_VALUE'],
    ['a key of 47 bytes', [key(), Buffer.alloc(47, 'S')], 'ERR_INVALID_ARG_VALUE'],
    ['a key of 81 bytes', Buffer.alloc(81, 'S'), 'ERR_INVALID_ARG_VALUE'],
    ['a key in text', [key(), 'S'.repeat(48)], 'ERR_INVALID_ARG_TYPE'],
    ['a key in 16-bit numbers', new Uint16Array(48), 'ERR_INVALID_ARG_TYPE'],
    ['no array', { 0: key(), length: 1 }, 'ERR_INVALID_ARG_TYPE'],
  ]
  for (const [what, ticketKeys, code] of refusals) {
    it(`refuses ${what}, goes on with what it had, and shows no key`, async () => {
      const expected = (error: NodeJS.ErrnoException): boolean => error.code === code && !/SSS|83/.test(error.message)
      assert.throws(() => createSecureContext({ ticketKeys } as SecureContextOptions), expected)
      const { context, errors } = make({ ticketKeys: same })
      assert.throws(() => context.setTicketKeys(ticketKeys as TicketKeys), expected)
      assert.deepEqual(context.getTicketKeys(), same)
      context.setTicketKeys(() => ticketKeys as TicketKeys)
      await until(() => errors.length > 0)
      assert.equal(errors[0]?.code, 'ERR_TICKET_KEYS')
      assert.equal((errors[0]?.cause as NodeJS.ErrnoException | undefined)?.code, code)
      assert.deepEqual(context.getTicketKeys(), same)
    })
  }

  it('refuses an interval that makes no sense', () => {
    for (const [ticketKeysRefreshInterval, code] of [
      [-1, 'ERR_OUT_OF_RANGE'],
      [Number.NaN, 'ERR_OUT_OF_RANGE'],
      ['60', 'ERR_INVALID_ARG_TYPE'],
    ] as const) {
      assert.throws(() => createSecureContext({ ticketKeysRefreshInterval } as SecureContextOptions), { code })
    }
  })

  it('may be up to 16 keys', () => {
    const ring = Array.from({ length: 16 }, (_, index) => key(index % 2 === 0 ? 48 : 80))
    assert.deepEqual(make({ ticketKeys: ring }).context.ticketKeyNames, ring.map(nameOf))
  })

  it('takes what a function knows at once', () => {
    assert.deepEqual(make({ ticketKeys: () => same }).context.getTicketKeys(), same)
  })

  it('asks a function again at its interval; what it fails with is reported once, and the keys stay', async () => {
    const [a, b] = [key(), key()]
    let answer = async (): Promise<TicketKeys> => a
    const { context, errors } = make({ ticketKeys: () => answer(), ticketKeysRefreshInterval: 0.01 })
    await until(() => context.ticketKeyNames.join() === nameOf(a))
    answer = async () => [b, a]
    await until(() => context.ticketKeyNames.length === 2)
    assert.deepEqual(context.getTicketKeys(), b)
    answer = () => Promise.reject(new Error('the file is gone'))
    await until(() => errors.length > 0)
    assert.match(errors[0]?.message ?? '', /the file is gone/)
    await sleep(50)
    assert.equal(errors.length, 1)
    assert.deepEqual(context.getTicketKeys(), b)
    await assert.rejects(context.refreshTicketKeys(), { code: 'ERR_TICKET_KEYS' })
    answer = async () => a
    await context.refreshTicketKeys()
    assert.deepEqual(context.ticketKeyNames, [nameOf(a)])
  })

  it('asks a function no more when other keys were set, nor takes what it answers late', async () => {
    let calls = 0
    const late = (): Promise<TicketKeys> => {
      calls += 1
      return sleep(20, key())
    }
    const { context } = make({ ticketKeys: late, ticketKeysRefreshInterval: 0.01 })
    assert.equal(calls, 1)
    context.setTicketKeys(same)
    await sleep(50)
    assert.equal(calls, 1)
    assert.deepEqual(context.getTicketKeys(), same)
    await assert.rejects(context.refreshTicketKeys(), { code: 'ERR_INVALID_STATE' })
  })

  it('warns where nobody listens', async () => {
    const warned = once(process, 'warning')
    contexts.push(
      createSecureContext({
        ticketKeys: () => {
          throw new Error('none')
        },
      }),
    )
    assert.equal(((await warned)[0] as TicketKeysError).code, 'ERR_TICKET_KEYS')
  })

  it('keeps no context alive by asking', async () => {
    const before = leaks().live.SSL_CTX
    for (let count = 0; count < 10; count++)
      createSecureContext({ ticketKeys: () => same, ticketKeysRefreshInterval: 0.01 })
    await collectGarbage(() => leaks().live.SSL_CTX <= before)
    assert.ok(leaks().live.SSL_CTX <= before)
  })
})
