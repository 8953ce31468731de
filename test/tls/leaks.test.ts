// What connections leave behind: nothing.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { connect, createSecureContext, leaks, type SecureContext, type TLSSocket } from 'openssl-session'
import { MemorySessionStore, type SessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { times } from '../support/thorough.js'
import {
  aWhile,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  exchange,
  hangUp,
  inEachVersion,
  only,
  serve,
  sessionOf,
  trusting,
  until,
} from '../support/tls.js'

/** How many connections come and go, one after the other. */
const rounds = times(20, 4)

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Runs the work and then waits until no more OpenSSL objects are alive than before, without the garbage collector's help. */
async function leavesNothing(work: () => Promise<void>): Promise<void> {
  // What earlier tests left to the collector must not hide what this one leaves.
  for (let i = 0; i < 3; i++) {
    collectGarbage()
    await aWhile(10)
  }
  const before = leaks().live
  await work()
  await until(() => {
    const { SSL, SSL_CTX, SSL_SESSION } = leaks().live
    return SSL <= before.SSL && SSL_CTX <= before.SSL_CTX && SSL_SESSION <= before.SSL_SESSION
  })
}

describeInEachHome('a connection that is closed', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    let context: SecureContext

    beforeEach(() => {
      context = createSecureContext({ ca: certs().root.cert })
    })

    const ends: [string, (socket: TLSSocket) => Promise<unknown>][] = [
      ['as it should be', hangUp],
      ['by destroy', (socket) => closed(socket.destroy())],
      [
        'by destroy in the middle of a write',
        (socket) => {
          socket.write(Buffer.alloc(1 << 20))
          return closed(socket.destroy())
        },
      ],
      ['by destroy with an error', (socket) => closed(socket.destroy(new Error('x')))],
    ]
    for (const [how, end] of ends) {
      it(`${how} leaves no SSL and no session, on either side`, async () => {
        const { port } = await serve(only(version))
        await leavesNothing(async () => {
          for (let i = 0; i < rounds; i++) {
            const client = await dialled(port, { secureContext: context })
            await exchange(client, 'x')
            await end(client)
          }
        })
      })
    }

    it('after a failed handshake leaves nothing', async () => {
      const { port } = await serve(only(version))
      const untrusting = createSecureContext({ ca: certs().selfSigned.cert })
      await leavesNothing(async () => {
        for (let i = 0; i < rounds; i++) {
          assert.equal(await closed(dial(port, { secureContext: untrusting })), true)
          const raw = net.connect(port, '127.0.0.1')
          raw.end('this is no TLS')
          await closed(raw.resume())
        }
      })
    })

    it('after a resumption from a store leaves nothing', async () => {
      const sessionStore = new MemorySessionStore()
      const { port } = await serve({ ...only(version), sessionStore })
      await leavesNothing(async () => {
        let session: Buffer | undefined
        for (let i = 0; i < rounds; i++) {
          const client = dial(port, { secureContext: context, session })
          const ticket = version === 'TLSv1.3' ? once(client, 'session') : undefined
          await once(client, 'secureConnect')
          assert.equal(client.isSessionReused(), i > 0)
          session = ticket === undefined ? client.getSession() : ((await ticket) as [Buffer])[0]
          await hangUp(client)
        }
      })
    })

    it('takes a context that was made for it alone with it', async () => {
      const { port } = await serve(only(version))
      await leavesNothing(async () => {
        for (let i = 0; i < rounds; i++) await hangUp(await dialled(port))
      })
    })

    it('and forgotten by the application is garbage, with its context and its sessions', async () => {
      const { port } = await serve(only(version))
      const before = leaks().live
      for (let i = 0; i < rounds; i++) {
        const mine = createSecureContext({ ca: certs().root.cert })
        mine.newSessionCallback = (_socket, session) => assert.ok(session.id)
        await hangUp(await dialled(port, { secureContext: mine }))
      }
      await until(() => {
        collectGarbage()
        return leaks().live.SSL_CTX <= before.SSL_CTX + 1 && leaks().live.SSL_SESSION <= before.SSL_SESSION + 4
      })
    })
  })

  it('while it waits for a look-up leaves nothing', async () => {
    const asked: Buffer[] = []
    const never = (id: Buffer): Promise<undefined> => {
      asked.push(id)
      return new Promise(() => {})
    }
    const sessionStore = Object.assign(new MemorySessionStore(), { take: never })
    const { port } = await serve({ ...only('TLSv1.3'), sessionStore })
    const session = await sessionOf(await dialled(port))
    await leavesNothing(async () => {
      for (let i = 1; i <= rounds; i++) {
        const client = connect(trusting(port, { session }))
        await until(() => asked.length === i)
        client.destroy()
        await once(client, 'close')
      }
    })
  })

  describe('with early data', () => {
    const earlyData = Buffer.alloc(500)

    /** Connections with early data, one after the other, each ended by `end` on the client's side or by `listener` on the server's. */
    async function leave(
      end: (client: TLSSocket) => Promise<unknown>,
      listener: (socket: TLSSocket) => unknown,
      store: Partial<SessionStore> = {},
    ): Promise<void> {
      const sessionStore = Object.assign(new MemorySessionStore(), store)
      const { port: opener } = await serve({ sessionStore, maxEarlyData: 1024 })
      const { port } = await serve({ sessionStore, maxEarlyData: 1024 }, (socket) => {
        socket.on('error', () => {})
        listener(socket)
      })
      const secureContext = createSecureContext({ ca: certs().root.cert })
      await leavesNothing(async () => {
        for (let i = 0; i < rounds; i++) {
          const first = await dialled(opener, { secureContext })
          const session = await sessionOf(first)
          await hangUp(first)
          await end(dial(port, { secureContext, session, earlyData }).resume())
        }
      })
    }

    it('that was accepted or rejected leaves nothing', async () => {
      const ends = async (client: TLSSocket): Promise<void> => {
        await once(client, 'secureConnect')
        await hangUp(client)
      }
      const echoes = (socket: TLSSocket): unknown => socket.pipe(socket)
      await leave(ends, echoes)
      await leave(ends, echoes, { take: () => undefined })
    })

    it('that the server ends as soon as it has it leaves nothing', async () => {
      await leave(closed, (socket) => socket.destroy())
      await leave(closed, (socket) => {
        socket.write(Buffer.alloc(100_000))
        socket.destroy()
      })
    })

    it('that the client ends at any time leaves nothing', async () => {
      let turn = 0
      const ends = async (client: TLSSocket): Promise<void> => {
        for (let wait = turn++ % 10; wait > 0; wait--) await new Promise((resolve) => setImmediate(resolve))
        await closed(client.destroy())
      }
      await leave(ends, (socket) => socket.pipe(socket))
    })

    it('while the store is being asked leaves nothing', async () => {
      let asked = 0
      const take = (): Promise<undefined> => {
        asked++
        return new Promise(() => {})
      }
      const ends = async (client: TLSSocket): Promise<void> => {
        await until(() => asked > 0)
        asked = 0
        await closed(client.destroy())
      }
      await leave(ends, () => {}, { take })
    })
  })
})
