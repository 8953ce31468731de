import * as libssl from 'openssl-session/libssl'

const ctx = libssl.SSL_CTX_new(libssl.TLS_server_method())
if (ctx === null) throw new Error(libssl.ERR_error_string(libssl.ERR_get_error()))
const cache = new Map<string, Buffer>()

libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_SERVER | libssl.SSL_SESS_CACHE_NO_INTERNAL)
libssl.SSL_CTX_sess_set_new_cb(ctx, (_ssl, session) => {
  const der = libssl.i2d_SSL_SESSION(session)
  if (der) cache.set(libssl.SSL_SESSION_get_id(session).toString('hex'), der)
  return 0 // the reference goes back to OpenSSL
})
libssl.SSL_CTX_sess_set_get_cb(ctx, async (_ssl, id, copy) => {
  const der = cache.get(id.toString('hex')) // await anything here: the handshake is paused
  copy.value = 0 // our reference becomes OpenSSL's
  return der ? libssl.d2i_SSL_SESSION(der) : null
})
console.log(libssl.OpenSSL_version(libssl.OPENSSL_VERSION), libssl.runtime().libssl)
libssl.SSL_CTX_free(ctx)
