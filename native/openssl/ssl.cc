// SSL: what a connection is asked and told. What drives its handshake and its records is in native/session/inline.cc.
#include "openssl/tables.h"

namespace ossl {

namespace {

using binding::Bytes;
using binding::Copy;
using binding::define;
using binding::Environment;
using binding::Octets;
using binding::Owned;

// OpenSSL looks into the BIO that the call waited for, which may have been taken away since.
int get_error(const SSL* ssl, int result) {
  const bool lost = (SSL_want(ssl) == SSL_READING && SSL_get_rbio(ssl) == nullptr) ||
                    (SSL_want(ssl) == SSL_WRITING && SSL_get_wbio(ssl) == nullptr);
  return result <= 0 && lost && ERR_peek_error() == 0 ? SSL_ERROR_SYSCALL : SSL_get_error(ssl, result);
}

Copy alpn_selected(SSL* ssl) {
  const unsigned char* data = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &data, &size);
  return {data, size};
}

template <size_t (*Get)(const SSL*, void*, size_t)>
Octets finished(SSL* ssl) {
  Octets message(EVP_MAX_MD_SIZE);
  message.resize(std::min(Get(ssl, message.data(), message.size()), message.size()));
  return message;
}

// Null where C returns something other than 1.
std::optional<Octets> export_keying_material(SSL* ssl, size_t size, std::string label, std::optional<Bytes> context) {
  // TLS 1.3 cannot expand to more than this (RFC 5869, 2.3); a bound also keeps a wrong length from taking all memory.
  constexpr size_t kLimit = size_t{255} * EVP_MAX_MD_SIZE;
  if (size > kLimit) binding::out_of_range(1, "no longer than 255 hash lengths");
  Octets material(size);
  const int result =
      SSL_export_keying_material(ssl, material.data(), size, label.data(), label.size(),
                                 context ? context->data : nullptr, context ? context->size : 0, context ? 1 : 0);
  if (result != 1) return std::nullopt;
  return material;
}

// Each certificate with a reference of its own.
template <STACK_OF(X509) * (*Get)(const SSL*)>
napi_value chain_of(Environment& env, SSL* ssl) {
  STACK_OF(X509)* const chain = Get(ssl);
  if (chain == nullptr) return binding::null(env);
  napi_value result = nullptr;
  binding::check(napi_create_array(env.env(), &result));
  for (int i = 0; i < sk_X509_num(chain); i++) {
    X509* const x509 = sk_X509_value(chain, i);
    X509_up_ref(x509);
    binding::check(
        napi_set_element(env.env(), result, static_cast<uint32_t>(i), binding::to_js(env, Owned<X509>{x509})));
  }
  return result;
}

Owned<X509> peer_certificate(SSL* ssl) { return {compat::get1_peer_certificate(ssl)}; }

constexpr binding::Function kSslFunctions[] = {
    OSSL_BORROWED(SSL_get_rbio),
    OSSL_BORROWED(SSL_get_wbio),
    OSSL_FUNCTION(SSL_pending),
    OSSL_FUNCTION(SSL_has_pending),
    OSSL_FUNCTION(SSL_set_shutdown),
    OSSL_FUNCTION(SSL_get_shutdown),
    OSSL_FUNCTION(SSL_set_quiet_shutdown),
    OSSL_FUNCTION(SSL_get_quiet_shutdown),
    define<&get_error>("SSL_get_error"),
    OSSL_FUNCTION(SSL_want),
    OSSL_FUNCTION(SSL_waiting_for_async),
    OSSL_MACRO(SSL_in_init, int, (const SSL* ssl), (ssl)),
    OSSL_MACRO(SSL_in_before, int, (const SSL* ssl), (ssl)),
    OSSL_MACRO(SSL_is_init_finished, int, (const SSL* ssl), (ssl)),
    OSSL_FUNCTION(SSL_is_server),
    OSSL_FUNCTION(SSL_state_string_long),
    OSSL_FUNCTION(SSL_version),
    OSSL_FUNCTION(SSL_get_version),
    OSSL_FUNCTION(SSL_renegotiate),
    OSSL_FUNCTION(SSL_key_update),

    OSSL_STATIC(SSL_get_current_cipher),
    OSSL_FUNCTION(SSL_CIPHER_get_name),
    OSSL_FUNCTION(SSL_CIPHER_standard_name),
    OSSL_FUNCTION(SSL_CIPHER_get_version),
    define("SSL_CIPHER_get_bits", [](const SSL_CIPHER* cipher) { return SSL_CIPHER_get_bits(cipher, nullptr); }),
    OSSL_FUNCTION(SSL_CIPHER_get_id),
    OSSL_FUNCTION(SSL_CIPHER_get_protocol_id),

    OSSL_FUNCTION(SSL_session_reused),
    define("SSL_has_matching_session_id",
           [](const SSL* ssl, Bytes id) {
             return SSL_has_matching_session_id(ssl, id.data, static_cast<unsigned int>(id.size));
           }),
    define("SSL_set_session_id_context",
           [](SSL* ssl, Bytes context) {
             return SSL_set_session_id_context(ssl, context.data, static_cast<unsigned int>(context.size));
           }),
    OSSL_FUNCTION(SSL_set_num_tickets),
    OSSL_FUNCTION(SSL_get_num_tickets),
    OSSL_FUNCTION(SSL_get_early_data_status),
    OSSL_FUNCTION(SSL_set_max_early_data),
    OSSL_FUNCTION(SSL_get_max_early_data),

    OSSL_FUNCTION(SSL_get_servername),
    OSSL_FUNCTION(SSL_get_servername_type),
    OSSL_MACRO(SSL_set_tlsext_host_name, long, (SSL * ssl, const char* name), (ssl, name)),
    define(
        "SSL_set_alpn_protos",
        [](SSL* ssl, Bytes wire) { return SSL_set_alpn_protos(ssl, wire.data, static_cast<unsigned int>(wire.size)); }),
    define<&alpn_selected>("SSL_get0_alpn_selected"),
    OSSL_BORROWED(SSL_get_SSL_CTX),
    define<&finished<SSL_get_finished>>("SSL_get_finished"),
    define<&finished<SSL_get_peer_finished>>("SSL_get_peer_finished"),
    define<&export_keying_material>("SSL_export_keying_material"),

    define("SSL_set_verify", [](SSL* ssl, int mode) { SSL_set_verify(ssl, mode, nullptr); }),
    define("SSL_set_verify_continue", [](SSL* ssl, int mode) { SSL_set_verify(ssl, mode, verify_and_continue); }),
    OSSL_FUNCTION(SSL_get_verify_mode),
    OSSL_FUNCTION(SSL_get_verify_result),
    define<&peer_certificate>("SSL_get_peer_certificate"),
    define<&peer_certificate>("SSL_get1_peer_certificate"),
    define<&chain_of<SSL_get_peer_cert_chain>>("SSL_get_peer_cert_chain"),
    define<&chain_of<SSL_get0_verified_chain>>("SSL_get0_verified_chain"),
    OSSL_BORROWED(SSL_get_certificate),

    OSSL_FUNCTION(SSL_set_options),
    OSSL_FUNCTION(SSL_clear_options),
    OSSL_FUNCTION(SSL_get_options),
    OSSL_MACRO(SSL_set_mode, long, (SSL * ssl, long mode), (ssl, mode)),
    OSSL_MACRO(SSL_clear_mode, long, (SSL * ssl, long mode), (ssl, mode)),
    OSSL_MACRO(SSL_get_mode, long, (SSL * ssl), (ssl)),
    OSSL_MACRO(SSL_set_max_send_fragment, long, (SSL * ssl, long size), (ssl, size)),
    OSSL_MACRO(SSL_set_min_proto_version, long, (SSL * ssl, int version), (ssl, version)),
    OSSL_MACRO(SSL_set_max_proto_version, long, (SSL * ssl, int version), (ssl, version)),
    OSSL_FUNCTION(SSL_set_cipher_list),
    OSSL_FUNCTION(SSL_set_ciphersuites),
};

}  // namespace

std::span<const binding::Function> ssl_functions() { return kSslFunctions; }

}  // namespace ossl
