// SSL_CTX_new, the setters and getters of every callback that JavaScript can install, and the keys of tickets. What
// happens when one fires is in trampolines.cc and events.cc.
#include "session/addon_environment.h"
#include "session/events.h"
#include "session/tables.h"
#include "session/trampolines.h"

namespace session {

namespace {

using binding::Callback;
using binding::define;
using binding::define_setting;
using binding::Environment;
using binding::Owned;
using binding::Ref;

Owned<SSL_CTX> new_context(Environment& env, const SSL_METHOD* method) {
  ossl::SslCtxPointer ctx(SSL_CTX_new(method));
  if (ctx) Context::attach(AddonEnvironment::of(env).mailbox(), ctx.get());
  return {ctx.release()};
}

template <Slot S>
void set_callback(Environment& env, Ref<SSL_CTX> ctx, Callback callback) {
  Context::of(ctx.pointer)->set_callback(env, *ctx.handle, S, callback.value);
}

// The very function that was set, or null.
template <Slot S>
napi_value get_callback(Environment& env, SSL_CTX* ctx) {
  napi_value function = Context::of(ctx)->callback(env, S);
  return function != nullptr ? function : binding::null(env);
}

// Each entry of a wire-format list is a length between 1 and 255 and that many bytes.
bool is_protocol_list(const binding::Bytes& wire) {
  size_t at = 0;
  while (at < wire.size) {
    if (wire.data[at] == 0) return false;
    at += 1 + wire.data[at];
  }
  return wire.size > 0 && at == wire.size;
}

AlpnProtocols protocols_of(const std::optional<binding::Bytes>& wire) {
  if (!wire) return nullptr;
  return std::make_shared<const std::vector<unsigned char>>(wire->data, wire->data + wire->size);
}

// Like SSL_CTX_set_alpn_protos(3), 0 is success.
int set_alpn_select_protos(SSL_CTX* ctx, std::optional<binding::Bytes> wire) {
  if (wire && !is_protocol_list(*wire)) return 1;
  Context::of(ctx)->set_alpn_protocols(ctx, protocols_of(wire));
  return 0;
}

int set_own_alpn_select_protos(SSL* ssl, std::optional<binding::Bytes> wire) {
  if (wire && !is_protocol_list(*wire)) return 1;
  Connection::of(ssl)->alpn_protocols = protocols_of(wire);
  SSL_CTX* const ctx = SSL_get_SSL_CTX(ssl);
  Context::of(ctx)->select_alpn(ctx);
  return 0;
}

// [key, ...], the one that seals first. Other threads may be working with the context.
void set_ticket_ring(Environment& env, SSL_CTX* ctx, binding::Object array) {
  uint32_t count = 0;
  binding::check(napi_get_array_length(env.env(), array.value, &count));
  if (count == 0) binding::out_of_range(1, "at least one key");
  std::vector<TicketKey> keys;
  keys.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value key = nullptr;
    binding::check(napi_get_element(env.env(), array.value, i, &key));
    const auto bytes = binding::FromJs<binding::Bytes>::from(env, key, 1);
    if (!TicketRing::is_key(bytes.size)) binding::out_of_range(1, "keys of 48 or 80 bytes");
    keys.emplace_back(bytes.data, bytes.data + bytes.size);
  }
  Context::of(ctx)->set_ticket_ring(ctx, std::make_shared<const TicketRing>(std::move(keys)));
}

// Copies of the keys; none where the context uses its own.
napi_value get_ticket_ring(Environment& env, SSL_CTX* ctx) {
  napi_value array = nullptr;
  binding::check(napi_create_array(env.env(), &array));
  const auto ring = Context::of(ctx)->ticket_ring();
  if (!ring) return array;
  uint32_t index = 0;
  for (const TicketKey& key : ring->keys()) {
    binding::check(napi_set_element(env.env(), array, index++, binding::to_js(env, key)));
  }
  return array;
}

// The new context belongs to the connection from now on, as the first one did.
binding::Borrowed<SSL_CTX> switch_context(Ref<SSL> ssl, SSL_CTX* ctx) {
  SSL_CTX* const result = SSL_set_SSL_CTX(ssl.pointer, ctx);
  if (result != nullptr) {
    const auto& connection = Connection::of(ssl.pointer);
    connection->switched_to(ctx);
    if (connection->alpn_protocols) Context::of(ctx)->select_alpn(ctx);
  }
  return {result, ssl.handle};
}

constexpr binding::Function kCallbackFunctions[] = {
    define<&new_context>("SSL_CTX_new"),
    define<&set_callback<Slot::kNew>>("SSL_CTX_sess_set_new_cb"),
    define<&set_callback<Slot::kRemove>>("SSL_CTX_sess_set_remove_cb"),
    define<&set_callback<Slot::kGet>>("SSL_CTX_sess_set_get_cb"),
    define<&set_callback<Slot::kKeylog>>("SSL_CTX_set_keylog_callback"),
    define<&set_callback<Slot::kCert>>("SSL_CTX_set_cert_cb"),
    define<&get_callback<Slot::kNew>>("SSL_CTX_sess_get_new_cb"),
    define<&get_callback<Slot::kRemove>>("SSL_CTX_sess_get_remove_cb"),
    define<&get_callback<Slot::kGet>>("SSL_CTX_sess_get_get_cb"),
    define<&get_callback<Slot::kKeylog>>("SSL_CTX_get_keylog_callback"),
    define_setting<&set_alpn_select_protos>("SSL_CTX_set_alpn_select_protos"),
    define<&set_own_alpn_select_protos>("SSL_set_alpn_select_protos"),
    define<&switch_context>("SSL_set_SSL_CTX"),
    // Tied to the context before OpenSSL links it into the context's list.
    define("SSL_CTX_add_session",
           [](SSL_CTX* ctx, Ref<SSL_SESSION> session) {
             bind_to_context(session.pointer, *Context::of(ctx));
             return SSL_CTX_add_session(ctx, session.pointer);
           }),
};

constexpr binding::Function kTicketFunctions[] = {
    define<&set_ticket_ring>("setRing"),
    define<&get_ticket_ring>("getRing"),
};

}  // namespace

std::span<const binding::Function> callback_functions() { return kCallbackFunctions; }
std::span<const binding::Function> ticket_functions() { return kTicketFunctions; }

}  // namespace session
