// A program as users write it, run where the package was installed: resumes sessions in TLS 1.2 and 1.3, in both homes of
// connections, and prints as JSON what came of it and which addon did it.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'openssl-session'
import { runtime } from 'openssl-session/libssl'
import { MemorySessionStore } from 'openssl-session/stores'

const read = (name) => readFileSync(new URL(name, import.meta.url))
const identity = { key: read('key.pem'), cert: read('cert.pem') }

/** Connects once and reads to the end. Returns the session and whether it was resumed. */
async function visit(options) {
  const socket = connect({ host: '127.0.0.1', servername: 'localhost', ca: identity.cert, ...options })
  const session = once(socket, 'session')
  await once(socket, 'secureConnect')
  const reused = socket.isSessionReused()
  socket.resume()
  const ended = once(socket, 'end')
  const told = options.session ? undefined : (await session)[0]
  await ended
  socket.end()
  await once(socket, 'close')
  return { reused, session: told }
}

const resumed = {}
for (const threads of [0, 1]) {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const only = { minVersion: version, maxVersion: version, threads }
    const server = createServer({ ...identity, ...only, sessionStore: new MemorySessionStore() }, (socket) => {
      socket.end('hello\n')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    const { session } = await visit({ ...only, port })
    const { reused } = await visit({ ...only, port, session })
    resumed[`${version}, ${threads === 0 ? 'inline' : 'engine'}`] = reused
    server.close()
    await once(server, 'close')
  }
}
console.log(JSON.stringify({ resumed, runtime: runtime(), node: process.version }))
