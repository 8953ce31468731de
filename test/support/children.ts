// Code that runs in a process of its own and reports what came of it; and whether a process still runs.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const supportFolder = dirname(fileURLToPath(import.meta.url))
const packageFolder = join(supportFolder, '..', '..', '..')

export interface Outcome<T> {
  readonly result: T
  readonly stderr: string
}

/**
 * Runs the body of an async function in a fresh process and returns what it returned, by way of JSON. Inside,
 * `await use('peers')` is a module of this folder, and `gc` collects garbage.
 */
export function runFresh<T>(body: string, env: NodeJS.ProcessEnv = {}): T {
  return runFreshWithStderr<T>(body, env).result
}

/** The same, with what the process wrote to its standard error. */
export function runFreshWithStderr<T>(body: string, env: NodeJS.ProcessEnv = {}): Outcome<T> {
  const module = `
    const use = (name) => import(${JSON.stringify(supportFolder)} + '/' + name + '.js')
    const run = async () => { ${body} }
    console.log(JSON.stringify(await run()))`
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', module],
    { cwd: packageFolder, env: { ...process.env, ...env }, encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`the process ended with ${signal ?? status}: ${stderr}`)
  return { result: JSON.parse(stdout), stderr }
}

/** Whether a process runs. One that has ended may wait a second for its parent to notice, when that is the system's first process. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !existsSync('/proc/self/stat') || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}
