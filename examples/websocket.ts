import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createServer } from 'openssl-session'
import { WebSocketServer } from 'ws'

const web = http.createServer((_request, response) => response.writeHead(426).end('WebSockets only\n'))
const sockets = new WebSocketServer({ server: web })
sockets.on('connection', (socket) => {
  socket.on('error', (error) => console.error('socket failed:', error.message))
  socket.on('message', (data, binary) => {
    for (const client of sockets.clients) client.send(data, { binary })
  })
})
const options = {
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
}
const server = createServer(options, (socket) => web.emit('connection', socket))
server.on('listening', () => web.emit('listening')) // begins headersTimeout and requestTimeout
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
