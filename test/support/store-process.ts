// Other processes that use a session store's file: what they can be told to do, and how a test tells them.
// Started as a program, this file is such a process.

import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { LmdbSessionStore } from 'openssl-session/stores'

/** What a process can be told. Ids are in hexadecimal. */
interface Commands {
  /** Takes these sessions, all at once. Answers which it got, undamaged. */
  take: { ask: { ids: string[] }; answer: string[] }
  /** Stores a session of each id. */
  set: { ask: { ids: string[] }; answer: null }
  /** Answers which of these sessions it finds, undamaged. */
  get: { ask: { ids: string[] }; answer: string[] }
  /** Writes without end; prints each id as soon as its session has been acknowledged. */
  burst: { ask: object; answer: null }
  /** Begins a write, and keeps its event loop busy. */
  hang: { ask: { milliseconds: number }; answer: null }
  /** Opens the file and closes it again, so often. */
  reopen: { ask: { times: number }; answer: null }
  /** Ends by `process.exit` with writes under way. */
  exit: { ask: object; answer: null }
}

/** The session of an id: a function of it, so that every process can tell whether one is damaged. */
export function sessionOf(id: Buffer): Buffer {
  const hash = createHash('sha256').update(id).digest()
  return Buffer.concat(Array.from({ length: 8 }, () => hash)).subarray(0, hash.readUInt8(0) + 1)
}

/** A process that has the file open. */
export class StoreProcess {
  readonly #child: ChildProcess
  /** What it has printed. */
  output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (bytes: Buffer) => {
      this.output += bytes.toString('latin1')
    })
  }

  static async start(path: string): Promise<StoreProcess> {
    const child = fork(fileURLToPath(import.meta.url), [path], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    const started = new StoreProcess(child)
    await started.#message()
    return started
  }

  /** Tells it something, and waits for the answer. */
  async ask<Name extends keyof Commands>(name: Name, ask: Commands[Name]['ask']): Promise<Commands[Name]['answer']> {
    this.#child.send({ name, ask })
    return (await this.#message()) as Commands[Name]['answer']
  }

  /** Tells it something that has no answer, or one that nobody waits for. */
  tell<Name extends keyof Commands>(name: Name, ask: Commands[Name]['ask']): void {
    this.#child.send({ name, ask })
  }

  /** Kills it at once, and returns once all that it printed is in `output`. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'close')
  }

  /** Waits for its end. */
  async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const [code, signal] = await once(this.#child, 'close')
    return { code, signal }
  }

  async #message(): Promise<unknown> {
    const done = new AbortController()
    const ended = once(this.#child, 'exit', done).then(([code, signal]) => assert.fail(`ended: ${code ?? signal}`))
    const [message] = await Promise.race([once(this.#child, 'message', done), ended])
    ended.catch(() => {})
    done.abort()
    return message.answer
  }
}

const HOUR = 3600

function main(path: string): void {
  let store = new LmdbSessionStore(path)
  const buffers = (ids: string[]) => ids.map((id) => Buffer.from(id, 'hex'))
  const undamaged = (ids: string[], sessions: (Buffer | undefined)[]) =>
    ids.filter((id, index) => sessions[index]?.equals(sessionOf(Buffer.from(id, 'hex'))))

  const commands: { [Name in keyof Commands]: (ask: Commands[Name]['ask']) => Promise<Commands[Name]['answer']> } = {
    async take({ ids }) {
      return undamaged(ids, await Promise.all(buffers(ids).map((id) => store.take(id))))
    },
    async set({ ids }) {
      await Promise.all(buffers(ids).map((id) => store.set(id, sessionOf(id), HOUR)))
      return null
    },
    async get({ ids }) {
      return undamaged(
        ids,
        buffers(ids).map((id) => store.get(id)),
      )
    },
    async burst() {
      const write = async (): Promise<never> => {
        for (;;) {
          const id = randomBytes(32)
          await store.set(id, sessionOf(id), HOUR)
          writeSync(1, `${id.toString('hex')}\n`)
        }
      }
      for (let writers = 0; writers < 8; writers++) void write()
      return null
    },
    async hang({ milliseconds }) {
      const ids = Array.from({ length: 100 }, () => randomBytes(32))
      void Promise.all(ids.map((id) => store.set(id, sessionOf(id), HOUR)))
      // By then the first of them have been handed to the thread that commits.
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds))
      return null
    },
    async reopen({ times }) {
      for (let count = 0; count < times; count++) {
        await store.close()
        store = new LmdbSessionStore(path)
      }
      return null
    },
    async exit() {
      for (let count = 0; count < 500; count++) void store.set(randomBytes(32), randomBytes(200), HOUR)
      setTimeout(() => process.exit(0), 5)
      return null
    },
  }

  process.on('message', async ({ name, ask }: { name: keyof Commands; ask: never }) => {
    const answer = await commands[name](ask)
    if (process.connected) process.send?.({ answer })
  })
  // A test that ends early must not leave a writer behind.
  process.on('disconnect', () => process.exit())
  process.send?.({ answer: null })
}

const [, program, path] = process.argv
if (program === fileURLToPath(import.meta.url) && path !== undefined) main(path)
