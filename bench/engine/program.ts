// A program that the benchmark runs beside itself, and talks to in lines: words to it, JSON from it. Which programs
// there are and what they measure is said elsewhere.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** What a server answers. */
export interface Report {
  /** Microseconds of processor time, user and system, all threads. */
  cpu: number
  /** How often its threads have gone to sleep. */
  switches: number
  /** Bytes of resident memory. */
  rss: number
  handshakes: number
  resumed: number
  errors: number
  received: number
  sent: number
  open?: number
  requests?: number
  /** The event loop's delay in milliseconds, 99th percentile, since it was asked to watch. */
  delay?: number
}

/** No program of the benchmark lives longer than this, in milliseconds. */
const LIFETIME = 120_000

export class Program {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #lines: AsyncIterator<string>
  readonly #ended: Promise<unknown>

  constructor(command: string, args: string[]) {
    this.#name = [command, ...args].join(' ')
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], timeout: LIFETIME })
    this.#ended = once(this.#child, 'close')
    // Reported by the read that finds the end of the output.
    this.#ended.catch(() => {})
    this.#child.stdin?.on('error', () => {})
    this.#lines = createInterface({ input: this.#child.stdout as Readable })[Symbol.asyncIterator]()
  }

  /** The next line. */
  async read<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (!done) return JSON.parse(value)
    await this.#ended
    throw new Error(`Ended with ${this.#child.signalCode ?? `status ${this.#child.exitCode}`}: ${this.#name}`)
  }

  /** Says a word and reads the answer. */
  ask<T>(word: string): Promise<T> {
    ;(this.#child.stdin as Writable).write(`${word}\n`)
    return this.read()
  }

  /** Lets the program end, which it does with its input. */
  async stop(): Promise<void> {
    this.#child.stdin?.end()
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await this.#ended.catch(() => {})
    clearTimeout(impatience)
  }
}

/** Runs a program to its end and returns its output. */
export async function run(command: string, args: string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIFETIME })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error(`Failed: ${[command, ...args].join(' ')}\n${output}${errors}`)
  return output
}
