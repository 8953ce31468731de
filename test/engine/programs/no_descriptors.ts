// A server in a process that may have few descriptors. Says what accepting failed with, once, and in the end how often.

import type { AddressInfo } from 'node:net'
import { createServer } from 'openssl-session'
import { say, task, told } from './task.js'

const { cert, key, silent } = task
const server = createServer({ cert, key, threads: 2 }, (socket) => socket.on('error', () => {}).pipe(socket))
let errors = 0
function failed({ code, syscall }: NodeJS.ErrnoException): void {
  errors++
  if (errors === 1) say({ code, syscall })
}
if (silent === true) process.on('warning', (warning) => failed(warning as NodeJS.ErrnoException))
else server.on('acceptError', failed)
server.listen({ port: 0, host: '127.0.0.1', backlog: 200 }, () => say((server.address() as AddressInfo).port))
await told()
server.close(() => server.getConnections((_error, open) => say({ open, errors })))
