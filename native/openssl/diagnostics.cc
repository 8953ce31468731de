#include "openssl/diagnostics.h"

#include "bind/convert.h"
#include "openssl/types.h"

namespace ossl {

static napi_value by_class(binding::Environment& env, const std::array<uint64_t, binding::kMaxTypes>& counts) {
  napi_value object = nullptr;
  binding::check(napi_create_object(env.env(), &object));
  for (const binding::TypeInfo* type : handle_types()) {
    if (type->free != nullptr) binding::set(env, object, type->name, counts.at(type->index));
  }
  return object;
}

napi_value leak_report(binding::Environment& env) {
  const LiveCounts live = live_counts();
  napi_value live_object = nullptr;
  napi_value report = nullptr;
  binding::check(napi_create_object(env.env(), &live_object));
  binding::check(napi_create_object(env.env(), &report));
  binding::set(env, live_object, "SSL_CTX", live.ssl_ctx);
  binding::set(env, live_object, "SSL", live.ssl);
  binding::set(env, live_object, "SSL_SESSION", live.ssl_session);
  binding::set(env, report, "live", live_object);
  binding::set(env, report, "owned", by_class(env, env.owned));
  binding::set(env, report, "collected", by_class(env, env.collected));
  return report;
}

}  // namespace ossl
