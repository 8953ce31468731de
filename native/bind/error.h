// Errors of the binding itself: misuse that is answered with a JavaScript exception carrying a code.
// What OpenSSL reports is not here: it stays on OpenSSL's error queue, as in C.
#pragma once

#include <napi.h>

#include <exception>
#include <string>
#include <utility>

namespace binding {

enum class ErrorKind { kError, kTypeError, kRangeError };

// Thrown by C++ code below a JavaScript call; function.h turns it into a JavaScript exception.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, const char* code, std::string message)
      : kind_(kind), code_(code), message_(std::move(message)) {}

  const char* what() const noexcept override { return message_.c_str(); }

  // Makes this the pending exception of `env`.
  void raise(napi_env env) const noexcept;

 private:
  ErrorKind kind_;
  const char* code_;
  std::string message_;
};

// Thrown when a JavaScript exception is already pending (or JavaScript is terminating): nothing to add, only unwind.
struct Pending {};

inline void check(napi_status status) {
  if (status != napi_ok) throw Pending{};
}

[[noreturn]] void wrong_type(size_t position, const char* expected);
[[noreturn]] void wrong_value(size_t position, const char* reason);
[[noreturn]] void out_of_range(size_t position, const char* range);

// Runs `body` on behalf of JavaScript and turns every C++ exception into a JavaScript one.
template <class Body>
napi_value guarded(napi_env env, Body body) noexcept {
  try {
    return body();
  } catch (const Error& error) {
    error.raise(env);
  } catch (const Pending&) {
    // The exception is pending already.
  } catch (const std::exception& error) {
    napi_throw_error(env, "ERR_MEMORY_ALLOCATION_FAILED", error.what());
  }
  return nullptr;
}

}  // namespace binding
