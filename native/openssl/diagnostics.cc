#include "openssl/diagnostics.h"

#include "bind/convert.h"
#include "openssl/types.h"

namespace ossl {

static napi_value by_class(bind::Environment& env, const std::array<uint64_t, bind::kMaxTypes>& counts) {
  napi_value object = nullptr;
  bind::check(napi_create_object(env.env(), &object));
  for (const bind::TypeInfo* type : handle_types()) {
    if (type->free != nullptr) bind::set(env, object, type->name, counts.at(type->index));
  }
  return object;
}

napi_value leak_report(bind::Environment& env) {
  const LiveCounts live = live_counts();
  napi_value live_object = nullptr;
  napi_value report = nullptr;
  bind::check(napi_create_object(env.env(), &live_object));
  bind::check(napi_create_object(env.env(), &report));
  bind::set(env, live_object, "SSL_CTX", live.ssl_ctx);
  bind::set(env, live_object, "SSL", live.ssl);
  bind::set(env, live_object, "SSL_SESSION", live.ssl_session);
  bind::set(env, report, "live", live_object);
  bind::set(env, report, "owned", by_class(env, env.owned));
  bind::set(env, report, "collected", by_class(env, env.collected));
  return report;
}

}  // namespace ossl
