// Mocha's usual report, and as JSON the totals, those of each file, and titles and stacks of what failed, in the file
// named by the reporter option `output`, for .ci/run and scripts/test-matrix.mjs.

import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import Mocha from 'mocha'

interface Totals {
  passed: number
  failed: number
  skipped: number
}

export default class TotalsReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const output: unknown = options.reporterOptions?.output
    if (typeof output !== 'string') throw new Error('totals_reporter needs --reporter-option output=FILE')
    const failures: { file: string; title: string; error: string }[] = []
    const files: Record<string, Totals> = {}
    const count = ({ file }: Mocha.Test, what: keyof Totals): string => {
      const name = file === undefined ? '' : relative('', file)
      files[name] ??= { passed: 0, failed: 0, skipped: 0 }
      files[name][what]++
      return name
    }
    runner.on('pass', (test) => count(test, 'passed'))
    runner.on('pending', (test) => count(test, 'skipped'))
    runner.on('fail', (test: Mocha.Test, error: Error) =>
      failures.push({ file: count(test, 'failed'), title: test.fullTitle(), error: String(error?.stack ?? error) }),
    )
    runner.once('end', () => {
      const { passes: passed = 0, failures: failed = 0, pending: skipped = 0 } = runner.stats ?? {}
      writeFileSync(output, JSON.stringify({ passed, failed, skipped, failures, files }))
    })
  }
}
