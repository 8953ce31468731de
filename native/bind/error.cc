#include "bind/error.h"

namespace binding {

void Error::raise(napi_env env) const noexcept {
  switch (kind_) {
    case ErrorKind::kTypeError:
      napi_throw_type_error(env, code_, message_.c_str());
      break;
    case ErrorKind::kRangeError:
      napi_throw_range_error(env, code_, message_.c_str());
      break;
    case ErrorKind::kError:
      napi_throw_error(env, code_, message_.c_str());
      break;
  }
}

static std::string argument(size_t position) { return "argument " + std::to_string(position + 1) + " must be "; }

void wrong_type(size_t position, const char* expected) {
  throw Error(ErrorKind::kTypeError, "ERR_INVALID_ARG_TYPE", argument(position) + expected);
}

void wrong_value(size_t position, const char* reason) {
  throw Error(ErrorKind::kTypeError, "ERR_INVALID_ARG_VALUE", argument(position) + reason);
}

void out_of_range(size_t position, const char* range) {
  throw Error(ErrorKind::kRangeError, "ERR_OUT_OF_RANGE", argument(position) + range);
}

}  // namespace binding
