// SSL_CTX_new, and the setters and getters of every callback that JavaScript can install. What happens when one fires
// is in trampolines.cc and events.cc.
#include "session/addon_environment.h"
#include "session/events.h"
#include "session/tables.h"
#include "session/trampolines.h"

namespace session {

namespace {

using binding::Callback;
using binding::define;
using binding::Environment;
using binding::Owned;
using binding::Ref;

Owned<SSL_CTX> new_context(Environment& env, const SSL_METHOD* method) {
  ossl::SslCtxPointer ctx(SSL_CTX_new(method));
  if (ctx) Context::attach(AddonEnvironment::of(env).mailbox(), ctx.get());
  return {ctx.release()};
}

// Sets the function for JavaScript, then installs or takes out the trampoline, which `install` does with 1 or 0.
template <Slot S, class Install>
void set_callback(Environment& env, const Ref<SSL_CTX>& ctx, const Callback& callback, Install install) {
  Context::of(ctx.pointer)->set_callback(env, *ctx.handle, S, callback.value);
  install(ctx.pointer, callback.value != nullptr);
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

// Like SSL_CTX_set_alpn_protos(3), 0 is success.
int set_alpn_select_protos(SSL_CTX* ctx, std::optional<binding::Bytes> wire) {
  if (wire && !is_protocol_list(*wire)) return 1;
  if (wire) Context::of(ctx)->alpn_protocols.assign(wire->data, wire->data + wire->size);
  SSL_CTX_set_alpn_select_cb(ctx, wire ? alpn_trampoline : nullptr, Context::slot(ctx));
  return 0;
}

constexpr binding::Function kFunctions[] = {
    define<&new_context>("SSL_CTX_new"),
    define("SSL_CTX_sess_set_new_cb",
           [](Environment& env, Ref<SSL_CTX> ctx, Callback callback) {
             set_callback<Slot::kNew>(env, ctx, callback, [](SSL_CTX* c, bool on) {
               SSL_CTX_sess_set_new_cb(c, on ? new_trampoline : nullptr);
             });
           }),
    define("SSL_CTX_sess_set_remove_cb",
           [](Environment& env, Ref<SSL_CTX> ctx, Callback callback) {
             set_callback<Slot::kRemove>(env, ctx, callback, [](SSL_CTX* c, bool on) {
               SSL_CTX_sess_set_remove_cb(c, on ? remove_trampoline : nullptr);
             });
           }),
    define("SSL_CTX_sess_set_get_cb",
           [](Environment& env, Ref<SSL_CTX> ctx, Callback callback) {
             set_callback<Slot::kGet>(env, ctx, callback, [](SSL_CTX* c, bool on) {
               SSL_CTX_sess_set_get_cb(c, on ? get_trampoline : nullptr);
             });
           }),
    define("SSL_CTX_set_keylog_callback",
           [](Environment& env, Ref<SSL_CTX> ctx, Callback callback) {
             set_callback<Slot::kKeylog>(env, ctx, callback, [](SSL_CTX* c, bool on) {
               SSL_CTX_set_keylog_callback(c, on ? keylog_trampoline : nullptr);
             });
           }),
    define("SSL_CTX_set_cert_cb",
           [](Environment& env, Ref<SSL_CTX> ctx, Callback callback) {
             set_callback<Slot::kCert>(env, ctx, callback, [](SSL_CTX* c, bool on) {
               SSL_CTX_set_cert_cb(c, on ? cert_trampoline : nullptr, Context::slot(c));
             });
           }),
    define<&get_callback<Slot::kNew>>("SSL_CTX_sess_get_new_cb"),
    define<&get_callback<Slot::kRemove>>("SSL_CTX_sess_get_remove_cb"),
    define<&get_callback<Slot::kGet>>("SSL_CTX_sess_get_get_cb"),
    define<&get_callback<Slot::kKeylog>>("SSL_CTX_get_keylog_callback"),
    define<&set_alpn_select_protos>("SSL_CTX_set_alpn_select_protos"),
    // Tied to the context before OpenSSL links it into the context's list.
    define("SSL_CTX_add_session",
           [](SSL_CTX* ctx, Ref<SSL_SESSION> session) {
             bind_to_context(session.pointer, *Context::of(ctx));
             return SSL_CTX_add_session(ctx, session.pointer);
           }),
};

}  // namespace

std::span<const binding::Function> callback_functions() { return kFunctions; }

}  // namespace session
