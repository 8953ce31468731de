#include "openssl/types.h"

#include <atomic>

namespace ossl {

namespace {

// The serial rides in an ex_data slot. OpenSSL's own calls create, copy and free the slot, on whatever thread.
template <class T>
struct Numbered {
  static inline std::atomic<uint64_t> created{0};
  static inline std::atomic<int64_t> live{0};

  static void set_next(CRYPTO_EX_DATA* data, int index) noexcept {
    const uint64_t serial = created.fetch_add(1, std::memory_order_relaxed) + 1;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a slot holds a pointer, and this one is never followed.
    CRYPTO_set_ex_data(data, index, reinterpret_cast<void*>(serial));
  }

  static void on_new(void*, void*, CRYPTO_EX_DATA* data, int index, long, void*) noexcept {
    live.fetch_add(1, std::memory_order_relaxed);
    set_next(data, index);
  }

  static void on_free(void*, void*, CRYPTO_EX_DATA*, int, long, void*) noexcept {
    live.fetch_sub(1, std::memory_order_relaxed);
  }

  // Called when a session is duplicated, after on_new: what is stored through `slot` becomes the copy's value.
  static int on_dup(CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, compat::ExDataSlot slot, int, long, void*) noexcept {
    *static_cast<void**>(static_cast<void*>(slot)) =
        // NOLINTNEXTLINE(performance-no-int-to-ptr): as above.
        reinterpret_cast<void*>(created.fetch_add(1, std::memory_order_relaxed) + 1);
    return 1;
  }

  static int index(int ex_class) {
    static const int index = CRYPTO_get_ex_new_index(ex_class, 0, nullptr, on_new, on_dup, on_free);
    return index;
  }
};

}  // namespace

int verify_and_continue(int, X509_STORE_CTX*) noexcept { return 1; }

LiveCounts live_counts() noexcept {
  return {Numbered<SSL_CTX>::live.load(), Numbered<SSL>::live.load(), Numbered<SSL_SESSION>::live.load()};
}

uint64_t serial_of(const SSL_CTX* ctx) noexcept {
  return reinterpret_cast<uint64_t>(SSL_CTX_get_ex_data(ctx, Numbered<SSL_CTX>::index(CRYPTO_EX_INDEX_SSL_CTX)));
}

uint64_t serial_of(const SSL* ssl) noexcept {
  return reinterpret_cast<uint64_t>(SSL_get_ex_data(ssl, Numbered<SSL>::index(CRYPTO_EX_INDEX_SSL)));
}

uint64_t serial_of(const SSL_SESSION* session) noexcept {
  return reinterpret_cast<uint64_t>(
      SSL_SESSION_get_ex_data(session, Numbered<SSL_SESSION>::index(CRYPTO_EX_INDEX_SSL_SESSION)));
}

namespace {

enum class SessionSlot { kHome, kTaken };

// A slot that is empty in every new session and every duplicate.
template <SessionSlot>
int slot_index() {
  static const int index = CRYPTO_get_ex_new_index(
      CRYPTO_EX_INDEX_SSL_SESSION, 0, nullptr,
      // Makes room now: later the session may be in use on several threads.
      [](void*, void*, CRYPTO_EX_DATA* data, int slot, long, void*) { CRYPTO_set_ex_data(data, slot, nullptr); },
      [](CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, compat::ExDataSlot slot, int, long, void*) {
        *static_cast<void**>(static_cast<void*>(slot)) = nullptr;
        return 1;
      },
      nullptr);
  return index;
}

}  // namespace

uint64_t home_of(const SSL_SESSION* session) noexcept {
  return reinterpret_cast<uint64_t>(SSL_SESSION_get_ex_data(session, slot_index<SessionSlot::kHome>()));
}

void set_home(SSL_SESSION* session, uint64_t ctx_serial) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): as for the serials.
  SSL_SESSION_set_ex_data(session, slot_index<SessionSlot::kHome>(), reinterpret_cast<void*>(ctx_serial));
}

bool is_taken(const SSL_SESSION* session) noexcept {
  return SSL_SESSION_get_ex_data(session, slot_index<SessionSlot::kTaken>()) != nullptr;
}

void set_taken(SSL_SESSION* session) noexcept {
  SSL_SESSION_set_ex_data(session, slot_index<SessionSlot::kTaken>(), session);
}

