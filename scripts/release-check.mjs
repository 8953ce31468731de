// All that must hold before a tag is published, the quickest first. Stops at the first thing that does not.
//
//   node scripts/release-check.mjs         in a clean checkout of the tag, as root (see scripts/roots.mjs)

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))

const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).trimEnd()

function requireCleanTree() {
  const changes = git('status', '--porcelain')
  if (changes) throw new Error(`What is released must be committed:\n${changes}`)
}

/** The version must be the same to npm, to git and to readers of the changelog. */
function requireOneVersion() {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  const headings = [...readFileSync('CHANGELOG.md', 'utf8').matchAll(/^## \[(.*?)\]/gm)].map(([, name]) => name)
  if (!headings.includes(version)) {
    const there = headings.map((name) => `[${name}]`).join(', ')
    throw new Error(
      `CHANGELOG.md has no heading "## [${version}]" yet, only ${there}: move the entries under the new version.`,
    )
  }
  const tags = git('tag', '--points-at', 'HEAD').split('\n').filter(Boolean)
  if (!tags.includes(`v${version}`)) {
    const there = tags.length > 0 ? `it has ${tags.join(', ')}` : 'it has none'
    throw new Error(`This commit needs the tag v${version}, as package.json says; ${there}. \`npm version\` sets it.`)
  }
  console.log(`v${version}`)
}

const env = { ...process.env, OPENSSL_SESSION_TESTS: 'thorough' }

const steps = [
  ['run', 'lint'],
  ['test'],
  ['run', 'docs:api', '--', '--check'],
  ['run', 'prebuilds', '--', '--check'],
  ['run', 'test:package'],
  ['run', 'test:matrix', '--', '--check'],
]

try {
  requireCleanTree()
  requireOneVersion()
  for (const args of steps) {
    console.log(`\n== npm ${args.join(' ')}`)
    if (spawnSync('npm', args, { stdio: ['ignore', 'inherit', 'inherit'], env }).status !== 0) {
      throw new Error(`\`npm ${args.join(' ')}\` failed.`)
    }
  }
  requireCleanTree()
  console.log('\nReady for `npm publish`.')
} catch (error) {
  console.error(`\n${error.message}`)
  process.exitCode = 1
}
