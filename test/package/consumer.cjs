// What CommonJS gets from `require`: the same module object as `import`, in Node.js 20.19 and later.
const { createServer } = require('openssl-session')
const { runtime, SSL_CTX_new, SSL_CTX_free, TLS_method } = require('openssl-session/libssl')
const { MemorySessionStore } = require('openssl-session/stores')

SSL_CTX_free(SSL_CTX_new(TLS_method()))
const kinds = [createServer, MemorySessionStore].map((value) => typeof value)
import('openssl-session/libssl').then((imported) => {
  console.log(JSON.stringify({ kinds, same: imported.runtime === runtime, linkage: runtime().linkage }))
})
