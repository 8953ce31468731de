// Whether a client that names no CAs trusts what the system's bundle holds: here the certificate of a server of ours.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'openssl-session'
import { runtime } from 'openssl-session/libssl'

const read = (name) => readFileSync(new URL(name, import.meta.url))
const server = createServer({ key: read('key.pem'), cert: read('cert.pem') }, (socket) => socket.end())
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const address = { host: '127.0.0.1', port: server.address().port, servername: 'localhost' }
const socket = connect({ ...address, rejectUnauthorized: false })
await once(socket, 'secureConnect')
const { authorized } = socket
socket.resume()
await once(socket, 'end')
socket.end()
await once(socket, 'close')
server.close()
console.log(JSON.stringify({ authorized, linkage: runtime().linkage }))
