import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer } from 'openssl-session'
import { RedisSessionStore } from 'openssl-session/stores'
import { createCluster } from 'redis'

const urls = process.env.REDIS_URLS ?? 'redis://10.0.0.1:6379 redis://10.0.0.2:6379 redis://10.0.0.3:6379'
const reconnectStrategy = (retries: number) => Math.min(50 * 2 ** retries, 2000)
const defaults = { pingInterval: 10_000, socket: { socketTimeout: 25_000, reconnectStrategy } }
const client = createCluster({ rootNodes: urls.split(' ').map((url) => ({ url })), defaults })
client.on('error', (error) => console.error('redis:', error.message))

async function connect() {
  while (!client.isOpen) await client.connect().catch(() => sleep(1000)) // it gives up when no node answers at the start
}
connect() // not awaited: handshakes need no store

const identity = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }
const server = createServer({ ...identity, sessionStore: new RedisSessionStore(client) }, (socket) => {
  socket.end(`${socket.getProtocol()}, ${socket.isSessionReused() ? 'resumed' : 'new'} session\n`)
})
server.on('sessionStoreError', (error) => console.error('store:', error.message))
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
