import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createServer, type TLSSocket } from 'openssl-session'
import { LmdbSessionStore } from 'openssl-session/stores'

const harmless = new Set(['GET', 'HEAD', 'OPTIONS'])
const web = http.createServer((request, response) => {
  const early = !(request.socket as unknown as TLSSocket).handshakeComplete
  if (early && !harmless.has(request.method ?? '')) {
    response.writeHead(425).end('Too Early\n') // RFC 8470: the client asks again after the handshake
    return
  }
  response.end(`${request.method}, ${early ? 'early' : 'after the handshake'}\n`)
})
const options = {
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
  sessionStore: new LmdbSessionStore('sessions.mdb'),
  maxEarlyData: 16_384,
}
const server = createServer(options, (socket) => web.emit('connection', socket))
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
