// BIO: memory BIOs, through which JavaScript carries the bytes of inline connections, and through which PEM is read.
#include <algorithm>

#include "openssl/tables.h"

namespace ossl {

namespace {

using binding::Bytes;
using binding::define;
using binding::MutableBytes;
using binding::Owned;

int length(size_t size) { return static_cast<int>(std::min<size_t>(size, INT32_MAX)); }

// BIO_new_mem_buf(3) only refers to the caller's bytes, which JavaScript may change or lose: this one has its own.
Owned<BIO> new_mem_buf(Bytes bytes) {
  if (bytes.size > INT32_MAX) binding::out_of_range(0, "shorter than 2 GiB");
  std::unique_ptr<BIO, Deleter<BIO_free>> bio(BIO_new(BIO_s_mem()));
  if (!bio) return {nullptr};
  if (bytes.size > 0 && BIO_write(bio.get(), bytes.data, length(bytes.size)) != length(bytes.size)) return {nullptr};
  BIO_set_mem_eof_return(bio.get(), 0);
  return {bio.release()};
}

constexpr binding::Function kBioFunctions[] = {
    OSSL_STATIC(BIO_s_mem),
    OSSL_OWNED(BIO_new),
    define<&new_mem_buf>("BIO_new_mem_buf"),
    // C's BIO_free returns 1 on success; giving back a reference always succeeds or throws.
    define("BIO_free",
           [](binding::NullableRef<BIO> bio) {
             if (!bio.handle) return 0;
             bio.handle->release();
             return 1;
           }),
    OSSL_UP_REF(BIO_up_ref, BIO),
    define("BIO_read", [](BIO* bio, MutableBytes out) { return BIO_read(bio, out.data, length(out.size)); }),
    define("BIO_write", [](BIO* bio, Bytes data) { return BIO_write(bio, data.data, length(data.size)); }),
    OSSL_MACRO(BIO_pending, int, (BIO * bio), (bio)),
    OSSL_MACRO(BIO_wpending, int, (BIO * bio), (bio)),
    OSSL_FUNCTION(BIO_ctrl_pending),
    OSSL_MACRO(BIO_eof, int, (BIO * bio), (bio)),
    OSSL_MACRO(BIO_reset, int, (BIO * bio), (bio)),
    OSSL_MACRO(BIO_should_retry, int, (const BIO* bio), (bio)),
    define("BIO_set_mem_eof_return", [](BIO* bio, int value) -> long { return BIO_set_mem_eof_return(bio, value); }),
};

}  // namespace

std::span<const binding::Function> bio_functions() { return kBioFunctions; }

}  // namespace ossl
