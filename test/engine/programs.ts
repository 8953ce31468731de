// Runs the programs of this folder, each in a process of its own, and talks with them by messages.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { certs } from '../support/certs.js'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
}

export interface Limits {
  /** How many descriptors it may have; by default as many as this process. */
  readonly descriptors?: number
  readonly env?: NodeJS.ProcessEnv
}

const running = new Set<Program>()

/** Ends what a test that failed has left behind. */
export function killAll(): void {
  for (const program of running) program.kill()
}

export class Program {
  readonly #child: ChildProcess
  readonly #messages: unknown[] = []
  #stderr = ''
  /** What it ended with. */
  readonly ended: Promise<Ended>

  /** `task` is what the program finds in its `task`, next to the tests' certificates. */
  constructor(name: string, task: object = {}, { descriptors, env }: Limits = {}) {
    const { server, root } = certs()
    const file = fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url))
    const all = JSON.stringify({ cert: server.chain, key: server.key, ca: root.cert, ...task })
    const limit = descriptors === undefined ? [] : ['prlimit', `--nofile=${descriptors}`]
    // What is not Node does without the sanitizer that this process may run under.
    const [command = '', ...args] = [
      ...(descriptors === undefined ? [] : ['env', '-u', 'LD_PRELOAD', ...limit, 'env', `LD_PRELOAD=${preload}`]),
      process.execPath,
      '--expose-gc',
      file,
      all,
    ]
    this.#child = spawn(command, args, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'], env: { ...process.env, ...env } })
    running.add(this)
    this.#child.on('message', (message) => this.#messages.push(message))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.ended = this.#end()
  }

  async #end(): Promise<Ended> {
    // 'close' does not come when this side has closed the channel.
    const child = this.#child
    const [[code, signal]] = await Promise.all([once(child, 'exit'), child.stderr && once(child.stderr, 'close')])
    running.delete(this)
    return { code, signal, stderr: this.#stderr }
  }

  get pid(): number {
    return this.#child.pid as number
  }

  /** What it says next. Fails when it ends without a word. */
  async says<T = string>(): Promise<T> {
    while (this.#messages.length === 0) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        const { code, signal, stderr } = await this.ended
        if (this.#messages.length > 0) break
        throw new Error(`the program has ended with ${signal ?? code}: ${stderr}`)
      }
      await Promise.race([once(this.#child, 'message'), once(this.#child, 'exit')])
    }
    return this.#messages.shift() as T
  }

  tell(message: string): void {
    this.#child.send(message)
  }

  /** Tells it something and returns what it says next. */
  ask<T = string>(message: string): Promise<T> {
    this.tell(message)
    return this.says<T>()
  }

  /** Lets go of it: it ends by itself when it has nothing else to do. */
  leave(): void {
    if (this.#child.connected) this.#child.disconnect()
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

const preload = process.env.LD_PRELOAD ?? ''
