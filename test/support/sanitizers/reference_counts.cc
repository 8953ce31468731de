// Tells ThreadSanitizer what OpenSSL's reference counts order; only `-DSANITIZE=thread` compiles it.
//
// The system's libssl.a is not instrumented, so its atomic operations are invisible: ThreadSanitizer does not know that
// whoever gives the last reference back comes after everybody who gave one back earlier, and takes the end of our state
// in an ex_data slot for a race with its last use. The linker (--wrap) puts these functions in front of OpenSSL's. Nothing
// is suppressed by that: state that is used after the reference is given back is still reported.

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <sanitizer/tsan_interface.h>

extern "C" {

void __real_SSL_free(SSL* ssl);
void __wrap_SSL_free(SSL* ssl) {
  if (ssl != nullptr) {
    __tsan_release(ssl);
    // libssl gives this reference back with the last one of the SSL.
    __tsan_release(SSL_get_SSL_CTX(ssl));
  }
  __real_SSL_free(ssl);
}

void __real_SSL_CTX_free(SSL_CTX* ctx);
void __wrap_SSL_CTX_free(SSL_CTX* ctx) {
  if (ctx != nullptr) __tsan_release(ctx);
  __real_SSL_CTX_free(ctx);
}

void __real_SSL_SESSION_free(SSL_SESSION* session);
void __wrap_SSL_SESSION_free(SSL_SESSION* session) {
  if (session != nullptr) __tsan_release(session);
  __real_SSL_SESSION_free(session);
}

// Every destructor of theirs begins with this, once the count is zero.
void __real_CRYPTO_free_ex_data(int type, void* object, CRYPTO_EX_DATA* data);
void __wrap_CRYPTO_free_ex_data(int type, void* object, CRYPTO_EX_DATA* data) {
  __tsan_acquire(object);
  __real_CRYPTO_free_ex_data(type, object, data);
}

}  // extern "C"
