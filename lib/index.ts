// What users of the node:tls-shaped layer import. Names that node:tls has mean what they mean there.

export {
  checkServerIdentity,
  DEFAULT_CIPHERS,
  DEFAULT_ECDH_CURVE,
  DEFAULT_MAX_VERSION,
  DEFAULT_MIN_VERSION,
  rootCertificates,
} from 'node:tls'
export type { ALPNProtocols } from './alpn.js'
export { type ConnectionOptions, connect } from './client.js'
export {
  createSecureContext,
  SecureContext,
  type SecureContextEvents,
  type SecureContextOptions,
  type SessionCallbackError,
  type SessionStats,
} from './context.js'
export type { KeyObject, PfxObject } from './credentials.js'
export type { SessionMessage } from './diagnostics.js'
export type { EarlyDataStatus } from './early-data.js'
export type { OpenSSLError } from './errors.js'
export type { SessionStoreError } from './external.js'
// For programs that say `import tls from 'node:tls'`.
export * as default from './index.js'
export { leaks, runtime } from './libssl.js'
export { collectSessionMetrics, type MetricsRegister, type SessionMetricsOptions } from './metrics.js'
export type { SecureVersion } from './protocol.js'
export { createServer, Server } from './server.js'
export type { HandshakeCounts, ListenOptions, ServerEvents, ServerOptions, ServerStats } from './server-types.js'
export { Session } from './session.js'
export type {
  FoundSession,
  GetSessionCallback,
  NewSessionCallback,
  RemoveSessionCallback,
} from './session-callbacks.js'
export type { SNICallback } from './sni.js'
export { TLSSocket } from './socket.js'
export type { TLSSocketEvents, TLSSocketOptions } from './socket-types.js'
export type { StoreOperation, StoreStats } from './stores/guard.js'
export type { TicketKeys, TicketKeysError } from './ticket-keys.js'
