// Module initialisation, once for each JavaScript environment; nothing else.

#include <napi.h>

#include <cstdlib>
#include <span>
#include <string_view>

#include "openssl/diagnostics.h"
#include "openssl/runtime.h"
#include "openssl/tables.h"
#include "session/addon_environment.h"
#include "session/tables.h"

namespace {

void export_functions(napi_env env, napi_value exports, std::span<const bind::Function> functions) {
  for (const bind::Function& function : functions) {
    napi_value value = nullptr;
    bind::check(napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, nullptr, &value));
    bind::check(napi_set_named_property(env, exports, function.name, value));
  }
}

constexpr bind::Function kOwnFunctions[] = {
    bind::define<&ossl::leak_report>("leaks"),
    bind::define("runtime", [](bind::Environment& env) { return ossl::runtime_info(env.env()); }),
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  bind::guarded(env, [&]() -> napi_value {
    ossl::verify_genuine();
    ossl::register_serials();

    auto owner = std::make_unique<session::AddonEnvironment>(env);
    session::AddonEnvironment& environment = *owner;
    const char* const trace = std::getenv("OPENSSL_SESSION_TRACE");
    environment.trace = trace != nullptr && std::string_view(trace) == "1";
    bind::check(napi_set_instance_data(
        env, static_cast<bind::Environment*>(owner.get()),
        [](napi_env, void* data, void*) { delete static_cast<bind::Environment*>(data); }, nullptr));
    static_cast<void>(owner.release());

    for (const bind::TypeInfo* type : ossl::handle_types()) environment.define_class(*type, exports);
    for (const auto functions :
         {ossl::ssl_ctx_functions(), ossl::ssl_functions(), ossl::ssl_session_functions(), ossl::bio_functions(),
          ossl::x509_functions(), ossl::err_functions(), session::callback_functions(), session::inline_functions(),
          std::span<const bind::Function>(kOwnFunctions)}) {
      export_functions(env, exports, functions);
    }
    for (const bind::Constant& constant : ossl::constants()) {
      bind::set(environment, exports, constant.name, constant.value);
    }
    return nullptr;
  });
  return exports;
}

}  // namespace

NODE_API_MODULE(openssl_session, init)
