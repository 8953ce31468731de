import { readFileSync } from 'node:fs'
import { createServer } from 'openssl-session'
import { RedisSessionStore, SealedSessionStore } from 'openssl-session/stores'
import { createClient } from 'redis'

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
const reconnectStrategy = (retries: number) => Math.min(50 * 2 ** retries, 2000)
const client = createClient({ url, pingInterval: 10_000, socket: { socketTimeout: 25_000, reconnectStrategy } })
client.on('error', (error) => console.error('redis:', error.message)) // it connects again by itself
client.connect() // not awaited: handshakes need no store

// One key in each line, the first one seals: `openssl rand -base64 32`. Read again every minute.
const keys = () =>
  Array.from(readFileSync('seal.keys', 'latin1').matchAll(/.+/g), ([key]) => Buffer.from(key, 'base64'))
const sessionIdContext = 'example'
const sessionStore = new SealedSessionStore({ store: new RedisSessionStore(client), keys, sessionIdContext })
sessionStore.on('sealError', (error) => console.error('sealed:', error.message))

const identity = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }
const server = createServer({ ...identity, sessionStore, sessionIdContext }, (socket) => {
  socket.end(`${socket.getProtocol()}, ${socket.isSessionReused() ? 'resumed' : 'new'} session\n`)
})
server.on('sessionStoreError', (error) => console.error('store:', error.message))
server.listen(Number(process.env.PORT ?? 8443), () => console.log('listening', server.address()))
