// OpenSSL's C API, typed: names, argument order, constants and return values are those of the man pages. Nothing is
// defined here; each OpenSSL object has its file in libssl/, and how C types become JavaScript ones is told in the
// README.

export {
  BIO,
  BIO_METHOD,
  EVP_PKEY,
  type HandleClass,
  PKCS12,
  SSL,
  SSL_CIPHER,
  SSL_CTX,
  SSL_METHOD,
  SSL_SESSION,
  X509,
  X509_STORE,
} from './libssl/bind.js'
export * from './libssl/bio.js'
export * from './libssl/constants.js'
export * from './libssl/diagnostics.js'
export * from './libssl/err.js'
export * from './libssl/options.js'
export * from './libssl/ssl.js'
export * from './libssl/ssl_ctx.js'
export * from './libssl/ssl_ctx_session.js'
export * from './libssl/ssl_session.js'
export * from './libssl/ssl_state.js'
export * from './libssl/x509.js'
export * from './libssl/x509_errors.js'
