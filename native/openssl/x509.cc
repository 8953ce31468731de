// X509, X509_STORE, EVP_PKEY and PKCS12: what a context's certificates and keys are loaded from.
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "openssl/tables.h"

namespace ossl {

namespace {

using binding::Bytes;
using binding::define;
using binding::Environment;
using binding::Octets;
using binding::OptionalString;
using binding::Owned;

// The passphrase is the user data; without one an encrypted key fails instead of asking on the terminal.
int give_passphrase(char* buffer, int size, int, void* passphrase) {
  if (passphrase == nullptr) return -1;
  const std::string_view text(static_cast<const char*>(passphrase));
  if (text.size() > static_cast<size_t>(size)) return -1;
  text.copy(buffer, text.size());
  return static_cast<int>(text.size());
}

Owned<X509> read_pem(BIO* bio) { return {PEM_read_bio_X509(bio, nullptr, give_passphrase, nullptr)}; }

Owned<X509> read_pem_aux(BIO* bio) { return {PEM_read_bio_X509_AUX(bio, nullptr, give_passphrase, nullptr)}; }

Owned<EVP_PKEY> read_private_key(BIO* bio, OptionalString passphrase) {
  // The callback only reads what it is handed.
  return {PEM_read_bio_PrivateKey(bio, nullptr, give_passphrase, const_cast<char*>(passphrase.c_str()))};
}

Owned<X509> x509_from_der(Bytes der) {
  const unsigned char* at = der.data;
  return {d2i_X509(nullptr, &at, static_cast<long>(der.size))};
}

Owned<EVP_PKEY> key_from_der(Bytes der) {
  const unsigned char* at = der.data;
  return {d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size))};
}

Owned<PKCS12> pkcs12_from_der(Bytes der) {
  const unsigned char* at = der.data;
  return {d2i_PKCS12(nullptr, &at, static_cast<long>(der.size))};
}

std::optional<Octets> x509_to_der(X509* x509) {
  const int size = i2d_X509(x509, nullptr);
  if (size <= 0) return std::nullopt;
  Octets der(static_cast<size_t>(size));
  unsigned char* end = der.data();
  i2d_X509(x509, &end);
  return der;
}

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_pop_free(stack, X509_free); }
};

// What C returns through three parameters is one object here.
napi_value parse_pkcs12(Environment& env, PKCS12* pkcs12, OptionalString passphrase) {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  STACK_OF(X509)* others = nullptr;
  const int result = PKCS12_parse(pkcs12, passphrase.c_str(), &key, &certificate, &others);
  EvpPkeyPointer owned_key(key);
  X509Pointer owned_certificate(certificate);
  const std::unique_ptr<STACK_OF(X509), FreeStack> owned_others(others);
  if (result != 1) return binding::null(env);

  napi_value object = nullptr;
  napi_value ca = nullptr;
  binding::check(napi_create_object(env.env(), &object));
  binding::check(napi_create_array(env.env(), &ca));
  binding::set(env, object, "pkey", Owned<EVP_PKEY>{owned_key.release()});
  binding::set(env, object, "cert", Owned<X509>{owned_certificate.release()});
  binding::set(env, object, "ca", ca);
  for (uint32_t i = 0; sk_X509_num(others) > 0; i++) {
    binding::check(napi_set_element(env.env(), ca, i, binding::to_js(env, Owned<X509>{sk_X509_shift(others)})));
  }
  return object;
}

constexpr binding::Function kX509Functions[] = {
    OSSL_FREE(X509_free, X509),
    OSSL_UP_REF(X509_up_ref, X509),
    define<&read_pem>("PEM_read_bio_X509"),
    define<&read_pem_aux>("PEM_read_bio_X509_AUX"),
    OSSL_FUNCTION(PEM_write_bio_X509),
    define<&x509_from_der>("d2i_X509"),
    define<&x509_to_der>("i2d_X509"),
    OSSL_FUNCTION(X509_check_issued),
    OSSL_FUNCTION(X509_cmp),
    OSSL_FUNCTION(X509_verify_cert_error_string),

    OSSL_FUNCTION(X509_STORE_add_cert),
    OSSL_FUNCTION(X509_STORE_set_flags),

    OSSL_FREE(EVP_PKEY_free, EVP_PKEY),
    OSSL_UP_REF(EVP_PKEY_up_ref, EVP_PKEY),
    define<&read_private_key>("PEM_read_bio_PrivateKey"),
    define<&key_from_der>("d2i_PrivateKey"),
    define("EVP_PKEY_get_bits", [](const EVP_PKEY* key) { return EVP_PKEY_bits(key); }),

    define<&pkcs12_from_der>("d2i_PKCS12"),
    OSSL_FREE(PKCS12_free, PKCS12),
    define<&parse_pkcs12>("PKCS12_parse"),
};

}  // namespace

std::span<const binding::Function> x509_functions() { return kX509Functions; }

}  // namespace ossl
