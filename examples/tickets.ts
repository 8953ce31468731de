import { readFileSync } from 'node:fs'
import { createServer } from 'openssl-session'

// One key in each line, the first one seals: `openssl rand -base64 -A 80`. Read again every minute.
const ticketKeys = () =>
  Array.from(readFileSync('ticket.keys', 'latin1').matchAll(/.+/g), ([key]) => Buffer.from(key, 'base64'))

const identity = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }
const server = createServer({ ...identity, ticketKeys, sessionIdContext: 'example' }, (socket) => {
  socket.end(`${socket.getProtocol()}, ${socket.isSessionReused() ? 'resumed' : 'new'} session\n`)
})
server.on('ticketKeysError', (error) => console.error('keys stay as they are:', error.message))
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
