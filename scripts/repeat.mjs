// Runs tests again and again, to find those that fail now and then, and stops at the first failure. Which tests, and how
// often: those of test/engine 20 times, unless told otherwise.
//
//   node scripts/repeat.mjs [TIMES] [build/test/some.test.js ...]

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

const args = process.argv.slice(2)
const times = /^\d+$/.test(args[0] ?? '') ? Number(args.shift()) : 20
const files = args.length > 0 ? args : ['build/test/engine/**/*.test.js']
const mocha = join('node_modules', 'mocha', 'bin', 'mocha.js')

for (let run = 1; run <= times; run++) {
  const begin = performance.now()
  const { status } = spawnSync(process.execPath, [mocha, '--reporter', 'dot', ...files], { stdio: 'inherit' })
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  console.log(`Run ${run} of ${times} ${status === 0 ? 'passed' : 'failed'} after ${seconds} s.`)
  if (status !== 0) {
    process.exitCode = 1
    break
  }
}
