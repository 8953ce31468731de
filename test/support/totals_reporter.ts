// Mocha's usual report, and as JSON the totals, and titles and stacks of what failed, in the file named by the reporter
// option `output`, for .ci/run and scripts/test-matrix.mjs.

import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'

export default class TotalsReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const output: unknown = options.reporterOptions?.output
    if (typeof output !== 'string') throw new Error('totals_reporter needs --reporter-option output=FILE')
    const failed: { title: string; error: string }[] = []
    runner.on('fail', (test: Mocha.Test, error: Error) =>
      failed.push({ title: test.fullTitle(), error: String(error?.stack ?? error) }),
    )
    runner.once('end', () => {
      const { passes = 0, failures = 0, pending = 0 } = runner.stats ?? {}
      writeFileSync(output, JSON.stringify({ passed: passes, failed: failures, skipped: pending, failures: failed }))
    })
  }
}
