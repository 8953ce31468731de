// The README's examples: the text is that of files under examples/, and these run.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runtime } from 'openssl-session/libssl'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const compiled = (name: string) => join(root, 'build/examples', `${name}.js`)

describe('The README', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const examples = [...readme.matchAll(/<!-- (examples\/\w+\.ts) -->\n```ts\n([\s\S]*?)```/g)]

  it('shows the example files as they are, each in about twenty lines', () => {
    assert.deepEqual(
      examples.map(([, file]) => file),
      ['examples/server.ts', 'examples/libssl.ts'],
    )
    for (const [, file = '', text = ''] of examples) {
      assert.equal(text, readFileSync(join(root, file), 'utf8'))
      assert.ok(text.split('\n').length <= 24, `${file} is longer than a newcomer reads`)
    }
  })

  it('has a libssl example that runs and names the library', async () => {
    const { stdout } = await run(process.execPath, [compiled('libssl')])
    assert.match(stdout, /^OpenSSL \d\.\d+\.\d+/)
    assert.ok(stdout.endsWith(` ${runtime().libssl}\n`), stdout)
  })

  describe('in its server example', () => {
    const folder = mkdtempSync(join(tmpdir(), 'openssl-session-readme-'))
    const running: ChildProcess[] = []

    before(async () => {
      const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost']
      await run('openssl', [...request, '-keyout', 'key.pem', '-out', 'cert.pem'], { cwd: folder })
    })

    after(() => {
      for (const child of running) child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    })

    async function start(): Promise<string> {
      const child = spawn(process.execPath, [compiled('server')], {
        cwd: folder,
        env: { ...process.env, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      running.push(child)
      const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
      return /port: (\d+)/.exec(chunk.toString())?.[1] ?? assert.fail(chunk.toString())
    }

    async function connect(port: string, session: string[]): Promise<string> {
      const child = execFile('openssl', ['s_client', '-tls1_2', '-connect', `127.0.0.1:${port}`, ...session], {
        cwd: folder,
      })
      let output = ''
      child.stdout?.on('data', (text: string) => {
        output += text
      })
      await once(child, 'close')
      return /^TLSv1\.2, (\w+) session$/m.exec(output)?.[1] ?? assert.fail(output)
    }

    it('resumes in a second process what the first one began', async () => {
      assert.equal(await connect(await start(), ['-sess_out', 'session.pem']), 'new')
      assert.equal(await connect(await start(), ['-sess_in', 'session.pem']), 'resumed')
    })
  })
})
