import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { createServer } from 'openssl-session'

const h1 = http.createServer((request, response) => {
  response.end(`${request.method} ${request.url} over HTTP/${request.httpVersion}\n`)
})
const h2 = http2.createServer((request, response) => {
  response.end(`${request.method} ${request.url} over HTTP/${request.httpVersion}\n`)
})
const options = {
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
  ALPNProtocols: ['h2', 'http/1.1'],
}
const server = createServer(options, (socket) => {
  const web = socket.alpnProtocol === 'h2' ? h2 : h1
  web.emit('connection', socket)
})
server.on('listening', () => h1.emit('listening')) // begins headersTimeout and requestTimeout
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
