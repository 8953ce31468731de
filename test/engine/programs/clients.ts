// Clients in a process of their own, so that they are no part of what is measured, nor blocked with it. They come at once
// and report together.

import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import { say, task, told } from './task.js'

export interface Report {
  /** How many handshakes came to what. */
  readonly resumed: number
  readonly full: number
  readonly failed: number
  readonly errors: readonly string[]
  /** From the first to the last, in milliseconds. */
  readonly duration: number
}

/** What the test may ask: how many of which kind, and what becomes of them. */
export interface Wave {
  readonly port: number
  readonly count: number
  /** DER, in hex, that each of them proposes. */
  readonly session?: string
  readonly version?: tls.SecureVersion
  /** Whether they stay when the handshake is done. */
  readonly stay?: boolean
  readonly servernames?: readonly string[]
  /** At most so many handshakes at a time. */
  readonly atOnce?: number
}

const staying = new Set<net.Socket>()

async function one(wave: Wave, index: number): Promise<'resumed' | 'full'> {
  const session = wave.session === undefined ? {} : { session: Buffer.from(wave.session, 'hex') }
  const version = wave.version === undefined ? {} : { minVersion: wave.version, maxVersion: wave.version }
  const names = wave.servernames ?? ['localhost']
  const servername = names[index % names.length] as string
  const transport = net.connect(wave.port, '127.0.0.1')
  const socket = tls.connect({ socket: transport, ca: task.ca, servername, ...session, ...version })
  staying.add(transport)
  transport.once('close', () => staying.delete(transport))
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  const how = socket.isSessionReused() ? 'resumed' : 'full'
  if (!wave.stay) {
    socket.resume().end()
    await once(transport, 'close')
  }
  return how
}

/** Gets a session that the server resumes. */
async function fetchSession(port: number, version: tls.SecureVersion): Promise<string> {
  const range = { minVersion: version, maxVersion: version }
  const socket = tls.connect({ port, host: '127.0.0.1', ca: task.ca, servername: 'localhost', ...range })
  const [session] = (await once(socket, 'session')) as [Buffer]
  socket.resume().end()
  await once(socket, 'close')
  return session.toString('hex')
}

async function run(wave: Wave): Promise<Report> {
  const count = { resumed: 0, full: 0, failed: 0 }
  const errors = new Set<string>()
  const begin = Date.now()
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < wave.count) {
      await one(wave, next++).then(
        (how) => count[how]++,
        (error: Error) => {
          count.failed++
          errors.add(error.message)
        },
      )
    }
  }
  await Promise.all(Array.from({ length: Math.min(wave.count, wave.atOnce ?? wave.count) }, lane))
  return { ...count, errors: [...errors], duration: Date.now() - begin }
}

/** Waits until no connection has ended for a while. */
async function settled(): Promise<void> {
  for (let before = -1; before !== staying.size; ) {
    before = staying.size
    await delay(200)
  }
}

for (;;) {
  const [command = '', argument = ''] = (await told()).split(/ (.*)/s)
  if (command === 'session') {
    const [port, version] = argument.split(' ')
    say(await fetchSession(Number(port), version as tls.SecureVersion))
  } else if (command === 'run') {
    say(await run(JSON.parse(argument)))
  } else if (command === 'start') {
    // Nobody waits for what becomes of them.
    void run(JSON.parse(argument))
    say('started')
  } else if (command === 'reset') {
    for (const socket of staying) socket.resetAndDestroy()
    say('reset')
  } else if (command === 'count') {
    // Those that were cut off hear of it in the next turns.
    await settled()
    say(String(staying.size))
  } else if (command === 'leave') {
    for (const socket of staying) socket.destroy()
    say('left')
  }
}