void register_serials() {
  slot_index<SessionSlot::kHome>();
  slot_index<SessionSlot::kTaken>();
  Numbered<SSL_CTX>::index(CRYPTO_EX_INDEX_SSL_CTX);
  Numbered<SSL>::index(CRYPTO_EX_INDEX_SSL);
  Numbered<SSL_SESSION>::index(CRYPTO_EX_INDEX_SSL_SESSION);
}

namespace {

template <class T, auto UpRef>
void up_ref(void* pointer) {
  UpRef(static_cast<T*>(pointer));
}

template <class T, auto Free>
void free_reference(void* pointer) {
  Free(static_cast<T*>(pointer));
}

template <class T>
uint64_t serial(const void* pointer) {
  return serial_of(static_cast<const T*>(pointer));
}

// The second half of the tag is this package's own; the first tells the types apart.
constexpr napi_type_tag tag(uint64_t index) { return {0x6f70656e73736c00U + index, 0x73657373696f6e31U}; }

template <class T, auto UpRef, auto Free>
constexpr binding::TypeInfo counted(const char* name, size_t index) {
  return {name, index, tag(index), up_ref<T, UpRef>, free_reference<T, Free>, nullptr};
}

template <class T, auto UpRef, auto Free>
constexpr binding::TypeInfo numbered(const char* name, size_t index) {
  return {name, index, tag(index), up_ref<T, UpRef>, free_reference<T, Free>, serial<T>};
}

constexpr binding::TypeInfo immortal(const char* name, size_t index) {
  return {name, index, tag(index), nullptr, nullptr, nullptr};
}

constexpr binding::TypeInfo kSslCtx = numbered<SSL_CTX, SSL_CTX_up_ref, SSL_CTX_free>("SSL_CTX", 0);
constexpr binding::TypeInfo kSsl = numbered<SSL, SSL_up_ref, SSL_free>("SSL", 1);
constexpr binding::TypeInfo kSslSession = numbered<SSL_SESSION, SSL_SESSION_up_ref, SSL_SESSION_free>("SSL_SESSION", 2);
constexpr binding::TypeInfo kBio = counted<BIO, BIO_up_ref, BIO_free>("BIO", 3);
constexpr binding::TypeInfo kX509 = counted<X509, X509_up_ref, X509_free>("X509", 4);
constexpr binding::TypeInfo kX509Store = counted<X509_STORE, X509_STORE_up_ref, X509_STORE_free>("X509_STORE", 5);
constexpr binding::TypeInfo kEvpPkey = counted<EVP_PKEY, EVP_PKEY_up_ref, EVP_PKEY_free>("EVP_PKEY", 6);
// A PKCS12 has no reference count: it is owned, never lent.
constexpr binding::TypeInfo kPkcs12 = {"PKCS12", 7, tag(7), nullptr, free_reference<PKCS12, PKCS12_free>, nullptr};
constexpr binding::TypeInfo kSslMethod = immortal("SSL_METHOD", 8);
constexpr binding::TypeInfo kBioMethod = immortal("BIO_METHOD", 9);
constexpr binding::TypeInfo kSslCipher = immortal("SSL_CIPHER", 10);

}  // namespace

const std::array<const binding::TypeInfo*, 11>& handle_types() {
  static constexpr std::array<const binding::TypeInfo*, 11> kTypes = {
      &kSslCtx,  &kSsl,    &kSslSession, &kBio,       &kX509,      &kX509Store,
      &kEvpPkey, &kPkcs12, &kSslMethod,  &kBioMethod, &kSslCipher,
  };
  return kTypes;
}

}  // namespace ossl

namespace binding {

const TypeInfo& TypeOf<SSL_CTX>::info() { return ossl::kSslCtx; }
const TypeInfo& TypeOf<SSL>::info() { return ossl::kSsl; }
const TypeInfo& TypeOf<SSL_SESSION>::info() { return ossl::kSslSession; }
const TypeInfo& TypeOf<BIO>::info() { return ossl::kBio; }
const TypeInfo& TypeOf<X509>::info() { return ossl::kX509; }
const TypeInfo& TypeOf<X509_STORE>::info() { return ossl::kX509Store; }
const TypeInfo& TypeOf<EVP_PKEY>::info() { return ossl::kEvpPkey; }
const TypeInfo& TypeOf<PKCS12>::info() { return ossl::kPkcs12; }
const TypeInfo& TypeOf<SSL_METHOD>::info() { return ossl::kSslMethod; }
const TypeInfo& TypeOf<BIO_METHOD>::info() { return ossl::kBioMethod; }
const TypeInfo& TypeOf<SSL_CIPHER>::info() { return ossl::kSslCipher; }

}  // namespace binding
