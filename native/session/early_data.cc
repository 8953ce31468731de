#include "session/early_data.h"

#include <algorithm>

#include "bind/convert.h"
#include "openssl/types.h"
#include "session/tables.h"

namespace session {

namespace {

// On the thread that does the handshake, once the session has been found. A session that was issued while more was
// allowed than now would let its client send more.
int allow_trampoline(SSL* ssl, void*) noexcept {
  const SSL_SESSION* const session = SSL_get0_session(ssl);
  const bool single = session != nullptr && ossl::is_taken(session);
  const uint32_t limit = single ? SSL_SESSION_get_max_early_data(session) : 0;
  return limit > 0 && limit <= SSL_get_max_early_data(ssl) ? 1 : 0;
}

constexpr binding::Function kEarlyDataFunctions[] = {
    binding::define<&accept_early_data>("accept"),
    binding::define("taken", [](SSL_SESSION* session) { ossl::set_taken(session); }),
};

}  // namespace

void accept_early_data(SSL* ssl, uint32_t limit) {
  SSL_set_max_early_data(ssl, limit);
  // What is refused is skipped undeciphered, with what records add to it. For what is accepted, the session's own limit
  // is the smaller one.
  SSL_set_recv_max_early_data(ssl, std::max(2 * limit, SSL_get_recv_max_early_data(ssl)));
  // OpenSSL's own guard against replays is the internal cache of one process.
  SSL_set_options(ssl, SSL_OP_NO_ANTI_REPLAY);
  SSL_set_allow_early_data_cb(ssl, allow_trampoline, nullptr);
}

std::span<const binding::Function> early_data_functions() { return kEarlyDataFunctions; }

}  // namespace session
