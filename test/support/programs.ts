// The openssl program as the other side of a connection: s_client and s_server as child processes.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import type { Version } from './tls.js'

/** The flag that pins the openssl program to one protocol. */
export function versionFlag(version: Version): string {
  return version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3'
}

/** Opens a session with s_client and leaves it in `file`. */
export async function openSession(port: number, version: Version, file: string): Promise<void> {
  rmSync(file, { force: true })
  const program = new Program('s_client', '-connect', `127.0.0.1:${port}`, versionFlag(version), '-sess_out', file)
  try {
    // In TLS 1.3 the session comes some time after the handshake.
    while (!existsSync(file) || !readFileSync(file, 'latin1').includes('-----END'))
      await new Promise((resolve) => setTimeout(resolve, 2))
    await program.end()
  } finally {
    program.destroy()
  }
}

/** Whether s_client resumes the session in `file`. */
export async function resumesSession(port: number, version: Version, file: string): Promise<boolean> {
  const program = new Program('s_client', '-connect', `127.0.0.1:${port}`, versionFlag(version), '-sess_in', file)
  try {
    const [, how] = await program.prints(/^(New|Reused), TLS/m)
    await program.end()
    return how === 'Reused'
  } finally {
    program.destroy()
  }
}

/** A running openssl program. */
export class Program {
  readonly #child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable }
  readonly #closed: Promise<unknown>
  /** Everything it has printed. */
  output = ''

  constructor(...args: string[]) {
    this.#child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] })
    const collect = (bytes: Buffer): void => {
      this.output += bytes.toString('latin1')
    }
    this.#child.stdout.on('data', collect)
    this.#child.stderr.on('data', collect)
    this.#child.stdin.on('error', () => {})
    this.#closed = once(this.#child, 'close')
  }

  /** Waits until it has printed something that fits. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output)
      if (match !== null) return match
      if (this.#child.exitCode !== null)
        throw new Error(`openssl has ended without printing ${pattern}:\n${this.output}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  write(text: string): void {
    this.#child.stdin.write(text)
  }

  /** Ends its input, which ends s_client, and waits for its end. */
  end(): Promise<string> {
    this.#child.stdin.end()
    return this.ended()
  }

  /** Waits until it ends by itself. Returns everything it has printed. */
  async ended(): Promise<string> {
    await this.#closed
    return this.output
  }

  /** Stops it until it is told to go on: it neither reads nor writes. */
  halt(): void {
    this.#child.kill('SIGSTOP')
  }

  goOn(): void {
    this.#child.kill('SIGCONT')
  }

  destroy(): void {
    this.#child.kill('SIGKILL')
  }
}
