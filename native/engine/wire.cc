#include "engine/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

namespace engine {

namespace {

// More than that is not kept for the next connection.
constexpr size_t kSpare = size_t{128} * 1024;

}  // namespace

const BIO_METHOD* Wire::method() {
  // Never freed: threads go on with it while a process exits.
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* const method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "openssl-session");
    if (method == nullptr) return method;
    BIO_meth_set_read(method, read);
    BIO_meth_set_write(method, write);
    BIO_meth_set_ctrl(method, control);
    BIO_meth_set_destroy(method, [](BIO* bio) {
      delete static_cast<Wire*>(BIO_get_data(bio));
      return 1;
    });
    return method;
  }();
  return made;
}

BIO* Wire::create_bio(int fd, const binding::Bytes& received, std::thread::id owner) {
  if (method() == nullptr) return nullptr;
  auto wire = std::make_unique<Wire>(fd, received, owner);
  BIO* const bio = BIO_new(method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, wire.release());
  BIO_set_init(bio, 1);
  return bio;
}

void Wire::cut() {
  fd_ = -1;
  Bytes().swap(received_);
  drop();
}

void Wire::readable(bool last) {
  readable_ = true;
  last_ = last_ || last;
}

void Wire::borrow(Bytes& spare) {
  if (output_.capacity() == 0) output_.swap(spare);
}

void Wire::give_back(Bytes& spare) {
  if (!empty()) return;
  drop();
  if (spare.capacity() == 0 && output_.capacity() <= kSpare) {
    output_.swap(spare);
  } else {
    Bytes().swap(output_);
  }
}

int Wire::send() {
  while (!empty()) {
    const ssize_t sent = ::send(fd_, output_.data() + sent_, size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<size_t>(sent);
      left_ += static_cast<size_t>(sent);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  drop();
  return 0;
}

void Wire::drop() {
  output_.clear();
  sent_ = 0;
}

int Wire::read(BIO* bio, char* data, int size) noexcept {
  Wire& wire = of(bio);
  if (size <= 0 || std::this_thread::get_id() != wire.owner_) return -1;
  BIO_clear_retry_flags(bio);
  if (wire.taken_ < wire.received_.size()) {
    const size_t part = std::min(static_cast<size_t>(size), wire.received_.size() - wire.taken_);
    std::copy_n(wire.received_.data() + wire.taken_, part, data);
    wire.taken_ += part;
    if (wire.taken_ == wire.received_.size()) {
      Bytes().swap(wire.received_);
      wire.taken_ = 0;
    }
    return static_cast<int>(part);
  }
  if (!wire.readable_) {
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t got = 0;
  do {
    got = recv(wire.fd_, data, static_cast<size_t>(size), 0);
  } while (got < 0 && errno == EINTR);
  // Less than there was room for is all that there was, and the kernel will tell of more, but of an end only once.
  if (got < size && !wire.last_) wire.readable_ = false;
  if (got == 0) wire.ended_ = true;
  if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

int Wire::write(BIO* bio, const char* data, int size) noexcept {
  Wire& wire = of(bio);
  if (size <= 0 || std::this_thread::get_id() != wire.owner_) return -1;
  BIO_clear_retry_flags(bio);
  try {
    wire.output_.insert(wire.output_.end(), data, data + size);
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return size;
}

long Wire::control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_EOF) return of(bio).ended_ ? 1 : 0;
  // Sending is up to the connection.
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

}  // namespace engine
