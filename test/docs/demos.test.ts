// The demo of a fleet: it ends well and says so, and leaves nothing behind, however it ends.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isAlive } from '../support/children.js'
import { sanitized } from '../support/sanitizer.js'
import { thorough } from '../support/thorough.js'
import { until } from '../support/tls.js'

const program = fileURLToPath(new URL('../../examples/demo/fleet.js', import.meta.url))

describe('The demo of a fleet', function () {
  this.timeout(130_000)

  let folder: string
  let child: ChildProcess
  let output: string

  before(function () {
    // It is about programs of others, and has to end in time.
    if (sanitized) this.skip()
  })

  function start(...args: string[]): void {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-demos-'))
    output = ''
    child = spawn(process.execPath, [program, ...args], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (bytes: Buffer) => {
        output += bytes
      })
    }
  }

  afterEach(() => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  /** Waits until the processes that it has started are gone; so are their files. */
  async function assertNothingIsLeft(): Promise<void> {
    const pids = [...output.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid))
    assert.ok(pids.length >= 12, output)
    await until(() => !pids.some(isAlive))
    assert.deepEqual(readdirSync(folder), [])
  }

  // Briefly it is begun and interrupted: a whole one takes longer than any file of tests.
  const itAtLength = thorough ? it : () => {}

  itAtLength('resumes all that can be resumed, and tells what and where', async () => {
    start()
    const [code] = await once(child, 'close')
    assert.equal(code, 0, output)
    const [, resumed, possible] = /^Resumed: (\d+) of (\d+) that were possible/m.exec(output) ?? assert.fail(output)
    assert.equal(resumed, possible)
    assert.ok(Number(possible) >= 20, output)
    const table = output.split('\n').slice(output.split('\n').findIndex((line) => line.startsWith('tried  ')) + 2)
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      for (let number = 1; number <= 4; number++) {
        const row = new RegExp(`${version} +reused +reused +server-${number} .* ok$`)
        assert.ok(
          table.some((line) => row.test(line)),
          `${row} in ${output}`,
        )
      }
      const elsewhere = new RegExp(`which has another Redis +${version} +full +full`)
      assert.ok(table.some((line) => elsewhere.test(line)))
      const promoted = new RegExp(`the promoted replica has it +${version} +reused +reused`)
      assert.ok(table.some((line) => promoted.test(line)))
    }
    assert.doesNotMatch(output, /FAIL/)
    await assertNothingIsLeft()
  })

  // With --ports there is no second process in a network of its own.
  for (const args of thorough ? [[], ['--ports']] : [[]]) {
    it(`takes everything with it when it is interrupted ${args}`.trim(), async () => {
      start(...args)
      await until(() => output.includes('A client roams') || child.exitCode !== null)
      child.kill('SIGINT')
      assert.deepEqual(await once(child, 'close'), [130, null])
      await assertNothingIsLeft()
    })
  }
})
