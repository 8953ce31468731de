// A first flight with early data that somebody has recorded, sent again and again to every process of a fleet: at most one of them takes it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { EarlyProcess } from '../support/early-process.js'
import { firstFlight, Gate } from '../support/gate.js'
import { RedisServer } from '../support/redis.js'
import { thorough } from '../support/thorough.js'
import { afterTest, aWhile, closeAll, describeInEachHome, dial, dialled, hangUp, sessionOf } from '../support/tls.js'

const copies = 5

/** Sends what was recorded, and waits for the server's answer. */
async function replay(port: number, flight: Buffer): Promise<void> {
  const socket = afterTest(net.connect(port, '127.0.0.1'))
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(flight)
  await once(socket, 'data')
}

describeInEachHome('a recorded first flight', (home) => {
  for (const sealed of thorough ? [false, true] : [true]) {
    describe(sealed ? 'and sessions that are sealed in Redis' : 'and sessions in Redis', () => {
      let redis: RedisServer
      let fleet: EarlyProcess[]

      before(async () => {
        redis = await RedisServer.start()
        const start = () => EarlyProcess.start({ threads: home === 'engine' ? 2 : 0, redis: redis.url, sealed })
        fleet = await Promise.all([start(), start()])
      })

      after(async () => {
        await Promise.all(fleet.map((server) => server.stop()))
        await redis.stop()
      })

      afterEach(closeAll)

      async function session(): Promise<Buffer> {
        const client = await dialled((fleet[0] as EarlyProcess).port)
        const session = await sessionOf(client)
        await hangUp(client)
        return session
      }

      async function accepted(): Promise<{ accepted: number; early: string }> {
        // What an answer has told may be on its way to the application still.
        await aWhile(100)
        const seen = await Promise.all(fleet.map((server) => server.seen()))
        return {
          accepted: seen.reduce((sum, { accepted }) => sum + accepted, 0),
          early: seen.map(({ early }) => early).join(''),
        }
      }

      /** To each process at the same moment, several times. */
      function replayEverywhere(flight: Buffer): Promise<unknown> {
        const ports = Array.from({ length: copies }, () => fleet.map(({ port }) => port)).flat()
        return Promise.all(ports.map((port) => replay(port, flight)))
      }

      it('is accepted by one process, and once, when it comes to all of them at the same time', async () => {
        for (let round = 0; round < 4; round++) {
          const before = await accepted()
          const earlyData = Buffer.from(`[pay ${round}]`)
          const resumable = await session()
          const flight = await firstFlight((port) =>
            dial(port, { session: resumable, earlyData }).on('error', () => {}),
          )
          await replayEverywhere(flight)
          const now = await accepted()
          assert.equal(now.accepted - before.accepted, 1)
          assert.equal(now.early.split(earlyData.toString()).length - 1, 1)
        }
      })

      it('is accepted by nobody when its connection has been', async () => {
        const earlyData = Buffer.from('[pay once]')
        const resumable = await session()
        const before = await accepted()
        const recorder = afterTest(await Gate.start((fleet[1] as EarlyProcess).port))
        const client = await dialled(recorder.port, { session: resumable, earlyData })
        assert.equal(client.earlyData, 'accepted')
        await replayEverywhere(recorder.recorded)
        assert.equal((await accepted()).accepted - before.accepted, 1)
        assert.equal((await accepted()).early.split(earlyData.toString()).length - 1, 1)
      })
    })
  }
})
