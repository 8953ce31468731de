// Keeps the opening of an LMDB file and the writing to it apart, between all processes that share it. It knows nothing of
// what is in the file.
//
// Needed because of a bug in the LMDB that the package lmdb carries (OpenLDAP's ITS#9496, present up to lmdb 3.5.6 at
// least): a process that opens a file while another commits can set the file back to the state before that commit. The
// commit is lost, and the next ones may use its pages twice. Opening is rare and takes milliseconds, so whoever opens
// asks the others to hold their writes for that long.
//
// The means are those of a second, empty LMDB file, the gate. Nothing is ever committed to it, which makes opening it
// safe. Its write lock admits one opener at a time; its table of readers shows which processes have writes under way.
// The kernel and LMDB take both back from a process that was killed.

import { closeSync, existsSync, openSync, rmSync } from 'node:fs'
import type { Transaction } from 'lmdb'
import type { Environment } from './lmdb-file.js'

/** How long an opener waits for the writes of others. One that takes longer has been committed long since: its event loop is busy. */
const PATIENCE = 2000

export class Gate {
  readonly #environment: Environment
  /** Exists while somebody opens the file. */
  readonly #notice: string
  #passage: Transaction | undefined

  constructor(environment: Environment, path: string) {
    this.#environment = environment
    this.#notice = `${path}-opening`
  }

  /** Runs `open` while no other process writes, blocking until it may. */
  whileNobodyWrites<T>(open: () => T): T {
    return this.#environment.transactionSync(() => {
      closeSync(openSync(this.#notice, 'w', 0o600))
      try {
        const end = Date.now() + PATIENCE
        while (this.#othersWrite() && Date.now() < end) sleep(1)
        return open()
      } finally {
        rmSync(this.#notice, { force: true })
      }
    })
  }

  /** Whether somebody waits for the writes under way to end. */
  get wanted(): boolean {
    return existsSync(this.#notice)
  }

  /** Announces writes. They may begin when the promise has resolved, and `leave` says when they have ended. */
  async enter(): Promise<void> {
    while (!this.#passage) {
      // First seen, then looking: of an opener and a writer that come at the same time one notices the other.
      this.#passage = this.#environment.useReadTransaction()
      if (!this.wanted) return
      this.leave()
      // Waits for the opener; and if there is none any more, the notice is that of one who was killed.
      await this.#environment.transaction(() => rmSync(this.#notice, { force: true }))
    }
  }

  leave(): void {
    this.#passage?.done()
    this.#passage = undefined
    this.#environment.resetReadTxn()
  }

  close(): Promise<void> {
    this.leave()
    return this.#environment.close()
  }

  #othersWrite(): boolean {
    this.#environment.readerCheck()
    // One line for each reader: process id, thread id, and the transaction it reads or a dash. Those of this process do
    // not matter: where it has the file open already, LMDB does not open it again.
    return this.#environment
      .readerList()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .some(([pid, , transaction]) => /^\d+$/.test(transaction ?? '') && pid !== String(process.pid))
  }
}

/** Blocks this thread. */
export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
