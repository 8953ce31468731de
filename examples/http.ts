import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createServer, type TLSSocket } from 'openssl-session'
import { LmdbSessionStore } from 'openssl-session/stores'

const web = http.createServer((request, response) => {
  const socket = request.socket as unknown as TLSSocket
  const how = socket.isSessionReused() ? 'resumed' : 'new'
  response.end(`${request.method} ${request.url}, ${socket.getProtocol()}, ${how} session\n`)
})
const options = {
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
  sessionStore: new LmdbSessionStore('sessions.mdb'),
}
const server = createServer(options, (socket) => web.emit('connection', socket))
server.on('listening', () => web.emit('listening')) // begins headersTimeout and requestTimeout
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
process.once('SIGTERM', () => {
  server.close() // the process ends with its last connection
  web.closeIdleConnections()
})
