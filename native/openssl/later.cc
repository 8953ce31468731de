// Functions that came after 1.1.1 (in 3.0 or later), whatever object they are about. One addon serves all libraries
// with one ABI, so it is not linked with these: the dynamic loader looks for them, and those that it does not find are
// absent.
#include <vector>

#include "openssl/runtime.h"
#include "openssl/tables.h"

// Declared here, under a name of their own, because the headers may be older than the library. Weak: null when not
// found.
#define OSSL_WEAK(name, result, parameters) extern result later_##name parameters __asm__(#name) __attribute__((weak))
// NOLINTBEGIN(bugprone-macro-parentheses): as in tables.h.
// As for a macro: its parameters and result as the man page gives them, then the arguments.
#define OSSL_LATER(name, result, parameters, arguments) OSSL_LATER_WHEN(true, name, result, parameters, arguments)
// The same for one that some versions must not be asked for unless a condition holds: otherwise the result is 0 or
// null.
#define OSSL_LATER_WHEN(condition, name, result, parameters, arguments) \
  {                                                                     \
    binding::define(#name,                                              \
                    [] parameters -> result {                           \
                      OSSL_WEAK(name, result, parameters);              \
                      if (!(condition)) return result();                \
                      return later_##name arguments;                    \
                    }),                                                 \
        []() -> const void* {                                           \
          OSSL_WEAK(name, result, parameters);                          \
          return reinterpret_cast<const void*>(&later_##name);          \
        }                                                               \
  }
// NOLINTEND(bugprone-macro-parentheses)

namespace ossl {

// Not in an unnamed namespace, which would make the functions of C that are declared in it this file's own.
struct LaterFunction {
  binding::Function function;
  const void* (*address)();
};

using CString = const char*;

static constexpr LaterFunction kLaterFunctions[] = {
    // 3.0
    OSSL_LATER(SSL_new_session_ticket, int, (SSL * ssl), (ssl)),
    // 3.2
    // 3.5 looks into the session before there is one.
    OSSL_LATER_WHEN(SSL_get_session(ssl) != nullptr, SSL_get0_group_name, CString, (SSL * ssl), (ssl)),
    // 3.3
    OSSL_LATER(SSL_SESSION_get_time_ex, time_t, (const SSL_SESSION* session), (session)),
    OSSL_LATER(SSL_SESSION_set_time_ex, time_t, (SSL_SESSION * session, time_t time), (session, time)),
    // 3.4
    OSSL_LATER(SSL_CTX_flush_sessions_ex, void, (SSL_CTX * ctx, time_t time), (ctx, time)),
};

std::span<const binding::Function> later_functions() {
  static const std::vector<binding::Function> present = [] {
    std::vector<binding::Function> functions;
    for (const LaterFunction& row : kLaterFunctions) {
      // The dynamic loader may have found it in Node, whose OpenSSL can be newer than ours.
      if (is_ours(row.address())) functions.push_back(row.function);
    }
    return functions;
  }();
  return present;
}

}  // namespace ossl
