// Clients that come all at once, from a thread of their own: connected long before, each sends what it has been given and waits.

import { once } from 'node:events'
import net from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

const { port, hello, count } = workerData as { port: number; hello: Uint8Array; count: number }
const sockets = Array.from({ length: count }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
await Promise.all(sockets.map((socket) => once(socket, 'connect')))
parentPort?.postMessage('connected')
parentPort?.once('message', () => {
  for (const socket of sockets) socket.write(hello)
})
