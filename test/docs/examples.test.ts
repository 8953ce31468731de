// The examples of docs/: the pages show the files as they are, and these run, with the clients that a reader would try.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect } from 'openssl-session'
import { Agent, fetch } from 'undici'
import { WebSocket } from 'ws'
import { Program, versionFlag } from '../support/programs.js'
import { RedisCluster, RedisServer } from '../support/redis.js'
import { closeAll, inEachVersion, readAll, until } from '../support/tls.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))

const pages = {
  'early-data.md': ['examples/early.ts'],
  'http.md': ['examples/http.ts', 'examples/http2.ts', 'examples/websocket.ts'],
  'processes.md': ['examples/cluster.ts'],
  'security.md': [],
  'stores.md': ['examples/fleet.ts', 'examples/nodes.ts', 'examples/metrics.ts'],
  'tickets.md': ['examples/tickets.ts'],
}

for (const [page, files] of Object.entries(pages)) {
  describe(`docs/${page}`, () => {
    const text = readFileSync(join(root, 'docs', page), 'utf8')

    it('shows the example files as they are, each in about twenty lines', () => {
      const shown = [...text.matchAll(/<!-- (examples\/\w+\.ts) -->\n```ts\n([\s\S]*?)```/g)]
      assert.deepEqual(
        shown.map(([, file]) => file),
        files,
      )
      for (const [, file = '', example = ''] of shown) {
        assert.equal(example, readFileSync(join(root, file), 'utf8'))
        assert.ok(example.split('\n').length <= 25, `${file} is longer than a newcomer reads`)
      }
    })

    it('links to files that exist', () => {
      const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, link = '']) => link)
      assert.ok(links.length > 0)
      assert.deepEqual(
        links.filter((link) => !existsSync(join(root, 'docs', link))),
        [],
      )
    })
  })
}

describe('Every example', () => {
  it('is shown in the README or on a page', () => {
    const pages = readdirSync(join(root, 'docs')).filter((page) => page.endsWith('.md'))
    const texts = ['README.md', ...pages.map((page) => join('docs', page))]
    const shown = texts.map((text) => readFileSync(join(root, text), 'utf8')).join('\n')
    const files = readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.ts'))
    assert.deepEqual(
      files.filter((file) => !shown.includes(`<!-- examples/${file} -->`)),
      [],
    )
  })
})

