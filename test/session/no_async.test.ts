// The fallback for platforms without async jobs, forced by OPENSSL_SESSION_ASYNC=0: the same stories in a process of
// their own, and those that are told only there.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js')

interface Report {
  readonly stats: { readonly passes: number; readonly pending: number; readonly failures: number }
  readonly failures: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[]
}

/** Runs test files of this folder without async jobs. `timeout` is each test's, in milliseconds. */
async function runWithoutAsync(files: string[], timeout: number): Promise<Report> {
  const paths = files.map((file) => fileURLToPath(new URL(`${file}.js`, import.meta.url)))
  const env = { ...process.env, OPENSSL_SESSION_ASYNC: '0' }
  const args = [mocha, '--reporter', 'json', '--timeout', `${timeout}`, ...paths]
  const output = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, args, { env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (stdout.includes('"stats"')) resolve(stdout)
      else reject(new Error(`no report: ${error?.message} ${stderr}`))
    })
  })
  return JSON.parse(output.slice(output.indexOf('{\n  "stats"')))
}

describe('With OPENSSL_SESSION_ASYNC=0', () => {
  for (const [what, files] of Object.entries({
    'a handshake cannot pause, and every misuse of that has its error': ['no_async.child'],
    'the stories of the callbacks are the same as long as they answer at once': [
      'new.test',
      'remove.test',
      'get.test',
      'callbacks.test',
      'keylog.test',
      'tickets.test',
    ],
  })) {
    it(what, async function () {
      const { stats, failures } = await runWithoutAsync(files, this.timeout())
      const failed = failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message}`)
      assert.deepEqual(failed, [])
      assert.ok(stats.passes > 0)
      assert.equal(stats.pending, 0)
    })
  }
})
