// The C callbacks that are installed into SSL_CTX. Each takes the references it needs, puts one event into the mailbox
// and returns (or pauses the handshake): none calls JavaScript, takes a lock of ours that JavaScript could hold, or
// throws.
#pragma once

#include <openssl/ssl.h>

#include "openssl/compat.h"

namespace session {

// @see SSL_CTX_sess_set_new_cb(3)
int new_trampoline(SSL* ssl, SSL_SESSION* session) noexcept;
// @see SSL_CTX_sess_set_remove_cb(3)
void remove_trampoline(SSL_CTX* ctx, SSL_SESSION* session) noexcept;
// @see SSL_CTX_sess_set_get_cb(3), ASYNC_pause_job(3)
SSL_SESSION* get_trampoline(SSL* ssl, const unsigned char* id, int length, int* copy) noexcept;
// @see SSL_CTX_set_keylog_callback(3)
void keylog_trampoline(const SSL* ssl, const char* line) noexcept;
// @see SSL_CTX_set_cert_cb(3); `context` is the slot of the SSL_CTX that the certificates come from, as Context::of()
// refers to it.
int cert_trampoline(SSL* ssl, void* context) noexcept;
// `context` as above. @see SSL_CTX_set_alpn_select_cb(3)
int alpn_trampoline(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned int offered_length, void* context) noexcept;
// @see SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
int ticket_key_trampoline(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          ossl::compat::TicketMac* mac, int seal) noexcept;

}  // namespace session
