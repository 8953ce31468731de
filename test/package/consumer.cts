// The types as TypeScript sees them that becomes CommonJS; compiled only, with module nodenext.
import { createServer, type TLSSocket } from 'openssl-session'

import libssl = require('openssl-session/libssl')

import { MemorySessionStore } from 'openssl-session/stores'

createServer({ sessionStore: new MemorySessionStore() }, (socket: TLSSocket) => socket.end())
const ctx: libssl.SSL_CTX | null = libssl.SSL_CTX_new(libssl.TLS_method())
if (ctx) libssl.SSL_CTX_free(ctx)
// @ts-expect-error: a context is no number.
libssl.SSL_CTX_free(1)
