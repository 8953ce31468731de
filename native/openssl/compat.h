// The only place that tests OPENSSL_VERSION_NUMBER: what differs between 1.1.1, 3.x and 4.x gets one name here.
#pragma once

#include <openssl/err.h>
#include <openssl/opensslv.h>
#include <openssl/ssl.h>
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/core_names.h>
#include <openssl/params.h>
#else
#include <openssl/hmac.h>
#endif

#include <array>
#include <string>

#include "openssl/headers.h"

namespace ossl::compat {

// How CRYPTO_EX_dup passes the place of the new value.
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
using ExDataSlot = void**;
#else
using ExDataSlot = void*;
#endif

// One entry of the error queue.
struct QueuedError {
  unsigned long code = 0;
  std::string file;
  int line = 0;
  std::string function;
  std::string data;
  int flags = 0;
};

// Takes the oldest entry off the queue; its code is 0 when the queue is empty.
inline QueuedError take_error() {
  QueuedError error;
  const char* file = nullptr;
  const char* function = nullptr;
  const char* data = nullptr;
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  error.code = ERR_get_error_all(&file, &error.line, &function, &data, &error.flags);
#else
  error.code = ERR_get_error_line_data(&file, &error.line, &data, &error.flags);
  function = ERR_func_error_string(error.code);
#endif
  if (file != nullptr) error.file = file;
  if (function != nullptr) error.function = function;
  if (data != nullptr && (error.flags & ERR_TXT_STRING) != 0) error.data = data;
  return error;
}

inline void put_error(const QueuedError& error) {
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  ERR_new();
  ERR_set_debug(error.file.c_str(), error.line, error.function.c_str());
  ERR_set_error(ERR_GET_LIB(error.code), ERR_GET_REASON(error.code), error.data.empty() ? nullptr : "%s",
                error.data.c_str());
#else
  ERR_put_error(ERR_GET_LIB(error.code), ERR_GET_FUNC(error.code), ERR_GET_REASON(error.code), "", error.line);
  if (!error.data.empty()) ERR_add_error_data(1, error.data.c_str());
#endif
}

// Whether a failed read has found the end of the stream where TLS had not said goodbye.
inline bool is_unexpected_eof(unsigned long code) {
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
  return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
#else
  // 1.1.1 has no error for it: the queue is empty.
  return code == 0;
#endif
}

// The SSL_OP_* bit that keeps libssl from answering the end of the stream, where TLS had not said goodbye, with a fatal
// alert. 1.1.1 has no need of one.
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
inline constexpr uint64_t kIgnoreUnexpectedEof = SSL_OP_IGNORE_UNEXPECTED_EOF;
#else
inline constexpr uint64_t kIgnoreUnexpectedEof = 0;
#endif

// The certificate of the peer, with a reference of its own.
inline X509* get1_peer_certificate(const SSL* ssl) {
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  return SSL_get1_peer_certificate(ssl);
#else
  return SSL_get_peer_certificate(ssl);
#endif
}

// What a callback for the keys of tickets is given to initialise their HMAC in.
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
using TicketMac = EVP_MAC_CTX;
#else
using TicketMac = HMAC_CTX;
#endif
using TicketKeyCallback = int (*)(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                                  TicketMac* mac, int seal);

inline void set_ticket_key_callback(SSL_CTX* ctx, TicketKeyCallback callback) {
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, callback);
#else
  SSL_CTX_set_tlsext_ticket_key_cb(ctx, callback);
#endif
}

// HMAC with SHA-256.
inline bool init_ticket_mac(TicketMac* mac, const unsigned char* secret, size_t length) {
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
                                             OSSL_PARAM_construct_end()};
  return EVP_MAC_init(mac, secret, length, parameters.data()) == 1;
#else
  return HMAC_Init_ex(mac, secret, static_cast<int>(length), EVP_sha256(), nullptr) == 1;
#endif
}

}  // namespace ossl::compat
