// A server in one of several states, in a program that has nothing else to do.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { type Kind, makeServer, trusting } from './servers.js'
import { say, task } from './task.js'

const server = makeServer(task.kind as Kind)
const state = task.state as string

if (state === 'unref before') server.unref()
if (state !== 'not listening') {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}
if (state.startsWith('one connection')) {
  const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
  const socket = tls.connect(trusting((server.address() as AddressInfo).port))
  const [[peer]] = await Promise.all([accepted, once(socket, 'secureConnect')])
  peer.unref()
  socket.unref()
}
if (state.endsWith('unref')) server.unref()
if (state === 'closed') {
  server.close()
  await once(server, 'close')
}
if (state === 'ref') {
  process.on('message', (message) => {
    if (message === 'close') server.close()
    else say('alive')
  })
}
say('ready')
