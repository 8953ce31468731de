// The table at the end of the demo.

interface Line {
  tried: string
  protocol: string
  seen: string
  expected: string
  server: string
  milliseconds: string
  ok: boolean
}

export function formatTable(lines: Line[]): string {
  const header = ['tried', 'protocol', 'session', 'expected', 'server', 'ms', '']
  const cells = lines.map(({ tried, protocol, seen, expected, server, milliseconds, ok }) => [
    tried,
    protocol,
    seen,
    expected,
    server,
    milliseconds.padStart(4),
    ok ? 'ok' : 'FAIL',
  ])
  const widths = header.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return [line(header), rule, ...cells.map(line)].join('\n')
}
