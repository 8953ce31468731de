// A server whose look-ups are never answered, in the main thread or in a worker of it, which is to end in one way or another.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { createServer, leaks, type Server } from 'openssl-session'
import { trusting } from './servers.js'
import { say, task } from './task.js'

let waiting = 0

async function listen(lookups: boolean): Promise<Server> {
  const { cert, key } = task
  const sessions = new Map<string, Buffer>()
  const store = {
    get: () => {
      waiting++
      return new Promise<null>(() => {})
    },
    set: (id: Buffer, session: Buffer) => void sessions.set(id.toString('hex'), session),
    delete: () => {},
  }
  // In TLS 1.2 a client that knows nothing of the past proposes an id all the same when it knows TLS 1.3.
  const options = { cert, key, threads: 2, ...(lookups ? { sessionStore: store, lookupTimeout: 120_000 } : {}) }
  const server = createServer(options, (socket) => socket.on('error', () => {}).pipe(socket))
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  return server
}

function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

/** What either kind of thread does when it is told. */
function obey(command: string, answer: (message: string) => void, port: number): void {
  const [what = '', ...rest] = command.split(' ')
  if (what === 'exit') process.exit(42)
  else if (what === 'throw') {
    setImmediate(() => {
      throw new Error('thrown at the top')
    })
  } else if (what === 'block') {
    block(Number(rest[0]))
    answer('awake')
  } else if (what === 'port') answer(String(port))
  else if (what === 'wait') {
    const count = Number(rest.at(-1))
    const look = (): void => {
      if (waiting >= count) answer('waiting')
      else setTimeout(look, 5)
    }
    look()
  }
}

/** Whether a server of this thread still serves. */
async function serves(server: Server): Promise<boolean> {
  const socket = tls.connect(trusting((server.address() as AddressInfo).port))
  await once(socket, 'secureConnect')
  socket.write('hello')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  await once(socket, 'close')
  return answer.toString() === 'hello'
}

async function overWorker(): Promise<void> {
  const own = await listen(false)
  const before = leaks().live.SSL
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task })
  let error: string | null = null
  worker.on('error', ({ message }: Error) => {
    error = message
  })
  const [port] = (await once(worker, 'message')) as [string]
  worker.on('message', say)
  process.on('message', async (message) => {
    const command = String(message)
    if (command === 'leave') {
      process.removeAllListeners('message')
      own.close()
      return
    }
    // Not once(), which an error would reject.
    const exit = new Promise<number>((resolve) => worker.once('exit', resolve))
    if (command === 'terminate') void worker.terminate()
    else worker.postMessage(command)
    if (!['terminate', 'exit', 'throw'].includes(command)) return
    const exitCode = await exit
    while (leaks().live.SSL > before) await delay(5)
    const live = leaks().live.SSL - before
    say({ exitCode, error, live, serves: await serves(own) })
  })
  say(port)
}

if (isMainThread && task.where === 'worker') {
  await overWorker()
} else {
  const server = await listen(true)
  const port = (server.address() as AddressInfo).port
  const answer = (message: string): void => {
    if (isMainThread) say(message)
    else parentPort?.postMessage(message)
  }
  if (isMainThread) process.on('message', (message) => obey(String(message), answer, port))
  else parentPort?.on('message', (message) => obey(String(message), answer, port))
  answer(String(port))
}
