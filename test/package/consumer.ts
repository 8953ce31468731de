// The types as somebody sees them who has the package installed; compiled only.
import { createServer, type Session, type TLSSocket } from 'openssl-session'
import { SSL_CTX_free, SSL_CTX_new, SSL_get0_group_name, TLS_method } from 'openssl-session/libssl'
import { MemorySessionStore, type SessionStore } from 'openssl-session/stores'

const store: SessionStore = new MemorySessionStore()
export const server = createServer({ sessionStore: store }, (socket: TLSSocket) => {
  const reused: boolean = socket.isSessionReused()
  socket.end(String(reused))
})
const ctx = SSL_CTX_new(TLS_method())
if (ctx) SSL_CTX_free(ctx)
// @ts-expect-error: libssl before 3.2 has it not.
SSL_get0_group_name(null)
// @ts-expect-error: a session is no string.
export const session: Session = 'session'
