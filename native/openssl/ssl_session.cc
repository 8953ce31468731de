// SSL_SESSION: reading, changing, copying and serialising one session.
#include "openssl/tables.h"

namespace ossl {

namespace {

using binding::Bytes;
using binding::Copy;
using binding::define;
using binding::Octets;
using binding::Owned;
using binding::Ref;

std::optional<Octets> to_der(SSL_SESSION* session) {
  const int size = i2d_SSL_SESSION(session, nullptr);
  if (size <= 0) return std::nullopt;
  Octets der(static_cast<size_t>(size));
  unsigned char* end = der.data();
  if (i2d_SSL_SESSION(session, &end) != size) return std::nullopt;
  return der;
}

Owned<SSL_SESSION> from_der(Bytes der) {
  const unsigned char* at = der.data;
  return {d2i_SSL_SESSION(nullptr, &at, static_cast<long>(der.size))};
}

Owned<SSL_SESSION> from_pem(BIO* bio) { return {PEM_read_bio_SSL_SESSION(bio, nullptr, nullptr, nullptr)}; }

Octets master_key(SSL_SESSION* session) {
  Octets key(SSL_SESSION_get_master_key(session, nullptr, 0));
  key.resize(SSL_SESSION_get_master_key(session, key.data(), key.size()));
  return key;
}

// A getter of a pointer and an unsigned int.
template <const unsigned char* (*Get)(const SSL_SESSION*, unsigned int*)>
Copy bytes_of(const SSL_SESSION* session) {
  unsigned int size = 0;
  const unsigned char* const data = Get(session, &size);
  return {data, size};
}

// A getter of a pointer and a size, both through parameters.
template <void (*Get)(const SSL_SESSION*, const unsigned char**, size_t*)>
Copy bytes_through(const SSL_SESSION* session) {
  const unsigned char* data = nullptr;
  size_t size = 0;
  Get(session, &data, &size);
  return {data, size};
}

Copy ticket_appdata(SSL_SESSION* session) {
  void* data = nullptr;
  size_t size = 0;
  SSL_SESSION_get0_ticket_appdata(session, &data, &size);
  return {data, size};
}

// A setter of bytes with an unsigned int or a size_t.
template <auto Set>
int set_bytes(SSL_SESSION* session, Bytes bytes) {
  return Set(session, bytes.data, bytes.size);
}

int set_id(SSL_SESSION* session, Bytes id) {
  // Longer ones than C's type holds are longer than any id, too.
  return SSL_SESSION_set1_id(session, id.data, static_cast<unsigned int>(std::min<size_t>(id.size, UINT32_MAX)));
}

int set_id_context(SSL_SESSION* session, Bytes context) {
  return SSL_SESSION_set1_id_context(session, context.data,
                                     static_cast<unsigned int>(std::min<size_t>(context.size, UINT32_MAX)));
}

constexpr binding::Function kSslSessionFunctions[] = {
    OSSL_OWNED(SSL_SESSION_new),
    OSSL_FREE(SSL_SESSION_free, SSL_SESSION),
    OSSL_UP_REF(SSL_SESSION_up_ref, SSL_SESSION),
    OSSL_OWNED(SSL_SESSION_dup),
    define<&from_der>("d2i_SSL_SESSION"),
    define<&to_der>("i2d_SSL_SESSION"),
    define<&from_pem>("PEM_read_bio_SSL_SESSION"),
    OSSL_FUNCTION(PEM_write_bio_SSL_SESSION),
    OSSL_FUNCTION(SSL_SESSION_print),
    OSSL_FUNCTION(SSL_SESSION_print_keylog),

    define<&bytes_of<SSL_SESSION_get_id>>("SSL_SESSION_get_id"),
    define<&set_id>("SSL_SESSION_set1_id"),
    define<&bytes_of<SSL_SESSION_get0_id_context>>("SSL_SESSION_get0_id_context"),
    define<&set_id_context>("SSL_SESSION_set1_id_context"),
    OSSL_FUNCTION(SSL_SESSION_get_time),
    OSSL_FUNCTION(SSL_SESSION_set_time),
    OSSL_FUNCTION(SSL_SESSION_get_timeout),
    OSSL_FUNCTION(SSL_SESSION_set_timeout),
    OSSL_FUNCTION(SSL_SESSION_get_protocol_version),
    OSSL_FUNCTION(SSL_SESSION_set_protocol_version),
    OSSL_STATIC(SSL_SESSION_get0_cipher),
    OSSL_FUNCTION(SSL_SESSION_set_cipher),
    OSSL_FUNCTION(SSL_SESSION_get0_hostname),
    define("SSL_SESSION_set1_hostname",
           [](SSL_SESSION* session, binding::OptionalString name) {
             return SSL_SESSION_set1_hostname(session, name.c_str());
           }),
    define<&bytes_through<SSL_SESSION_get0_alpn_selected>>("SSL_SESSION_get0_alpn_selected"),
    define<&set_bytes<SSL_SESSION_set1_alpn_selected>>("SSL_SESSION_set1_alpn_selected"),
    OSSL_FUNCTION(SSL_SESSION_has_ticket),
    define<&bytes_through<SSL_SESSION_get0_ticket>>("SSL_SESSION_get0_ticket"),
    OSSL_FUNCTION(SSL_SESSION_get_ticket_lifetime_hint),
    define<&ticket_appdata>("SSL_SESSION_get0_ticket_appdata"),
    define<&set_bytes<SSL_SESSION_set1_ticket_appdata>>("SSL_SESSION_set1_ticket_appdata"),
    OSSL_FUNCTION(SSL_SESSION_get_max_early_data),
    OSSL_FUNCTION(SSL_SESSION_set_max_early_data),
    OSSL_FUNCTION(SSL_SESSION_get_max_fragment_length),
    define<&master_key>("SSL_SESSION_get_master_key"),
    define<&set_bytes<SSL_SESSION_set1_master_key>>("SSL_SESSION_set1_master_key"),
    OSSL_FUNCTION(SSL_SESSION_is_resumable),
    OSSL_BORROWED(SSL_SESSION_get0_peer),
    OSSL_FUNCTION(SSL_SESSION_get_compress_id),
};

}  // namespace

std::span<const binding::Function> ssl_session_functions() { return kSslSessionFunctions; }

}  // namespace ossl
