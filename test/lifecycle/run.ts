// Runs the programs of this folder, each in a process of its own, because a crash is one of the things that they look
// for.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { credentials } from '../support/credentials.js'
import type { Identity } from './endpoints.js'

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** What every program is told; it finds it in `task` of programs/task.ts. */
export interface Task extends Identity {
  readonly [parameter: string]: unknown
}

/** The compiled file of a program. */
export const programFile = (name: string) => fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url))

/** Runs a program to its end, whatever that is. */
export function run(program: string, parameters: object = {}, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const { certFile, keyFile } = credentials()
  const task: Task = { certFile, keyFile, ...parameters }
  const child = spawn(process.execPath, ['--expose-gc', programFile(program), JSON.stringify(task)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, ...output }))
  })
}

/** Runs a program that is to end well. Returns what it reported: the JSON that it printed. */
export async function report<T>(program: string, parameters: object = {}, env: NodeJS.ProcessEnv = {}): Promise<T> {
  const { code, signal, stdout, stderr } = await run(program, parameters, env)
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
  return JSON.parse(stdout)
}

/** The addon that the programs load: the one that OPENSSL_SESSION_BUILD names, like lib/native.ts. */
export function addonFile(): string {
  const build = process.env.OPENSSL_SESSION_BUILD || 'Release'
  if (build.endsWith('.node')) return build
  return fileURLToPath(new URL(`../../${build}/openssl_session.node`, import.meta.url))
}
