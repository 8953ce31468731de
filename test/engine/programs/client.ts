// A client in a program that has nothing else to do.

import { once } from 'node:events'
import tls from 'node:tls'
import { connect } from 'openssl-session'
import { trusting } from './servers.js'
import { say, task } from './task.js'

const options = trusting(task.port as number)
const socket = (
  task.kind === 'ours' ? connect({ ...options, threads: 2 } as object) : tls.connect(options)
) as tls.TLSSocket
if (task.state === 'unref at once') {
  socket.unref()
} else {
  await once(socket, 'secureConnect')
  socket.resume()
  if (task.state === 'unref') {
    socket.unref()
  } else {
    process.on('message', async (message) => {
      if (message !== 'end') {
        say('alive')
        return
      }
      process.removeAllListeners('message')
      socket.end()
      await once(socket, 'close')
      say('closed')
    })
  }
  say('ready')
}
