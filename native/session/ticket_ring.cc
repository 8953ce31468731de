#include "session/ticket_ring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>

namespace session {

namespace {

constexpr size_t kName = 16;
constexpr size_t kOwnKey = 80;
constexpr int kIv = 16;

size_t secret_length(const TicketKey& key) { return (key.size() - kName) / 2; }
const unsigned char* mac_secret(const TicketKey& key) { return key.data() + kName; }
const unsigned char* cipher_secret(const TicketKey& key) { return mac_secret(key) + secret_length(key); }
const EVP_CIPHER* cipher_of(const TicketKey& key) {
  return secret_length(key) == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
}

}  // namespace

TicketRing::~TicketRing() {
  for (TicketKey& key : keys_) OPENSSL_cleanse(key.data(), key.size());
}

std::shared_ptr<const TicketRing> TicketRing::own(SSL_CTX* ctx) {
  std::vector<TicketKey> keys(1, TicketKey(kOwnKey));
  SSL_CTX_get_tlsext_ticket_keys(ctx, keys.front().data(), static_cast<long>(kOwnKey));
  return std::make_shared<const TicketRing>(std::move(keys));
}

int TicketRing::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     ossl::compat::TicketMac* mac) const noexcept {
  const TicketKey& key = keys_.front();
  std::copy_n(key.begin(), kName, name);
  if (RAND_bytes(iv, kIv) != 1 || EVP_EncryptInit_ex(cipher, cipher_of(key), nullptr, cipher_secret(key), iv) != 1 ||
      !ossl::compat::init_ticket_mac(mac, mac_secret(key), secret_length(key))) {
    return -1;
  }
  return 1;
}

int TicketRing::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     ossl::compat::TicketMac* mac, bool renew) const noexcept {
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [name](const TicketKey& one) { return std::equal(name, name + kName, one.begin()); });
  if (key == keys_.end()) return 0;
  if (EVP_DecryptInit_ex(cipher, cipher_of(*key), nullptr, cipher_secret(*key), iv) != 1 ||
      !ossl::compat::init_ticket_mac(mac, mac_secret(*key), secret_length(*key))) {
    return -1;
  }
  return renew || key != keys_.begin() ? 2 : 1;
}

}  // namespace session
