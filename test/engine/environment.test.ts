// The engine and the end of its environment: many connections and hundreds of paused look-ups do not keep a process
// or a thread from ending as it should, and two copies of the package do not know of each other.

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { addonFile } from '../lifecycle/run.js'
import { times } from '../support/thorough.js'
import { isPrebuilt } from '../support/versions.js'
import type { Report } from './programs/clients.js'
import { killAll, type Limits, Program } from './programs.js'

const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')

/** How long an end may take, in milliseconds, with another process working on the other core. */
const bound = 10_000

describe('The end of an environment with an engine', () => {
  afterEach(killAll)

  const all = { open: times(2000, 80), paused: times(200, 40) }
  const some = { open: times(300, 40), paused: times(100, 20) }

  /** A server with live connections and paused look-ups, in the main thread of a process or in a worker of it. */
  async function busy(
    where: 'main' | 'worker',
    { open, paused } = all,
    limits: Limits = {},
  ): Promise<{ server: Program; clients: Program }> {
    const server = new Program('busy_server', { where }, { descriptors: 8000, ...limits })
    const clients = new Program('clients', {}, { descriptors: 8000 })
    const port = Number(await server.says())
    const session = await clients.ask(`session ${port} TLSv1.2`)
    // A thread that waits for an answer itself has no time for handshakes.
    const many = limits.env === undefined ? paused : 20
    const full = JSON.stringify({ port, count: open, version: 'TLSv1.3', stay: true, atOnce: 200 })
    const report = await clients.ask<Report>(`run ${full}`)
    assert.deepEqual([report.full, report.failed, report.errors], [open, 0, []])
    await clients.ask(`start ${JSON.stringify({ port, count: many, version: 'TLSv1.2', session })}`)
    assert.equal(await server.ask(`wait for ${limits.env === undefined ? many : 1}`), 'waiting')
    return { server, clients }
  }

  async function end(program: Program, how: string): Promise<{ code: number | null; stderr: string }> {
    const begin = Date.now()
    program.tell(how)
    const { code, signal, stderr } = await program.ended
    assert.equal(signal, null, stderr)
    assert.ok(Date.now() - begin < bound, `took ${Date.now() - begin} ms`)
    return { code, stderr }
  }

  const withoutFibres = { env: { OPENSSL_SESSION_ASYNC: '0' } }
  for (const [title, limits] of [
    ['', {}],
    [', without async jobs', withoutFibres],
  ] as const) {
    const size = limits === withoutFibres ? some : all
    it(`is as process.exit() says${title}`, async () => {
      const { server } = await busy('main', size, limits)
      assert.deepEqual(await end(server, 'exit'), { code: 42, stderr: '' })
    })

    it(`is that of a Worker, whose process goes on: terminate()${title}`, async () => {
      const { server, clients } = await busy('worker', size, limits)
      const begin = Date.now()
      assert.deepEqual(await server.ask<object>('terminate'), { exitCode: 1, error: null, live: 0, serves: true })
      assert.ok(Date.now() - begin < bound)
      // They have all been cut off.
      assert.equal(await clients.ask('count'), '0')
      assert.deepEqual(await end(server, 'leave'), { code: 0, stderr: '' })
    })
  }

  it('follows from an uncaught exception', async () => {
    const { server } = await busy('main')
    const { code, stderr } = await end(server, 'throw')
    assert.equal(code, 1)
    assert.match(stderr, /Error: thrown at the top/)
  })

  it('follows from a signal', async () => {
    const { server } = await busy('main', some)
    process.kill(server.pid, 'SIGTERM')
    const { signal, stderr } = await server.ended
    assert.deepEqual({ signal, stderr }, { signal: 'SIGTERM', stderr: '' })
  })

  for (const [how, result] of [
    ['exit', { exitCode: 42, error: null }],
    ['throw', { exitCode: 1, error: 'thrown at the top' }],
  ] as const) {
    it(`is that of a Worker, whose process goes on: ${how}`, async () => {
      const { server, clients } = await busy('worker', some)
      assert.deepEqual(await server.ask<object>(how), { ...result, live: 0, serves: true })
      assert.equal(await clients.ask('count'), '0')
      assert.deepEqual(await end(server, 'leave'), { code: 0, stderr: '' })
    })
  }

  it('does not come when JavaScript is blocked for seconds, nor does the end of any connection', async () => {
    const { server, clients } = await busy('main')
    server.tell('block 2000')
    assert.equal(await server.says(), 'awake')
    assert.equal(await clients.ask('count'), String(all.open + all.paused))
    const echo = await clients.ask<Report>(
      `run ${JSON.stringify({ port: Number(await server.ask('port')), count: 5 })}`,
    )
    assert.equal(echo.full, 5)
    assert.deepEqual(await end(server, 'exit'), { code: 42, stderr: '' })
  })
})

describe('Two copies of the package in one process', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-two-'))
    const copy = join(folder, 'openssl-session')
    for (const part of ['dist', 'package.json'])
      cpSync(join(packageFolder, part), join(copy, part), { recursive: true })
    if (isPrebuilt) cpSync(join(packageFolder, 'prebuilds'), join(copy, 'prebuilds'), { recursive: true })
    else cpSync(addonFile(), join(copy, 'build', 'Release', 'openssl_session.node'))
    symlinkSync(join(packageFolder, 'node_modules'), join(copy, 'node_modules'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))
  afterEach(killAll)

  it('talk with each other, each on threads of its own', async () => {
    const copy = join(folder, 'openssl-session', 'dist', 'index.js')
    // Each copy its own addon.
    const library = isPrebuilt ? basename(addonFile(), '.node') : ''
    const program = new Program('two_copies', { copy, library })
    assert.deepEqual(await program.says<object>(), {
      same: false,
      answers: ['hello', 'hello', 'hello', 'hello'],
      resumed: [false, true, false, true],
      foreign: 'ERR_TLS_INVALID_CONTEXT',
    })
    program.leave()
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
  })
})
