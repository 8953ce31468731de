import { readFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { collectSessionMetrics, createServer } from 'openssl-session'
import { LmdbSessionStore } from 'openssl-session/stores'
import { register } from 'prom-client'

const identity = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }
const server = createServer({ ...identity, sessionStore: new LmdbSessionStore('sessions.mdb') }, (socket) => {
  socket.end(`${socket.getProtocol()}, ${socket.isSessionReused() ? 'resumed' : 'new'} session\n`)
})
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))

collectSessionMetrics(register, { servers: [server] })
const metrics = http.createServer(async (_request, response) => {
  response.setHeader('content-type', register.contentType).end(await register.metrics())
})
metrics.listen(Number(process.env.METRICS_PORT ?? 9464), '127.0.0.1', () => {
  console.log(`metrics at http://127.0.0.1:${(metrics.address() as AddressInfo).port}/metrics`)
})
