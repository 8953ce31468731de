// The error queue of the calling thread, and OpenSSL's version.
#include <openssl/async.h>
#include <openssl/crypto.h>

#include "openssl/tables.h"

namespace ossl {

namespace {

using binding::define;
using binding::Environment;

std::string error_string(unsigned long code) {
  std::string text(256, '\0');
  ERR_error_string_n(code, text.data(), text.size());
  text.resize(text.find('\0'));
  return text;
}

napi_value get_error_all(Environment& env) {
  const compat::QueuedError error = compat::take_error();
  if (error.code == 0) return binding::null(env);
  napi_value object = nullptr;
  binding::check(napi_create_object(env.env(), &object));
  binding::set(env, object, "code", error.code);
  binding::set(env, object, "file", error.file);
  binding::set(env, object, "line", error.line);
  binding::set(env, object, "func", error.function);
  binding::set(env, object, "data", error.data);
  binding::set(env, object, "flags", error.flags);
  return object;
}

constexpr binding::Function kErrFunctions[] = {
    OSSL_FUNCTION(ERR_get_error),
    OSSL_FUNCTION(ERR_peek_error),
    OSSL_FUNCTION(ERR_peek_last_error),
    OSSL_FUNCTION(ERR_clear_error),
    define<&get_error_all>("ERR_get_error_all"),
    define<&error_string>("ERR_error_string"),
    OSSL_FUNCTION(ERR_lib_error_string),
    OSSL_FUNCTION(ERR_reason_error_string),
    OSSL_MACRO(ERR_GET_LIB, int, (unsigned long code), (code)),
    OSSL_MACRO(ERR_GET_REASON, int, (unsigned long code), (code)),

    OSSL_FUNCTION(OpenSSL_version),
    OSSL_FUNCTION(OpenSSL_version_num),
    OSSL_FUNCTION(ASYNC_is_capable),
};

}  // namespace

std::span<const binding::Function> err_functions() { return kErrFunctions; }

}  // namespace ossl
