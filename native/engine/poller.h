// The sockets of one worker, in an epoll set that its loop watches as one descriptor: each socket is armed once, for
// its whole life, where uv_poll would call the kernel six times for every connection.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>

#include "engine/descriptor.h"

namespace engine {

// What has a socket. It reads and writes until the kernel has no more: it is told of changes only.
class Pollable {
 public:
  Pollable() = default;
  virtual ~Pollable() = default;
  Pollable(const Pollable&) = delete;
  Pollable& operator=(const Pollable&) = delete;
  // EPOLL* bits.
  virtual void on_readiness(uint32_t events) = 0;
};

class Poller {
 public:
  // Comes before everything else. Returns 0 or an error number.
  int open();
  int descriptor() const { return set_.get(); }
  // Returns 0 or an error number.
  int add(int fd, uint32_t events, Pollable* pollable) { return control(EPOLL_CTL_ADD, fd, events, pollable); }
  int change(int fd, uint32_t events, Pollable* pollable) { return control(EPOLL_CTL_MOD, fd, events, pollable); }
  // From any thread: takes a descriptor out before it is closed, which is not enough where others stand for the same.
  void remove(int fd);
  // Nothing is told to it any more.
  void forget(const Pollable* pollable);
  // Tells those who are concerned what has happened; of more than a batch, the descriptor tells again.
  void dispatch();

 private:
  int control(int operation, int fd, uint32_t events, Pollable* pollable);

  Descriptor set_;
  std::array<epoll_event, 128> batch_{};
  int next_ = 0;
  int count_ = 0;
};

}  // namespace engine
