import { readFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { collectSessionMetrics, createServer } from 'openssl-session'
import { LmdbSessionStore, SealedSessionStore } from 'openssl-session/stores'
import { register } from 'prom-client'

const identity = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }
const keys = [readFileSync('seal.key')] // openssl rand -out seal.key 32
const sessionStore = new SealedSessionStore({ store: new LmdbSessionStore('sealed.mdb'), keys })
const server = createServer({ ...identity, sessionStore }, (socket) => {
  socket.end(`${socket.getProtocol()}, ${socket.isSessionReused() ? 'resumed' : 'new'} session\n`)
})
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))

collectSessionMetrics(register, { servers: [server], stores: [sessionStore] })
const metrics = http.createServer(async (_request, response) => {
  response.setHeader('content-type', register.contentType).end(await register.metrics())
})
metrics.listen(Number(process.env.METRICS_PORT ?? 9464), '127.0.0.1', () => {
  console.log(`metrics at http://127.0.0.1:${(metrics.address() as AddressInfo).port}/metrics`)
})