describe('The example of', () => {
  let folder: string
  const running: ChildProcess[] = []

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-examples-'))
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem']
    const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    await run('openssl', ['req', '-x509', ...key, ...name, '-days', '1', '-out', 'cert.pem'], { cwd: folder })
  })

  afterEach(async () => {
    await closeAll()
    for (const child of running.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'close')
    }
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  interface Example {
    readonly child: ChildProcess
    readonly port: number
    /** What it has printed. */
    readonly output: () => string
  }

  /** Starts an example on a port of its own and waits until it listens, `times` times. */
  async function start(name: string, env: NodeJS.ProcessEnv = {}, times = 1): Promise<Example> {
    const file = join(root, 'build/examples', `${name}.js`)
    const child = spawn(process.execPath, [file], {
      cwd: folder,
      env: { ...process.env, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    running.push(child)
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes
    })
    const ports = () => [...output.matchAll(/port: (\d+)/g)].map(([, port]) => Number(port))
    await until(() => ports().length >= times || child.exitCode !== null)
    assert.equal(new Set(ports()).size, 1, output)
    return { child, port: ports()[0] as number, output: () => output }
  }

  function ca(): string {
    return readFileSync(join(folder, 'cert.pem'), 'utf8')
  }

  async function curl({ port }: Example, ...args: string[]): Promise<string> {
    const trust = ['--silent', '--show-error', '--max-time', '10', '--cacert', join(folder, 'cert.pem')]
    const { stdout } = await run('curl', [...trust, '--resolve', `localhost:${port}:127.0.0.1`, ...args])
    return stdout
  }

  describe('http', () => {
    it('answers curl, whose second connection resumes', async () => {
      const example = await start('http')
      const url = `https://localhost:${example.port}`
      const close = ['--http1.1', '--header', 'Connection: close']
      assert.equal(
        await curl(example, ...close, `${url}/one`, `${url}/two`),
        'GET /one, TLSv1.3, new session\nGET /two, TLSv1.3, resumed session\n',
      )
    })

    it('ends on SIGTERM, although clients keep connections', async () => {
      const { child, port } = await start('http')
      const agent = new Agent({ connect: { ca: ca() }, keepAliveTimeout: 60_000 })
      const answer = await fetch(`https://localhost:${port}/kept`, { dispatcher: agent })
      assert.match(await answer.text(), /^GET \/kept/)
      const ended = once(child, 'exit')
      const began = Date.now()
      child.kill('SIGTERM')
      assert.deepEqual(await ended, [0, null])
      assert.ok(Date.now() - began < 4000, 'it has waited for keepAliveTimeout')
      await agent.destroy()
    })
  })

  describe('http2', () => {
    it('answers curl in the version of HTTP that it asks for', async () => {
      const example = await start('http2')
      const url = `https://localhost:${example.port}/path`
      assert.equal(await curl(example, '--http2', url, url), 'GET /path over HTTP/2.0\n'.repeat(2))
      assert.equal(await curl(example, '--http1.1', url, url), 'GET /path over HTTP/1.1\n'.repeat(2))
    })

    it('answers undici in both versions', async () => {
      const { port } = await start('http2')
      for (const [allowH2, version] of [
        [true, '2.0'],
        [false, '1.1'],
      ] as const) {
        const agent = new Agent({ connect: { ca: ca() }, allowH2 })
        const answer = await fetch(`https://localhost:${port}/`, { dispatcher: agent })
        assert.equal(await answer.text(), `GET / over HTTP/${version}\n`)
        await agent.destroy()
      }
    })
  })

  describe('websocket', () => {
    it('sends every client what one of them sends', async () => {
      const { port } = await start('websocket')
      const clients = [1, 2, 3].map(() => new WebSocket(`wss://localhost:${port}`, { ca: ca() }))
      await Promise.all(clients.map((client) => once(client, 'open')))
      const heard = clients.map((client) => once(client, 'message'))
      clients[0]?.send('to all')
      for (const [data, binary] of await Promise.all(heard)) {
        assert.deepEqual([String(data), binary], ['to all', false])
      }
      const ends = clients.map((client) => once(client, 'close'))
      for (const client of clients) client.close(1000)
      for (const [code] of await Promise.all(ends)) assert.equal(code, 1000)
    })

    it('tells others that it is for WebSockets only', async () => {
      const example = await start('websocket')
      const answer = await curl(example, '--write-out', '%{http_code}', `https://localhost:${example.port}/`)
      assert.equal(answer, 'WebSockets only\n426')
    })
  })

  describe('early', () => {
    it('answers early what is harmless, and the rest after the handshake', async () => {
      const { port } = await start('early')
      const trust = { port, host: '127.0.0.1', servername: 'localhost', ca: ca() }
      const ask = (method: string) => `${method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
      for (const [method, answer] of [
        ['GET', 'GET, early'],
        ['POST', 'Too Early'],
      ] as const) {
        const first = connect(trust)
        const [session] = (await once(first, 'session')) as [Buffer]
        first.destroy()
        const early = (await readAll(connect({ ...trust, session, earlyData: Buffer.from(ask(method)) }))).toString()
        assert.ok(early.includes(`\n${answer}\n`), early)
        assert.equal(/^HTTP\/1\.1 425/.test(early), method === 'POST')
      }
      const late = (await readAll(connect({ ...trust, earlyData: Buffer.from(ask('POST')) }))).toString()
      assert.ok(late.includes('\nPOST, after the handshake\n'), late)
    })
  })

  describe('fleet', () => {
    it('resumes in one process what another began, sealed in Redis, and serves without Redis too', async () => {
      writeFileSync(join(folder, 'seal.keys'), `${randomBytes(32).toString('base64')}\n`)
      const redis = await RedisServer.start()
      const env = { REDIS_URL: redis.url }
      const [one, two] = [await start('fleet', env), await start('fleet', env)]
      const visit = async ({ port }: Example, ...args: string[]): Promise<string | undefined> => {
        const connect = ['-connect', `127.0.0.1:${port}`, '-ign_eof', '-tls1_3']
        return /TLSv1\.3, (\w+) session$/m.exec(await new Program('s_client', ...connect, ...args).ended())?.[1]
      }
      const file = join(folder, 'fleet.pem')
      assert.equal(await visit(one, '-sess_out', file), 'new')
      assert.equal(await visit(two, '-sess_in', file), 'resumed')
      await redis.stop()
      assert.equal(await visit(one, '-sess_in', file), 'new')
    })
  })

  describe('nodes', () => {
    it('starts without its Cluster, and resumes when there is one', async () => {
      const cluster = await RedisCluster.start()
      await Promise.all(cluster.nodes.map((node) => node.kill()))
      const example = await start('nodes', { REDIS_URLS: cluster.nodes.map(({ url }) => url).join(' ') })
      const file = join(folder, 'nodes.pem')
      const visit = async (...args: string[]): Promise<string | undefined> => {
        const connect = ['-connect', `127.0.0.1:${example.port}`, '-ign_eof', '-tls1_3']
        return /TLSv1\.3, (\w+) session$/m.exec(await new Program('s_client', ...connect, ...args).ended())?.[1]
      }
      assert.equal(await visit('-sess_out', file), 'new')
      assert.equal(await visit('-sess_in', file), 'new')
      await cluster.revive()
      const outcomes: (string | undefined)[] = []
      while (outcomes.at(-1) !== 'resumed' && outcomes.length < 100) {
        await visit('-sess_out', file)
        outcomes.push(await visit('-sess_in', file))
      }
      assert.equal(outcomes.at(-1), 'resumed', String(outcomes))
      await cluster.stop()
    })
  })

  describe('tickets', () => {
    it('resumes in one process what another began, and goes on when the keys change', async () => {
      const write = (...keys: Buffer[]): void =>
        writeFileSync(join(folder, 'ticket.keys'), keys.map((key) => `${key.toString('base64')}\n`).join(''))
      const [old, next] = [randomBytes(80), randomBytes(48)]
      write(old)
      const one = await start('tickets')
      write(next, old)
      const two = await start('tickets')
      write(next)
      const three = await start('tickets')
      const visit = async ({ port }: Example, ...args: string[]): Promise<string | undefined> => {
        const connect = ['-connect', `127.0.0.1:${port}`, '-ign_eof', '-tls1_3']
        return /TLSv1\.3, (\w+) session$/m.exec(await new Program('s_client', ...connect, ...args).ended())?.[1]
      }
      const [first, second] = [join(folder, 'ticket1.pem'), join(folder, 'ticket2.pem')]
      assert.equal(await visit(one, '-sess_out', first), 'new')
      assert.equal(await visit(two, '-sess_in', first, '-sess_out', second), 'resumed')
      assert.equal(await visit(three, '-sess_in', second), 'resumed')
      assert.equal(await visit(three, '-sess_in', first), 'new')
    })
  })

  describe('metrics', () => {
    const dashboard = readFileSync(join(root, 'examples/grafana/dashboard.json'), 'utf8')

    /** What Prometheus would read: the lines of each series. */
    async function scrape({ output }: Example): Promise<string> {
      await until(() => /metrics at \S+/.test(output()))
      const [url = ''] = /http:\S+/.exec(output()) ?? []
      return (await fetch(url)).text()
    }

    it('shows Prometheus every series that the dashboard asks for, and the dashboard leaves out no metric', async () => {
      writeFileSync(join(folder, 'seal.key'), randomBytes(32))
      const example = await start('metrics', { METRICS_PORT: '0' })
      const file = join(folder, 'metrics.pem')
      const connect = ['s_client', '-connect', `127.0.0.1:${example.port}`, '-ign_eof', '-tls1_3']
      assert.match(await new Program(...connect, '-sess_out', file).ended(), /TLSv1\.3, new session$/m)
      assert.match(await new Program(...connect, '-sess_in', file).ended(), /TLSv1\.3, resumed session$/m)
      const text = await scrape(example)
      assert.match(text, /^openssl_session_handshakes_total\{protocol="TLSv1.3",how="resumed"\} 1$/m)
      const series = new Map<string, Set<string>>()
      for (const [, name = '', labels = ''] of text.matchAll(/^(openssl_session_\w+)(?:\{(.*)\})? /gm)) {
        const known = series.get(name) ?? new Set(['instance'])
        series.set(name, known)
        for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label)
      }
      const asked = new Set<string>()
      for (const { expr } of queries()) {
        for (const [, name = '', selector = ''] of expr.matchAll(/(openssl_session_\w+)\{(.*?)\}/g)) {
          asked.add(name)
          const labels = [...selector.matchAll(/(\w+)=/g), ...expr.matchAll(/by \((\w+)/g)].map(
            ([, label = '']) => label,
          )
          for (const label of labels) assert.ok(series.get(name)?.has(label), `${label} of ${name} in ${expr}`)
        }
      }
      const metrics = [...text.matchAll(/^# TYPE (openssl_session_\w+) /gm)].map(([, name = '']) => name)
      assert.ok(metrics.length >= 10)
      assert.deepEqual(
        metrics.filter((name) => !asked.has(name) && !asked.has(`${name}_bucket`)),
        [],
      )
    })

    /** The queries of the panels, each of which has what Grafana needs to show it. */
    function queries(): { expr: string; refId: string }[] {
      const { panels } = JSON.parse(dashboard) as {
        panels: { id: number; title: string; targets: { expr: string; refId: string }[] }[]
      }
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
      assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length)
      return panels.flatMap(({ targets }) => {
        assert.ok(targets.length > 0)
        return targets
      })
    }
  })

  describe('cluster', () => {
    /** One visit of s_client: which worker answered, and how. */
    async function visit(port: number, ...args: string[]): Promise<{ worker: number; how: string }> {
      const program = new Program('s_client', '-connect', `127.0.0.1:${port}`, '-ign_eof', ...args)
      const output = await program.ended()
      const [, worker, how = ''] = /^worker (\d+), TLSv1\.\d, (\w+) session$/m.exec(output) ?? assert.fail(output)
      return { worker: Number(worker), how }
    }

    inEachVersion((version) => {
      it('resumes in one worker what another began, for openssl s_client', async () => {
        const { port } = await start('cluster', { WORKERS: '3' }, 3)
        const file = join(folder, `session-${version}.pem`)
        const visits = [await visit(port, versionFlag(version), '-sess_out', file)]
        for (let count = 0; count < 5; count++) {
          visits.push(await visit(port, versionFlag(version), '-sess_in', file, '-sess_out', file))
        }
        assert.deepEqual(
          visits.map(({ how }) => how),
          ['new', ...Array(5).fill('resumed')],
        )
        assert.equal(new Set(visits.map(({ worker }) => worker)).size, 3)
      })
    })

    it('replaces a worker that dies, and ends with its primary', async () => {
      const example = await start('cluster', { WORKERS: '2' }, 2)
      const { port } = example
      const victim = (await visit(port)).worker
      process.kill(victim, 'SIGKILL')
      await until(() => [...example.output().matchAll(/port: \d+/g)].length === 3)
      const workers = new Set<number>()
      for (let count = 0; count < 4; count++) workers.add((await visit(port)).worker)
      assert.equal(workers.size, 2)
      assert.ok(!workers.has(victim))
      example.child.kill('SIGKILL')
      await until(() => [...workers].every((worker) => !existsSync(`/proc/${worker}`)))
    })

    it('gives up when its workers cannot even listen', async () => {
      const empty = mkdtempSync(join(folder, 'empty-'))
      const file = join(root, 'build/examples/cluster.js')
      const child = spawn(process.execPath, [file], { cwd: empty, env: { ...process.env, WORKERS: '2', PORT: '0' } })
      running.push(child)
      let errors = ''
      child.stderr.on('data', (bytes: Buffer) => {
        errors += bytes
      })
      await once(child, 'close')
      assert.match(errors, /key\.pem/)
      assert.equal(errors.match(/ENOENT: no such file/g)?.length, 2)
    })
  })
})
