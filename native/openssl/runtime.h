// Which OpenSSL this process really uses: checked once at load (a wrong one is refused), reported by runtime().
#pragma once

#include <node_api.h>

namespace ossl {

// Refuses, with a binding::Error, a library that is not the one the addon was built for: ERR_OPENSSL_INTERPOSED when
// another copy (Node's own) took its place, ERR_OPENSSL_VERSION_MISMATCH when headers and library do not go together.
// Then initialises OpenSSL. Must come before any other call into OpenSSL; later calls cost nothing.
void verify_genuine();

// Whether handshakes can be paused: the platform has fibres and OPENSSL_SESSION_ASYNC=0 did not turn them off.
bool async_jobs();

// Whether this is the address of a function in the libssl or the libcrypto that the addon uses.
bool is_ours(const void* function);

// The object that runtime() returns.
napi_value runtime_info(napi_env env);

}  // namespace ossl
