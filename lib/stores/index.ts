// openssl-session/stores: where TLS sessions can be kept.

export { LmdbSessionStore, type LmdbSessionStoreOptions } from './lmdb.js'
export { MemorySessionStore, type MemorySessionStoreOptions } from './memory.js'
export type { Awaitable, SessionStore } from './store.js'
