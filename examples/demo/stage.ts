// What the demos share: a folder with a certificate, server processes, visits of `openssl s_client` with what is expected of
// them, and the verdict. Whatever is left goes when the process ends, however that comes about.

import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runtime } from 'openssl-session/libssl'
import { connectOnce, type Protocol } from './client.js'
import { formatTable } from './table.js'

export const PROTOCOLS: Protocol[] = ['TLSv1.2', 'TLSv1.3']

export const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Where processes run. */
export interface Place {
  readonly address: string
  /** What a command that runs there begins with. */
  readonly entering: readonly string[]
}

export const HERE: Place = { address: '127.0.0.1', entering: [] }

export interface ServerProcess {
  name: string
  address: string
  port: number
  child: ChildProcess
}

/** What is to become of a visit; `either` where only its handshake has to complete. */
export type Expectation = 'reused' | 'full' | 'either'

export interface Attempt {
  tried: string
  server: ServerProcess
  protocol: Protocol
  expect: Expectation
  /** Name of the session to propose. */
  propose?: string
  /** Name under which to keep the session that the server gives. */
  keep?: string
}

export interface Row {
  tried: string
  protocol: string
  expected: Expectation
  seen: 'reused' | 'full'
  server: string
  milliseconds: string
  ok: boolean
}

export class Stage {
  readonly rows: Row[] = []
  /** How often servers have reported that their store failed. */
  storeErrors = 0
  readonly #folder = mkdtempSync(join(tmpdir(), 'openssl-session-demo-'))
  readonly #running = new Set<ChildProcess>()

  /** `limit` is in milliseconds: a demo that takes longer has failed. */
  constructor(limit: number) {
    process.once('exit', () => this.#clear())
    for (const signal of SIGNALS) {
      process.once(signal, () => process.exit(128 + constants.signals[signal]))
    }
    const tooLong = (): void => {
      console.error(`The demo has not ended within ${limit / 1000} seconds.`)
      process.exit(1)
    }
    setTimeout(tooLong, limit).unref()
    this.#makeCertificate()
  }

  /** The path of a file that goes with the demo. */
  file(name: string): string {
    return join(this.#folder, name)
  }

  /** The file of a session. */
  sessionFile(name: string, protocol: Protocol): string {
    return this.file(`${name}-${protocol}.pem`)
  }

  /** Starts a server process; `store` is as server.ts takes it. */
  async startServer(name: string, store: string, { address, entering }: Place = HERE): Promise<ServerProcess> {
    const [execPath = '', ...execArgv] = [...entering, process.execPath]
    const program = fileURLToPath(new URL('server.js', import.meta.url))
    const child = fork(program, [name, store, this.#folder, address], { execPath, execArgv })
    this.#running.add(child)
    const port = await new Promise<number>((resolve, reject) => {
      child.on('message', (message: { port?: number; storeError?: string }) => {
        if (message.storeError) this.storeErrors++
        if (message.port) resolve(message.port)
      })
      child.once('exit', () => reject(new Error(`${name} ended before it listened`)))
    })
    console.log(`  ${name} listens on port ${port}, process ${child.pid}`)
    return { name, address, port, child }
  }

  /** Ends a server the hard way: what its store has acknowledged must be enough. */
  async kill({ name, child }: ServerProcess): Promise<void> {
    child.kill('SIGKILL')
    await once(child, 'exit')
    this.#running.delete(child)
    console.log(`  ${name} was killed`)
  }

  /** Visits a server, and notes whether all went as it should. */
  async attempt({ tried, server, protocol, expect, propose, keep }: Attempt): Promise<Row> {
    const outcome = await connectOnce({
      server,
      protocol,
      ...(propose && { propose: this.sessionFile(propose, protocol) }),
      ...(keep && { keep: this.sessionFile(keep, protocol) }),
    })
    const seen = outcome.reused ? 'reused' : 'full'
    // Client, server and expectation have to agree.
    const asExpected = expect === 'either' || seen === expect
    const ok = asExpected && outcome.answer === `${server.name} ${protocol} ${seen}` && outcome.protocol === protocol
    const milliseconds = outcome.milliseconds.toFixed(0)
    const row = {
      tried,
      protocol: outcome.protocol,
      expected: expect,
      seen,
      server: server.name,
      milliseconds,
      ok,
    } as const
    this.rows.push(row)
    console.log(`  ${ok ? 'ok  ' : 'FAIL'} ${protocol} ${tried}: ${seen} on ${server.name}, ${milliseconds} ms`)
    return row
  }

  /** Plays a demo to its end: the table, what `sum` has to say, and the exit code. It has failed if `sum` says so or a visit was not as it should be. */
  async play(main: () => Promise<void>, sum: () => { text: string; ok: boolean }): Promise<void> {
    let failure: unknown
    try {
      await main()
    } catch (error) {
      failure = error
    }
    const failed = this.rows.filter(({ ok }) => !ok).length
    const { text, ok } = sum()
    const { headerVersion, libraryVersion, libssl, linkage } = runtime()
    console.log(`\n${formatTable(this.rows)}`)
    console.log(`\n${text}`)
    console.log(`OpenSSL: headers ${headerVersion}, library ${libraryVersion} (${linkage}), ${libssl}`)
    if (failure) console.error(failure)
    else console.log(failed === 0 ? 'Every connection went as it should.' : `${failed} did not go as they should.`)
    process.exit(failure || failed > 0 || !ok ? 1 : 0)
  }

  #makeCertificate(): void {
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', this.file('key.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const args = ['req', '-x509', ...newKey, ...subject, '-days', '1', '-out', this.file('cert.pem')]
    execFileSync('openssl', args, { stdio: 'ignore' })
  }

  #clear(): void {
    for (const child of this.#running) child.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
