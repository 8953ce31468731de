// Proves, while compiling, whose OpenSSL headers are in use: those of the library that the addon is linked with, not
// the copy that Node ships with its own headers. Nothing else belongs here.
#pragma once

#include <openssl/opensslv.h>

#include <string_view>

// Node's copy selects between assembler and plain C with a file that no installation of OpenSSL has. The build keeps
// Node's copy off the include path altogether, so the compiler must not be able to see that file.
#if __has_include(<openssl/opensslv_asm.h>) || __has_include(<openssl/opensslconf_asm.h>)
#error "Node's copy of OpenSSL's headers is on the include path; build with binding.gyp or native/CMakeLists.txt"
#endif

#if defined(LIBRESSL_VERSION_NUMBER) || defined(OPENSSL_IS_BORINGSSL)
#error "these are the headers of a fork; openssl-session needs OpenSSL itself"
#endif

#ifndef OPENSSL_SESSION_EXPECTED_VERSION
#error "the build must define OPENSSL_SESSION_EXPECTED_VERSION: the version that pkg-config names"
#endif

namespace ossl {

// The version in a text such as "OpenSSL 3.0.19 27 Jan 2026".
constexpr std::string_view version_in(std::string_view text) {
  text.remove_prefix(text.find(' ') + 1);
  return text.substr(0, text.find(' '));
}

inline constexpr std::string_view kHeaderVersion = version_in(OPENSSL_VERSION_TEXT);

static_assert(kHeaderVersion == OPENSSL_SESSION_EXPECTED_VERSION,
              "OpenSSL's headers are not those of the library that pkg-config names");

}  // namespace ossl
