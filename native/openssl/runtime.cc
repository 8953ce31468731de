#include "openssl/runtime.h"

#include <dlfcn.h>
#include <napi.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "bind/error.h"
#include "openssl/headers.h"

namespace ossl {
namespace {

// A loaded object (program or shared library) that defines a symbol.
struct Object {
  const void* base = nullptr;
  std::string path;
};

Object object_at(const void* address) {
  Dl_info info{};
  if (address == nullptr || dladdr(address, &info) == 0) return {};
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
  return {info.dli_fbase, error ? std::string(info.dli_fname) : file.string()};
}

template <class Function>
Object object_of(Function* symbol) {
  return object_at(reinterpret_cast<const void*>(symbol));
}

// Releases with the same key promise one ABI: 3.x.y goes with 3.z, but 1.1.0 does not go with 1.1.1's newer functions.
constexpr unsigned long abi_of(unsigned long version) { return version >> 28 >= 3 ? version >> 28 : version >> 12; }

// Major and minor version: functions come with these, and never with a patch.
constexpr unsigned long minor_of(unsigned long version) { return version >> 20; }

constexpr const char* kHowToIsolate =
    "Load it with `import 'openssl-session'`, which isolates it (process.dlopen with RTLD_DEEPBIND); where that is not "
    "possible (not glibc, or under AddressSanitizer), build it with OpenSSL inside: "
    "`node node_modules/openssl-session/native/build.mjs --openssl_static=true`.";

[[noreturn]] void refuse(const char* code, const std::string& what, const char* advice) {
  throw binding::Error(binding::ErrorKind::kError, code, what + ' ' + advice);
}

void check_origin() {
  const Object node = object_of(&napi_create_object);
  if (object_of(&SSL_CTX_new).base == node.base || object_of(&OpenSSL_version_num).base == node.base) {
    refuse("ERR_OPENSSL_INTERPOSED",
           "openssl-session refuses to run on the OpenSSL inside Node itself, whose functions took the place of the "
           "system's because the addon was loaded without isolation.",
           kHowToIsolate);
  }
}

void check_version() {
  const unsigned long library = OpenSSL_version_num();
  const bool new_enough = minor_of(library) >= minor_of(OPENSSL_VERSION_NUMBER);
  if (abi_of(library) == abi_of(OPENSSL_VERSION_NUMBER) && new_enough) return;
  refuse(
      "ERR_OPENSSL_VERSION_MISMATCH",
      "openssl-session was built with the headers of OpenSSL " + std::string(kHeaderVersion) + " but " +
          object_of(&OpenSSL_version_num).path + " is OpenSSL " +
          std::string(version_in(OpenSSL_version(OPENSSL_VERSION))) + ".",
      "Build it again on this machine (`node node_modules/openssl-session/native/build.mjs`), or install an OpenSSL of "
      "the same major version that is at least as new.");
}

void initialise() {
  // Without atexit, because at exit threads of the engine or fibres may still be inside OpenSSL.
  if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr) == 1 &&
      OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr) == 1)
    return;
  refuse("ERR_OPENSSL_INIT", "OpenSSL could not be initialised: " + object_of(&SSL_CTX_new).path + '.',
         "Check its configuration file (the environment variable OPENSSL_CONF, or openssl.cnf).");
}

// A libssl that something else loaded before, without isolation, may itself be bound to Node's libcrypto. Then its
// errors arrive on Node's queue and never on ours; or, with a libssl 1.1, whose function for that Node's libcrypto does
// not have any more, they arrive here, but what they mean was told to Node's.
void check_pairing() {
  SSL_CTX_free(SSL_CTX_new(nullptr));
  const bool paired = ERR_reason_error_string(ERR_peek_last_error()) != nullptr;
  ERR_clear_error();
  if (paired) return;
  refuse("ERR_OPENSSL_INTERPOSED",
         object_of(&SSL_CTX_new).path +
             " was loaded into this process before, without isolation, and calls the libcrypto inside Node itself.",
         "Remove it from LD_PRELOAD, or load openssl-session before the module that brought it in, or build "
         "openssl-session with OpenSSL inside: `node node_modules/openssl-session/native/build.mjs "
         "--openssl_static=true`.");
}

}  // namespace

void verify_genuine() {
  // Tried again after a refusal. Not std::call_once: in glibc before 2.34 an exception leaves that one locked for ever.
  static const bool verified = [] {
    check_origin();
    check_version();
    initialise();
    check_pairing();
    return true;
  }();
  static_cast<void>(verified);
}

bool async_jobs() {
  static const bool available = [] {
    const char* wish = std::getenv("OPENSSL_SESSION_ASYNC");
    return ASYNC_is_capable() == 1 && (wish == nullptr || std::string_view(wish) != "0");
  }();
  return available;
}

bool is_ours(const void* function) {
  const void* const base = object_at(function).base;
  return base != nullptr && (base == object_of(&SSL_CTX_new).base || base == object_of(&OpenSSL_version_num).base);
}

napi_value runtime_info(napi_env env) {
  const Object ssl = object_of(&SSL_CTX_new);
  const Object crypto = object_of(&OpenSSL_version_num);
  const Object addon = object_of(&runtime_info);
  const bool inside = ssl.base == addon.base;
  Napi::Object info = Napi::Object::New(env);
  info["headerVersion"] = std::string(kHeaderVersion);
  info["libraryVersion"] = std::string(version_in(OpenSSL_version(OPENSSL_VERSION)));
  info["headerVersionNumber"] = static_cast<double>(OPENSSL_VERSION_NUMBER);
  info["libraryVersionNumber"] = static_cast<double>(OpenSSL_version_num());
  info["libssl"] = ssl.path;
  info["libcrypto"] = crypto.path;
  info["addon"] = addon.path;
  info["linkage"] = inside ? "static" : "shared";
  const Napi::Object process = Napi::Env(env).Global().Get("process").As<Napi::Object>();
  info["nodeOpenSSL"] = process.Get("versions").As<Napi::Object>().Get("openssl");
  info["asyncJobs"] = Napi::Boolean::New(env, async_jobs());
  return info;
}

}  // namespace ossl
