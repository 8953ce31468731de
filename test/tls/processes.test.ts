// Servers of several processes on one port: node's cluster with both of its ways to divide connections, and reusePort.
// Sessions begin in one process and are resumed in another, by way of the store.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { isAlive } from '../support/children.js'
import { SiteProcess } from '../support/site-process.js'
import {
  afterTest,
  closeAll,
  exchange,
  hangUp,
  inEachHome,
  inEachVersion,
  only,
  trusting,
  until,
} from '../support/tls.js'

interface Visit {
  readonly socket: tls.TLSSocket
  /** The process that answered. */
  readonly pid: number
  readonly how: string
  /** For the next visit. */
  readonly session: Buffer
}

/** Connects, and reads who answers. */
async function visit(port: number, options: tls.ConnectionOptions = {}): Promise<Visit> {
  const socket = afterTest(tls.connect(trusting(port, options)))
  const session = once(socket, 'session')
  // A client that fails has no session.
  session.catch(() => {})
  const [line] = (await once(socket, 'data')) as [Buffer]
  const [pid, how = ''] = line.toString().trim().split(' ')
  // In TLS 1.2, the session event of a resumed connection does not come.
  const latest = socket.getProtocol() === 'TLSv1.2' ? socket.getSession() : (await session)[0]
  return { socket, pid: Number(pid), how, session: latest as Buffer }
}

function visits(port: number, count: number): Promise<Visit[]> {
  return Promise.all(Array.from({ length: count }, () => visit(port)))
}

/** Visits in turn, each with the session of the one before. */
async function roam(port: number, count: number, options: tls.ConnectionOptions): Promise<Visit[]> {
  const made: Visit[] = []
  for (let index = 0; index < count; index++) {
    const session = made.at(-1)?.session
    const latest = await visit(port, { ...options, ...(session && { session }) })
    await hangUp(latest.socket)
    made.push(latest)
  }
  return made
}

/** Workers end with their primary, but for those that are on their way out. */
function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

function onlyPort({ ports }: SiteProcess): number {
  assert.equal(ports.size, 1)
  return [...ports][0] as number
}

const localhost = { host: '127.0.0.1', port: 0 }
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const nodeKnowsReusePort = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12)

