// openssl-session/stores: where TLS sessions can be kept.

export { type KeyvLike, KeyvSessionStore, type KeyvSessionStoreOptions } from './keyv.js'
export { LmdbSessionStore, type LmdbSessionStoreOptions } from './lmdb.js'
export { MemorySessionStore, type MemorySessionStoreOptions } from './memory.js'
export { type RedisClient, RedisSessionStore, type RedisSessionStoreOptions } from './redis.js'
export {
  type SealError,
  SealedSessionStore,
  type SealedSessionStoreOptions,
  type SealingKeys,
  type SealStats,
} from './sealed.js'
export type { Awaitable, SessionStore } from './store.js'
