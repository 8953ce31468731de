// Early data of TLS 1.3 (0-RTT) on servers: accepted only together with a session that was taken out of a store, which
// nobody else can have got. So a ClientHello that is replayed is refused by every server that uses the store.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>

namespace session {

// Before the handshake, which SSL_read_early_data(3) begins. Tickets announce `limit`, in bytes, from 1 to 2^31 - 1.
// @see SSL_set_allow_early_data_cb(3), RFC 8446 sections 4.2.10 and 8.1
void accept_early_data(SSL* ssl, uint32_t limit);

}  // namespace session
