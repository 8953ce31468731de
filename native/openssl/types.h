// The OpenSSL types that JavaScript holds handles of, how each is counted, and the numbers that tell them apart.
#pragma once

#include <openssl/bio.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <memory>

#include "bind/handle.h"
#include "openssl/compat.h"

namespace ossl {

// A deleter made of a *_free function, for references that C++ holds.
template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const noexcept {
    Free(pointer);
  }
};

using SslPointer = std::unique_ptr<SSL, Deleter<SSL_free>>;
using SslCtxPointer = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using SslSessionPointer = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION_free>>;
using X509Pointer = std::unique_ptr<X509, Deleter<X509_free>>;
using EvpPkeyPointer = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

// A verify callback that lets errors be recorded and goes on: SSL_get_verify_result(3) tells afterwards.
int verify_and_continue(int, X509_STORE_CTX* store) noexcept;

// How many SSL_CTX, SSL and SSL_SESSION objects OpenSSL has alive in this process.
struct LiveCounts {
  int64_t ssl_ctx;
  int64_t ssl;
  int64_t ssl_session;
};
LiveCounts live_counts() noexcept;

// Every object's number, unique in the life of the process: an address may be used again, a serial is not.
// A duplicate of a session gets a number of its own.
uint64_t serial_of(const SSL_CTX* ctx) noexcept;
uint64_t serial_of(const SSL* ssl) noexcept;
uint64_t serial_of(const SSL_SESSION* session) noexcept;

// The SSL_CTX that a session belongs to, by serial; 0 while it belongs to none, as every duplicate at first does.
uint64_t home_of(const SSL_SESSION* session) noexcept;
void set_home(SSL_SESSION* session, uint64_t ctx_serial) noexcept;

// Whether this object stands for a session that was taken out of a store, by somebody who let nobody else have it. A
// duplicate does not.
bool is_taken(const SSL_SESSION* session) noexcept;
void set_taken(SSL_SESSION* session) noexcept;

// Registers the ex_data slots behind the serials; call before the first object is created. Idempotent.
void register_serials();

// Every handle type, in the order of their indices.
const std::array<const binding::TypeInfo*, 11>& handle_types();

}  // namespace ossl

namespace binding {

#define OSSL_HANDLE_TYPE(type)     \
  template <>                      \
  struct TypeOf<type> {            \
    static const TypeInfo& info(); \
  };

OSSL_HANDLE_TYPE(SSL_CTX)
OSSL_HANDLE_TYPE(SSL)
OSSL_HANDLE_TYPE(SSL_SESSION)
OSSL_HANDLE_TYPE(BIO)
OSSL_HANDLE_TYPE(X509)
OSSL_HANDLE_TYPE(X509_STORE)
OSSL_HANDLE_TYPE(EVP_PKEY)
OSSL_HANDLE_TYPE(PKCS12)
OSSL_HANDLE_TYPE(SSL_METHOD)
OSSL_HANDLE_TYPE(BIO_METHOD)
OSSL_HANDLE_TYPE(SSL_CIPHER)

#undef OSSL_HANDLE_TYPE

}  // namespace binding
