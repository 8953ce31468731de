// docs/conformance.md keeps its word: each row names a test, and each named test exists in the named file.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))

interface Row {
  readonly page: string
  readonly version: string
  readonly statement: string
  readonly behaviour: string
  readonly tests: readonly { readonly title: string; readonly file: string }[]
}

/** The rows of the tables, each with the heading that it is under. */
function rowsOf(text: string): Row[] {
  return text.split(/^## /m).flatMap((section) => {
    const [page = '', ...lines] = section.split('\n')
    return lines
      .filter((line) => line.startsWith('|') && !/^\| Version |^\|---/.test(line))
      .map((line) => {
        const [, version = '', statement = '', behaviour = '', shown = '', ...rest] = line
          .split('|')
          .map((c) => c.trim())
        assert.deepEqual(rest, [''], line)
        const tests = [...shown.matchAll(/\[([^\]]+)\]\(\.\.\/([^)]+)\)/g)].map(([, title = '', file = '']) => ({
          title,
          file,
        }))
        // Nothing but links, so that no title is overlooked.
        assert.equal(shown, tests.map(({ title, file }) => `[${title}](../${file})`).join('<br>'))
        return { page, version, statement, behaviour, tests }
      })
  })
}

/** The full titles of the tests of each file, without the protocol that they run in. */
async function titlesOf(files: readonly string[]): Promise<Map<string, Set<string>>> {
  const compiled = files.map((file) => join(root, 'build', file.replace(/\.ts$/, '.js')))
  const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js')
  const args = [mocha, '--dry-run', '--reporter', 'json', ...compiled]
  const { stdout } = await run(process.execPath, args, { cwd: root, maxBuffer: 2 ** 26 })
  const { tests } = JSON.parse(stdout) as { tests: { fullTitle: string; file: string }[] }
  return new Map(
    files.map((file, index) => [
      file,
      new Set(
        tests
          .filter((test) => test.file === compiled[index])
          .map(({ fullTitle }) => fullTitle.replace(/ in TLS 1\.[23](?= )/, '')),
      ),
    ]),
  )
}

describe('docs/conformance.md', () => {
  const text = readFileSync(join(root, 'docs/conformance.md'), 'utf8')
  const rows = rowsOf(text)

  it('has a table for each page and version', () => {
    const versions = new Map<string, Set<string>>()
    for (const { page, version } of rows) {
      versions.set(page, new Set([...(versions.get(page) ?? []), ...version.split(', ')]))
    }
    assert.deepEqual(Object.fromEntries([...versions].map(([page, of]) => [page, [...of].toSorted()])), {
      'SSL_CTX_sess_set_get_cb(3)': ['1.0.1-dev', '1.1.1', '3.0.7'],
      'SSL_CTX_add_session(3)': ['1.1.0'],
      'SSL_get_session(3)': ['3.x'],
      'What versions do differently': ['1.1.1', '3.0', '3.2', '3.3', '3.4', '3.6', '4.0'],
    })
  })

  it('says in each row what the page says, what the library does, and which test shows it', () => {
    for (const { statement, behaviour, tests } of rows) {
      assert.match(statement, /\.$/)
      assert.match(behaviour, /[.)]$/)
      assert.ok(tests.length > 0, statement)
    }
  })

  it('names tests that exist', async () => {
    const named = rows.flatMap(({ tests }) => tests)
    const existing = await titlesOf([...new Set(named.map(({ file }) => file))])
    const missing = named.filter(({ title, file }) => !existing.get(file)?.has(title))
    assert.deepEqual(missing, [])
  })
})
