// Module initialisation, once for each JavaScript environment; nothing else.

#include <napi.h>

#include "bind/error.h"
#include "openssl/runtime.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  bind::guarded(env, [&]() -> napi_value {
    ossl::verify_genuine();
    exports["runtime"] = Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
      return Napi::Value(info.Env(), ossl::runtime_info(info.Env()));
    });
    return nullptr;
  });
  return exports;
}

}  // namespace

NODE_API_MODULE(openssl_session, init)
