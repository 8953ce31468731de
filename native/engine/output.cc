#include "engine/output.h"

#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <new>

#include "openssl/types.h"

namespace engine {

namespace {

// More than that is not kept for the next connection.
constexpr size_t kSpare = size_t{128} * 1024;

}  // namespace

BIO* Output::create_bio(std::thread::id owner) {
  using Method = std::unique_ptr<BIO_METHOD, ossl::Deleter<BIO_meth_free>>;
  static const Method method = [] {
    Method made(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "openssl-session output"));
    if (!made) return made;
    BIO_meth_set_write(made.get(), write);
    // It is flushed by whoever makes it full.
    BIO_meth_set_ctrl(made.get(), [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH; });
    BIO_meth_set_destroy(made.get(), [](BIO* bio) {
      delete static_cast<Output*>(BIO_get_data(bio));
      return 1;
    });
    return made;
  }();
  if (!method) return nullptr;
  auto output = std::make_unique<Output>(owner);
  BIO* const bio = BIO_new(method.get());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, output.release());
  BIO_set_init(bio, 1);
  return bio;
}

void Output::borrow(Bytes& spare) {
  if (bytes_.capacity() == 0) bytes_.swap(spare);
}

void Output::give_back(Bytes& spare) {
  if (!empty()) return;
  drop();
  if (spare.capacity() == 0 && bytes_.capacity() <= kSpare) {
    bytes_.swap(spare);
  } else {
    Bytes().swap(bytes_);
  }
}

int Output::send(int fd) {
  while (!empty()) {
    const ssize_t sent = ::send(fd, bytes_.data() + sent_, size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<size_t>(sent);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  drop();
  return 0;
}

void Output::drop() {
  bytes_.clear();
  sent_ = 0;
}

int Output::write(BIO* bio, const char* data, int size) noexcept {
  BIO_clear_retry_flags(bio);
  Output& output = of(bio);
  if (size <= 0 || std::this_thread::get_id() != output.owner_) return -1;
  try {
    output.bytes_.insert(output.bytes_.end(), data, data + size);
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return size;
}

}  // namespace engine
