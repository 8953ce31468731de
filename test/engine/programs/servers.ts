// A server of ours or of node:tls's that sends everything back, for programs that compare the two.

import type net from 'node:net'
import tls from 'node:tls'
import { createServer } from 'openssl-session'
import { task } from './task.js'

export type Kind = 'ours' | 'theirs'

export function makeServer(kind: Kind): net.Server {
  const { cert, key } = task
  if (kind === 'theirs') return tls.createServer({ cert, key }, (socket) => socket.on('error', () => {}).pipe(socket))
  return createServer({ cert, key, threads: 2 }, (socket) => socket.on('error', () => {}).pipe(socket))
}

export function trusting(port: number): tls.ConnectionOptions {
  return { port, host: '127.0.0.1', servername: 'localhost', ca: task.ca }
}
