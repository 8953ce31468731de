// What a connection's SSL has to send: TLS writes it into memory, and it leaves in as few system calls as can be.
#pragma once

#include <openssl/bio.h>

#include <thread>
#include <vector>

namespace engine {

// Belongs to its BIO, which belongs to the SSL; for one thread only.
class Output {
 public:
  using Bytes = std::vector<unsigned char>;

  // A BIO that fills an output of its own, for the thread `owner`: any other writes in vain. Null when there is no
  // memory.
  static BIO* create_bio(std::thread::id owner);
  static Output& of(BIO* bio) { return *static_cast<Output*>(BIO_get_data(bio)); }

  explicit Output(std::thread::id owner) : owner_(owner) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  size_t size() const { return bytes_.size() - sent_; }
  bool empty() const { return size() == 0; }
  // Memory to fill, which a thread keeps for all its connections: taken if there is none yet, given back if it is
  // empty.
  void borrow(Bytes& spare);
  void give_back(Bytes& spare);
  // Sends what it can. An error number, 0 when all is sent.
  int send(int fd);
  void drop();

 private:
  static int write(BIO* bio, const char* data, int size) noexcept;

  const std::thread::id owner_;
  Bytes bytes_;
  size_t sent_ = 0;
};

}  // namespace engine