describe('Server processes on one port', () => {
  let folder: string
  let store: string
  const sites: SiteProcess[] = []

  type Setup = Parameters<typeof SiteProcess.start>[0]

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-sites-'))
    store = join(folder, 'sessions.mdb')
  })

  afterEach(async () => {
    await closeAll()
    const pids = sites.flatMap((site) => site.pids.filter((pid) => !site.exited.includes(pid)))
    await Promise.all(sites.splice(0).map((site) => site.stop()))
    for (const pid of pids) endProcess(pid)
    await until(() => !pids.some(isAlive))
    rmSync(folder, { recursive: true, force: true })
  })

  inEachHome((home) => {
    const threads = home === 'engine' ? 2 : 0

    async function start(setup: Omit<Setup, 'threads' | 'store'>): Promise<SiteProcess> {
      const site = await SiteProcess.start({ ...setup, threads, store })
      sites.push(site)
      return site
    }

    describe('in a cluster', () => {
      it('take connections in turn when the primary divides them', async () => {
        const site = await start({ workers: 3, policy: 'rr', listen: localhost })
        assert.deepEqual(site.errors, [])
        const made: Visit[] = []
        for (let count = 0; count < 12; count++) made.push(await visit(onlyPort(site)))
        assert.deepEqual(
          site.pids.map((pid) => made.filter((other) => other.pid === pid).length),
          [4, 4, 4],
        )
      })

      it('take every connection when the kernel divides them', async () => {
        const site = await start({ workers: 3, policy: 'none', listen: localhost })
        assert.deepEqual(site.errors, [])
        const answered = await visits(onlyPort(site), 30)
        assert.ok(answered.every(({ pid }) => site.pids.includes(pid)))
        assert.equal(await exchange((answered[0] as Visit).socket, 'echo'), 'echo')
      })

      inEachVersion((version) => {
        it('resume in each worker what another began', async () => {
          const site = await start({ workers: 3, policy: 'rr', listen: localhost })
          const made = await roam(onlyPort(site), 7, only(version))
          assert.deepEqual(
            made.map(({ how }) => how),
            ['new', ...Array(6).fill('resumed')],
          )
          assert.equal(new Set(made.map(({ pid }) => pid)).size, 3)
        })
      })

      for (const policy of ['rr', 'none'] as const) {
        it(`lose no other worker's connection when one is killed, with policy ${policy}`, async () => {
          const site = await start({ workers: 3, policy, listen: localhost })
          const port = onlyPort(site)
          const answered = await visits(port, 9)
          const victim = (answered[0] as Visit).pid
          const survivors = answered.filter(({ pid }) => pid !== victim)
          for (const { socket } of answered) socket.on('error', () => {})
          process.kill(victim, 'SIGKILL')
          await until(() => site.exited.includes(victim))
          for (const { socket } of survivors) assert.equal(await exchange(socket, 'still here'), 'still here')
          const later = await visits(port, 6)
          assert.ok(later.every(({ pid }) => pid !== victim && site.pids.includes(pid)))
        })

        it(`let a worker that is told to go finish what it has, with policy ${policy}`, async () => {
          const site = await start({ workers: 2, policy, listen: localhost })
          const port = onlyPort(site)
          const { socket, pid } = await visit(port)
          site.disconnect(pid)
          // From now on the other one answers.
          for (let settled = 0; settled < 3; ) {
            const later = await visit(port)
            settled = later.pid === pid ? 0 : settled + 1
            await hangUp(later.socket)
          }
          assert.equal(await exchange(socket, 'not yet gone'), 'not yet gone')
          assert.deepEqual(site.exited, [])
          await hangUp(socket)
          await until(() => site.exited.includes(pid))
        })
      }

      it('listen each on its own with `exclusive`: on ports of their own, or all but one in vain', async () => {
        const own = await start({ workers: 2, listen: { ...localhost, exclusive: true } })
        assert.deepEqual([own.errors, own.ports.size], [[], 2])
        const [port] = own.ports
        const taken = await start({ workers: 2, listen: { ...localhost, port: port as number, exclusive: true } })
        assert.deepEqual(taken.errors, ['EADDRINUSE', 'EADDRINUSE'])
      })

      it('hear that the port is taken', async () => {
        const site = await start({ listen: localhost })
        const late = await start({ workers: 2, listen: { ...localhost, port: onlyPort(site) } })
        assert.deepEqual(late.errors, ['EADDRINUSE', 'EADDRINUSE'])
      })

      it('share the path of a Unix socket', async () => {
        const path = join(folder, 'socket')
        const site = await start({ workers: 2, listen: { path } })
        assert.deepEqual(
          site.reports.map(({ address }) => address),
          [path, path],
        )
        const answered = new Set<number>()
        for (let count = 0; count < 4; count++) {
          const { pid, socket } = await visit(0, { path })
          answered.add(pid)
          await hangUp(socket)
        }
        assert.deepEqual([...answered].toSorted(), site.pids.toSorted())
      })
    })

    describe('with reusePort', () => {
      if (home === 'inline' && !nodeKnowsReusePort) {
        it('hear that the port is taken, from a Node that does not know the option', async () => {
          const first = await start({ listen: { ...localhost, reusePort: true } })
          const second = await start({ listen: { ...localhost, port: onlyPort(first), reusePort: true } })
          assert.deepEqual(second.errors, ['EADDRINUSE'])
        })
        return
      }

      async function startTwo(workers?: number): Promise<{ port: number; both: SiteProcess[] }> {
        const first = await start({ listen: { ...localhost, reusePort: true } })
        const port = onlyPort(first)
        const more = workers === undefined ? {} : { workers }
        const second = await start({ ...more, listen: { ...localhost, port, reusePort: true } })
        assert.deepEqual(second.errors, [])
        return { port, both: [first, second] }
      }

      it('share it without a cluster, and the kernel divides connections among them', async () => {
        const { port, both } = await startTwo()
        const answered = (await visits(port, 60)).map(({ pid }) => pid)
        for (const { pids } of both) assert.ok(answered.includes(pids[0] as number), 'one of them got nothing')
      })

      it('share it as workers of a cluster, which then stay out of it', async () => {
        const { port, both } = await startTwo(2)
        const answered = new Set((await visits(port, 90)).map(({ pid }) => pid))
        assert.deepEqual([...answered].toSorted(), both.flatMap(({ pids }) => pids).toSorted())
      })

      inEachVersion((version) => {
        it('resume what the other began', async () => {
          const { port } = await startTwo()
          const made = await roam(port, 20, only(version))
          assert.deepEqual(
            made.map(({ how }) => how),
            ['new', ...Array(19).fill('resumed')],
          )
          assert.equal(new Set(made.map(({ pid }) => pid)).size, 2)
        })
      })

      it('leave the port to the rest when one ends', async () => {
        const { port, both } = await startTwo()
        const [first, second] = both as [SiteProcess, SiteProcess]
        await first.stop()
        const answered = await visits(port, 20)
        assert.ok(answered.every(({ pid }) => pid === second.pids[0]))
      })

      it('keep it from processes that do not say so', async () => {
        const { port } = await startTwo()
        const intruder = await start({ listen: { ...localhost, port } })
        assert.deepEqual(intruder.errors, ['EADDRINUSE'])
      })
    })
  })
})
