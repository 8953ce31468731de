// Server processes that share a port, and sessions: what they can be told to do, and how a test tells them.
// Started as a program, this file is such a process: one server, or the primary of node's cluster with its workers.

import { type ChildProcess, fork } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo, ListenOptions } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createServer } from 'openssl-session'
import { LmdbSessionStore } from 'openssl-session/stores'
import { certs } from './certs.js'
import { until } from './tls.js'

interface Setup {
  /** Workers of node's cluster; none is one server without a cluster. */
  readonly workers?: number
  /** Who divides connections among workers: the primary in turn, or the kernel. */
  readonly policy?: 'rr' | 'none'
  /** Engine threads, 0 for none. */
  readonly threads: number
  readonly listen: ListenOptions & { reusePort?: boolean }
  /** The file of the common store; without one, sessions are in stateless tickets. */
  readonly store?: string
  /** The keys of those, in hexadecimal. */
  readonly ticketKeys?: readonly string[]
}

/** What became of the `listen` of one server. */
interface Report {
  readonly pid: number
  readonly address?: AddressInfo | string
  /** The error's code. */
  readonly error?: string
}

/** A server, or a cluster of them, in processes of its own. Each server tells a client its process id and 'new' or 'resumed', then sends back what it gets. */
export class SiteProcess {
  readonly #child: ChildProcess
  readonly reports: Report[] = []
  /** The workers that have ended. */
  readonly exited: number[] = []

  private constructor(setup: Setup) {
    const { chainFile, keyFile } = certs().server
    const args = [JSON.stringify({ ...setup, chainFile, keyFile })]
    this.#child = fork(fileURLToPath(import.meta.url), args, {
      env: { ...process.env, NODE_CLUSTER_SCHED_POLICY: setup.policy ?? 'rr' },
    })
    this.#child.on('message', (message: Report | { exited: number }) => {
      if ('exited' in message) this.exited.push(message.exited)
      else this.reports.push(message)
    })
  }

  /** Starts it, and waits until each of its servers listens or has failed to. */
  static async start(setup: Setup): Promise<SiteProcess> {
    const started = new SiteProcess(setup)
    await until(() => started.reports.length === (setup.workers ?? 1) || started.#child.exitCode !== null)
    return started
  }

  /** The process ids of the servers that listen. */
  get pids(): number[] {
    return this.reports.filter(({ error }) => error === undefined).map(({ pid }) => pid)
  }

  /** The codes of the servers that do not. */
  get errors(): string[] {
    return this.reports.flatMap(({ error }) => error ?? [])
  }

  /** The ports that its servers listen on. */
  get ports(): Set<number> {
    const addresses = this.reports.flatMap(({ address }) => address ?? [])
    return new Set(addresses.flatMap((address) => (typeof address === 'string' ? [] : address.port)))
  }

  /** Has the primary tell a worker to finish. */
  disconnect(pid: number): void {
    this.#child.send({ disconnect: pid })
  }

  /** Ends it at once, with its workers. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}

function serve(setup: Setup & { chainFile: string; keyFile: string }): void {
  const { threads, listen, store, chainFile, keyFile } = setup
  const identity = { cert: readFileSync(chainFile), key: readFileSync(keyFile) }
  const sessionStore = store === undefined ? undefined : new LmdbSessionStore(store)
  const ticketKeys = setup.ticketKeys?.map((key) => Buffer.from(key, 'hex'))
  const server = createServer({ ...identity, threads, sessionStore, ticketKeys }, (socket) => {
    socket.on('error', () => {})
    socket.write(`${process.pid} ${socket.isSessionReused() ? 'resumed' : 'new'}\n`)
    socket.pipe(socket)
  })
  const report = (report: object): void => void process.send?.({ pid: process.pid, ...report })
  server.on('error', (error: NodeJS.ErrnoException) => report({ error: error.code }))
  server.listen(listen, () => report({ address: server.address() }))
}

function lead(workers: number): void {
  for (let count = 0; count < workers; count++) cluster.fork()
  cluster.on('message', (_worker, message) => process.send?.(message))
  cluster.on('exit', (worker) => process.send?.({ exited: worker.process.pid }))
  process.on('message', ({ disconnect }: { disconnect: number }) => {
    for (const worker of Object.values(cluster.workers ?? {})) {
      if (worker?.process.pid === disconnect) worker.disconnect()
    }
  })
}

const [, program, setup] = process.argv
if (program === fileURLToPath(import.meta.url) && setup !== undefined) {
  const { workers, ...rest } = JSON.parse(setup)
  if (workers !== undefined && cluster.isPrimary) lead(workers)
  else serve(rest)
  // Neither a test that ends early nor a primary leaves anybody behind.
  if (cluster.isPrimary) process.on('disconnect', () => process.exit())
}
