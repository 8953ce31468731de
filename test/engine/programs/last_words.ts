// A server whose first connection gets some bytes, and whose process exits as soon as they count as written.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'openssl-session'
import { say, task } from './task.js'

const { cert, key, size } = task
const server = createServer({ cert, key, threads: 2 }, (socket) => {
  socket.write(Buffer.alloc(Number(size), 'x'), () => process.exit(0))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
say((server.address() as AddressInfo).port)
