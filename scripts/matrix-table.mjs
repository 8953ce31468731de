// What scripts/test-matrix.mjs writes down: docs/matrix.md, from the results of its cells.

/** How a cell of the table says what came of it. */
const totalsOf = ({ totals: { passed, failed } }) =>
  failed === 0 ? `${passed} passed` : `${passed} passed, **${failed} failed**`

const minutes = (seconds) => `${Math.max(1, Math.round(seconds / 60))} min`

const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)

/**
 * The page, in lines of Markdown. `systems` are the rows, `nodes` the columns; `resultOf` tells what is known of a cell, or
 * undefined.
 */
export function page({ systems, nodes, resultOf, why }) {
  const cells = systems.flatMap((system) => nodes.map((node) => resultOf(system.name, node)))
  const results = cells.filter((result) => result !== undefined)
  const open = cells.length - results.length
  const overview = systems.map(({ name, suite, addon }) => {
    const ofRow = nodes.map((node) => resultOf(name, node))
    const version = ofRow.find((result) => result)?.version ?? name
    const told = ofRow.map((result) => (result ? totalsOf(result) : 'no result'))
    return [version, `Debian ${suite}`, `\`${addon}\``, ...told]
  })
  const runs = results.map(({ version, program, date, seconds, totals }) => [
    version,
    program,
    totals.passed,
    totals.failed,
    totals.skipped,
    date,
    minutes(seconds),
  ])
  const failures = results
    .filter(({ totals }) => totals.failed > 0)
    .flatMap(({ version, program, totals }) => [
      `OpenSSL ${version}, Node.js ${program}:`,
      '',
      ...totals.failures.map(({ title }) => `- ${title}`),
      '',
    ])
  return [
    '# Matrix',
    '',
    'The test suite on each OpenSSL with each Node.js, on the prebuilt addons. Written by `npm run test:matrix`',
    '([packaging.md](packaging.md)). What versions do differently is asserted, and listed in [conformance.md](conformance.md).',
    '',
    ...table(['OpenSSL', 'on', 'addon', ...nodes.map((node) => `Node.js ${node}`)], overview),
    '',
    ...(open > 0 ? [`${open} of ${cells.length} cells have no result: ${why}.`, ''] : []),
    '## Runs',
    '',
    ...table(['OpenSSL', 'Node.js', 'passed', 'failed', 'skipped', 'date', 'took'], runs),
    '',
    ...(failures.length > 0 ? ['## Failures', '', ...failures] : []),
  ]
}
