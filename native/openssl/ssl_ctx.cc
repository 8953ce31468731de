// SSL_CTX: certificates, verification, protocol settings, and the session cache. Callbacks are in native/session/.
#include "openssl/tables.h"

namespace ossl {

namespace {

using binding::Bytes;
using binding::define;
using binding::define_setting;
using binding::Octets;
using binding::OptionalString;

// Agrees to every name. Without an answer of this kind OpenSSL does not keep the name in the session (TLS 1.2), and a
// resumed connection has none.
int accept_servername(SSL*, int*, void*) { return SSL_TLSEXT_ERR_OK; }

std::optional<Octets> get_ticket_keys(SSL_CTX* ctx) {
  // Asked for its length first: it differs between versions.
  const long size = SSL_CTX_get_tlsext_ticket_keys(ctx, nullptr, 0);
  Octets keys(static_cast<size_t>(size));
  if (SSL_CTX_get_tlsext_ticket_keys(ctx, keys.data(), size) != 1) return std::nullopt;
  return keys;
}

constexpr binding::Function kSslCtxFunctions[] = {
    OSSL_FREE(SSL_CTX_free, SSL_CTX),
    OSSL_UP_REF(SSL_CTX_up_ref, SSL_CTX),
    OSSL_STATIC(TLS_method),
    OSSL_STATIC(TLS_server_method),
    OSSL_STATIC(TLS_client_method),

    OSSL_SETTING(SSL_CTX_use_certificate),
    OSSL_SETTING(SSL_CTX_use_PrivateKey),
    OSSL_SETTING(SSL_CTX_use_certificate_file),
    OSSL_SETTING(SSL_CTX_use_certificate_chain_file),
    OSSL_SETTING(SSL_CTX_use_PrivateKey_file),
    OSSL_FUNCTION(SSL_CTX_check_private_key),
    OSSL_SETTING_MACRO(SSL_CTX_add1_chain_cert, long, (SSL_CTX * ctx, X509* x509), (ctx, x509)),
    OSSL_SETTING_MACRO(SSL_CTX_clear_chain_certs, long, (SSL_CTX * ctx), (ctx)),
    OSSL_BORROWED(SSL_CTX_get0_certificate),

    define_setting("SSL_CTX_load_verify_locations",
                   [](SSL_CTX* ctx, OptionalString file, OptionalString directory) {
                     return SSL_CTX_load_verify_locations(ctx, file.c_str(), directory.c_str());
                   }),
    OSSL_SETTING(SSL_CTX_set_default_verify_paths),
    OSSL_BORROWED(SSL_CTX_get_cert_store),
    OSSL_SETTING(SSL_CTX_add_client_CA),
    define_setting("SSL_CTX_set_verify", [](SSL_CTX* ctx, int mode) { SSL_CTX_set_verify(ctx, mode, nullptr); }),
    define_setting("SSL_CTX_set_verify_continue",
                   [](SSL_CTX* ctx, int mode) { SSL_CTX_set_verify(ctx, mode, verify_and_continue); }),
    OSSL_FUNCTION(SSL_CTX_get_verify_mode),
    OSSL_SETTING(SSL_CTX_set_verify_depth),
    OSSL_FUNCTION(SSL_CTX_get_verify_depth),

    OSSL_SETTING(SSL_CTX_set_cipher_list),
    OSSL_SETTING(SSL_CTX_set_ciphersuites),
    OSSL_SETTING_MACRO(SSL_CTX_set1_groups_list, long, (SSL_CTX * ctx, const char* list), (ctx, list)),
    OSSL_SETTING_MACRO(SSL_CTX_set1_sigalgs_list, long, (SSL_CTX * ctx, const char* list), (ctx, list)),
    OSSL_SETTING_MACRO(SSL_CTX_set_dh_auto, long, (SSL_CTX * ctx, int onoff), (ctx, onoff)),
    OSSL_SETTING_MACRO(SSL_CTX_set_min_proto_version, long, (SSL_CTX * ctx, int version), (ctx, version)),
    OSSL_MACRO(SSL_CTX_get_min_proto_version, long, (SSL_CTX * ctx), (ctx)),
    OSSL_SETTING_MACRO(SSL_CTX_set_max_proto_version, long, (SSL_CTX * ctx, int version), (ctx, version)),
    OSSL_MACRO(SSL_CTX_get_max_proto_version, long, (SSL_CTX * ctx), (ctx)),
    OSSL_SETTING(SSL_CTX_set_options),
    OSSL_SETTING(SSL_CTX_clear_options),
    OSSL_FUNCTION(SSL_CTX_get_options),
    OSSL_SETTING_MACRO(SSL_CTX_set_mode, long, (SSL_CTX * ctx, long mode), (ctx, mode)),
    OSSL_SETTING_MACRO(SSL_CTX_clear_mode, long, (SSL_CTX * ctx, long mode), (ctx, mode)),
    OSSL_MACRO(SSL_CTX_get_mode, long, (SSL_CTX * ctx), (ctx)),
    OSSL_SETTING(SSL_CTX_set_security_level),
    OSSL_FUNCTION(SSL_CTX_get_security_level),
    define_setting("SSL_CTX_set_alpn_protos",
                   [](SSL_CTX* ctx, Bytes wire) {
                     return SSL_CTX_set_alpn_protos(ctx, wire.data, static_cast<unsigned int>(wire.size));
                   }),
    define_setting("SSL_CTX_set_servername_accept",
                   [](SSL_CTX* ctx, int on) {
                     auto* const callback = on != 0 ? accept_servername : nullptr;
                     SSL_CTX_set_tlsext_servername_callback(ctx, callback);
                   }),
    OSSL_SETTING(SSL_CTX_set_quiet_shutdown),
    OSSL_FUNCTION(SSL_CTX_get_quiet_shutdown),

    define_setting("SSL_CTX_set_session_id_context",
                   [](SSL_CTX* ctx, Bytes context) {
                     return SSL_CTX_set_session_id_context(ctx, context.data, static_cast<unsigned int>(context.size));
                   }),
    OSSL_SETTING_MACRO(SSL_CTX_set_session_cache_mode, long, (SSL_CTX * ctx, long mode), (ctx, mode)),
    OSSL_MACRO(SSL_CTX_get_session_cache_mode, long, (SSL_CTX * ctx), (ctx)),
    OSSL_SETTING_MACRO(SSL_CTX_sess_set_cache_size, long, (SSL_CTX * ctx, long size), (ctx, size)),
    OSSL_MACRO(SSL_CTX_sess_get_cache_size, long, (SSL_CTX * ctx), (ctx)),
    OSSL_SETTING(SSL_CTX_set_timeout),
    OSSL_FUNCTION(SSL_CTX_get_timeout),
    OSSL_MACRO(SSL_CTX_sess_number, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_connect, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_connect_good, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_connect_renegotiate, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_accept, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_accept_good, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_accept_renegotiate, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_hits, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_cb_hits, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_misses, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_timeouts, long, (SSL_CTX * ctx), (ctx)),
    OSSL_MACRO(SSL_CTX_sess_cache_full, long, (SSL_CTX * ctx), (ctx)),
    OSSL_FUNCTION(SSL_CTX_remove_session),
    OSSL_FUNCTION(SSL_CTX_flush_sessions),

    OSSL_SETTING(SSL_CTX_set_num_tickets),
    OSSL_FUNCTION(SSL_CTX_get_num_tickets),
    define_setting("SSL_CTX_set_tlsext_ticket_keys",
                   [](SSL_CTX* ctx, Bytes keys) -> long {
                     // The C macro takes the bytes as not const and does not write to them.
                     return SSL_CTX_set_tlsext_ticket_keys(ctx, const_cast<unsigned char*>(keys.data),
                                                           static_cast<long>(keys.size));
                   }),
    define<&get_ticket_keys>("SSL_CTX_get_tlsext_ticket_keys"),
    OSSL_SETTING(SSL_CTX_set_max_early_data),
    OSSL_FUNCTION(SSL_CTX_get_max_early_data),
    OSSL_SETTING(SSL_CTX_set_recv_max_early_data),
    OSSL_FUNCTION(SSL_CTX_get_recv_max_early_data),
};

}  // namespace

std::span<const binding::Function> ssl_ctx_functions() { return kSslCtxFunctions; }

}  // namespace ossl
