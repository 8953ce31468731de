// Two copies of the package in one process: the server of one, the client of the other, and the other way round.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as ours from 'openssl-session'
import { say, task } from './task.js'

type Package = typeof ours

// What chooses an addon for the tests is not for the copy, which brings its own.
process.env.OPENSSL_SESSION_BUILD = ''
process.env.OPENSSL_SESSION_LIBSSL = task.library as string
const theirs = (await import(task.copy as string)) as Package
const answers: string[] = []
const resumed: boolean[] = []

async function talk(one: Package, other: Package): Promise<void> {
  const { cert, key, ca } = task
  const server = one.createServer({ cert, key, threads: 2 }, (socket) => socket.on('error', () => {}).pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let session: Buffer | undefined
  for (let i = 0; i < 2; i++) {
    const proposed = session === undefined ? {} : { session }
    const socket = other.connect({ port, host: '127.0.0.1', ca, servername: 'localhost', threads: 2, ...proposed })
    socket.on('session', (bytes) => {
      session = bytes
    })
    await once(socket, 'secureConnect')
    resumed.push(socket.isSessionReused())
    socket.write('hello')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    answers.push(answer.toString())
    socket.end()
    await once(socket, 'close')
  }
  server.close()
  await once(server, 'close')
}

await talk(ours, theirs)
await talk(theirs, ours)

let foreign = 'nothing thrown'
try {
  ours.createServer({ secureContext: theirs.createSecureContext() })
} catch (error) {
  foreign = (error as NodeJS.ErrnoException).code ?? String(error)
}
say({ same: ours.createServer === theirs.createServer, answers, resumed, foreign })
