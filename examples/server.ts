import { readFileSync } from 'node:fs'
import { createServer } from 'openssl-session'
import { LmdbSessionStore } from 'openssl-session/stores'

const server = createServer(
  {
    key: readFileSync('key.pem'),
    cert: readFileSync('cert.pem'),
    sessionStore: new LmdbSessionStore('sessions.mdb'), // shared by every process that opens the file
  },
  (socket) => {
    const how = socket.isSessionReused() ? 'resumed' : 'new'
    socket.end(`${socket.getProtocol()}, ${how} session\n`)
  },
)
server.on('tlsClientError', (error) => console.error('handshake failed:', error.message))
server.on('sessionStoreError', (error) => console.error('store failed, handshakes go on:', error.message))
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
