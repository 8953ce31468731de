// The keys that seal and open stateless tickets, where they are not the SSL_CTX's own: a ring that does not change,
// shared by the threads that read it while another takes its place.
#pragma once

#include <memory>
#include <vector>

#include "openssl/compat.h"

namespace session {

// Name, secret for HMAC-SHA256 and secret for AES-CBC: 16 bytes each, as node:tls has them, or 16, 32 and 32, as
// OpenSSL has its own. Both lengths make tickets of OpenSSL's format (RFC 5077, section 4).
using TicketKey = std::vector<unsigned char>;

class TicketRing {
 public:
  // The first key seals, all of them open. There is one at least, and each is of a good length.
  explicit TicketRing(std::vector<TicketKey> keys) : keys_(std::move(keys)) {}
  // Leaves no secret in memory.
  ~TicketRing();
  TicketRing(const TicketRing&) = delete;
  TicketRing& operator=(const TicketRing&) = delete;

  static bool is_key(size_t length) { return length == 48 || length == 80; }
  // The one key that an SSL_CTX has by itself.
  static std::shared_ptr<const TicketRing> own(SSL_CTX* ctx);

  const std::vector<TicketKey>& keys() const { return keys_; }

  // The two halves of the callback of SSL_CTX_set_tlsext_ticket_key_evp_cb(3), with its results. A ticket under another
  // key than the first is to be replaced; with `renew`, any ticket is.
  int seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, ossl::compat::TicketMac* mac) const noexcept;
  int open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, ossl::compat::TicketMac* mac,
           bool renew) const noexcept;

 private:
  std::vector<TicketKey> keys_;
};

}  // namespace session
