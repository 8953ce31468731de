// What is between a connection's TLS and its socket. What TLS sends is gathered here and leaves in as few system calls
// as can be; what it wants to read, the socket is asked for only when there may be something.
#pragma once

#include <openssl/bio.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "bind/convert.h"

namespace engine {

// Belongs to its BIO, which belongs to the SSL; for one thread only.
class Wire {
 public:
  using Bytes = std::vector<unsigned char>;

  // A BIO with a wire of its own to this socket, from which `received` came already. From another thread than `owner`
  // it reads and writes nothing. Null when there is no memory.
  static BIO* create_bio(int fd, const binding::Bytes& received, std::thread::id owner);
  static Wire& of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

  Wire(int fd, const binding::Bytes& received, std::thread::id owner)
      : owner_(owner), fd_(fd), received_(received.data, received.data + received.size) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // The socket is someone else's from now on, and what was not sent is not wanted any more.
  void cut();

  // The kernel tells that there is something to read; `last` says that nothing will follow.
  void readable(bool last);

  // What is to be sent, in bytes.
  size_t size() const { return output_.size() - sent_; }
  bool empty() const { return size() == 0; }
  // How many bytes have left, in all its life.
  uint64_t left() const { return left_; }
  // Memory to fill, which a thread keeps for all its connections: taken if there is none yet, given back if it is
  // empty.
  void borrow(Bytes& spare);
  void give_back(Bytes& spare);
  // Sends what it can. An error number, 0 when all is sent.
  int send();
  void drop();

 private:
  static const BIO_METHOD* method();
  static int read(BIO* bio, char* data, int size) noexcept;
  static int write(BIO* bio, const char* data, int size) noexcept;
  static long control(BIO* bio, int command, long number, void* pointer) noexcept;

  const std::thread::id owner_;
  int fd_;
  Bytes received_;
  size_t taken_ = 0;
  bool readable_ = true;
  bool last_ = false;
  bool ended_ = false;
  Bytes output_;
  size_t sent_ = 0;
  uint64_t left_ = 0;
};

}  // namespace engine
