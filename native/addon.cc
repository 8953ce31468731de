// Module initialisation, once for each JavaScript environment; nothing else.

#include <napi.h>

#include <cstdlib>
#include <span>
#include <string_view>

#include "engine/engine.h"
#include "openssl/diagnostics.h"
#include "openssl/runtime.h"
#include "openssl/tables.h"
#include "session/addon_environment.h"
#include "session/tables.h"

namespace {

void export_functions(napi_env env, napi_value exports, std::span<const binding::Function> functions) {
  for (const binding::Function& function : functions) {
    napi_value value = nullptr;
    binding::check(napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, nullptr, &value));
    binding::check(napi_set_named_property(env, exports, function.name, value));
  }
}

// Functions in an object of their own.
void export_group(napi_env env, napi_value exports, const char* name, std::span<const binding::Function> functions) {
  napi_value group = nullptr;
  binding::check(napi_create_object(env, &group));
  export_functions(env, group, functions);
  binding::check(napi_set_named_property(env, exports, name, group));
}

constexpr binding::Function kOwnFunctions[] = {
    binding::define<&ossl::leak_report>("leaks"),
    binding::define("runtime", [](binding::Environment& env) { return ossl::runtime_info(env.env()); }),
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  binding::guarded(env, [&]() -> napi_value {
    ossl::verify_genuine();
    ossl::register_serials();

    auto owner = std::make_unique<session::AddonEnvironment>(env);
    session::AddonEnvironment& environment = *owner;
    const char* const trace = std::getenv("OPENSSL_SESSION_TRACE");
    environment.trace = trace != nullptr && std::string_view(trace) == "1";
    binding::check(napi_set_instance_data(
        env, static_cast<binding::Environment*>(owner.get()),
        [](napi_env, void* data, void*) { delete static_cast<binding::Environment*>(data); }, nullptr));
    static_cast<void>(owner.release());

    for (const binding::TypeInfo* type : ossl::handle_types()) environment.define_class(*type, exports);
    for (const auto functions :
         {ossl::ssl_ctx_functions(), ossl::ssl_functions(), ossl::ssl_session_functions(), ossl::bio_functions(),
          ossl::x509_functions(), ossl::err_functions(), ossl::later_functions(), session::callback_functions(),
          session::inline_functions(), std::span<const binding::Function>(kOwnFunctions)}) {
      export_functions(env, exports, functions);
    }
    // Not part of libssl.
    export_group(env, exports, "engine", engine::functions());
    export_group(env, exports, "tickets", session::ticket_functions());
    export_group(env, exports, "earlyData", session::early_data_functions());
    for (const binding::Constant& constant : ossl::constants()) {
      binding::set(environment, exports, constant.name, constant.value);
    }
    return nullptr;
  });
  return exports;
}

}  // namespace

NODE_API_MODULE(openssl_session, init)
