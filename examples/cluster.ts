import cluster from 'node:cluster'
import { readFileSync } from 'node:fs'
import { createServer } from 'openssl-session'
import { LmdbSessionStore } from 'openssl-session/stores'

if (cluster.isPrimary) {
  for (let count = Number(process.env.WORKERS ?? 4); count > 0; count--) cluster.fork()
  cluster.on('listening', (worker) => {
    worker.once('exit', () => worker.exitedAfterDisconnect || cluster.fork()) // what has worked once is replaced
  })
} else {
  const server = createServer(
    {
      key: readFileSync('key.pem'),
      cert: readFileSync('cert.pem'),
      sessionStore: new LmdbSessionStore('sessions.mdb'), // the workers' common memory
    },
    (socket) => {
      const how = socket.isSessionReused() ? 'resumed' : 'new'
      socket.end(`worker ${process.pid}, ${socket.getProtocol()}, ${how} session\n`)
    },
  )
  server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
}
