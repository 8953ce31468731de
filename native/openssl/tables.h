// The tables of functions and constants that the addon registers, one for each OpenSSL object, and how a row is
// written.
#pragma once

#include <span>

#include "bind/function.h"
#include "openssl/types.h"

// A function as it is.
#define OSSL_FUNCTION(name) binding::define<&name>(#name)
// A function whose result the application owns, borrows from the first argument, or finds in static memory.
#define OSSL_OWNED(name) binding::define_owned<&name>(#name)
#define OSSL_BORROWED(name) binding::define_borrowed<&name>(#name)
#define OSSL_STATIC(name) binding::define_static<&name>(#name)
// NOLINTBEGIN(bugprone-macro-parentheses): signatures and types cannot stand in parentheses.
// A macro: its parameters and result as the man page gives them, then the arguments.
#define OSSL_MACRO(name, result, parameters, arguments) \
  binding::define(#name, [] parameters -> result { return name arguments; })
// The same two for what changes settings of the first argument: refused while other threads work with it.
#define OSSL_SETTING(name) binding::define_setting<&name>(#name)
#define OSSL_SETTING_MACRO(name, result, parameters, arguments) \
  binding::define_setting(#name, [] parameters -> result { return name arguments; })
// A *_free function: gives back one reference of the application's; null does nothing.
#define OSSL_FREE(name, type)                                    \
  binding::define(#name, [](binding::NullableRef<type> object) { \
    if (object.handle) object.handle->release();                 \
  })
// An *_up_ref function: the application owns one reference more.
#define OSSL_UP_REF(name, type)                          \
  binding::define(#name, [](binding::Ref<type> object) { \
    const int result = name(object.pointer);             \
    if (result == 1) object.handle->own();               \
    return result;                                       \
  })
// NOLINTEND(bugprone-macro-parentheses)

namespace ossl {

std::span<const binding::Function> ssl_ctx_functions();
std::span<const binding::Function> ssl_functions();
std::span<const binding::Function> ssl_session_functions();
std::span<const binding::Function> bio_functions();
std::span<const binding::Function> x509_functions();
std::span<const binding::Function> err_functions();
// Those of later versions that the library in use has.
std::span<const binding::Function> later_functions();
std::span<const binding::Constant> constants();

}  // namespace ossl
