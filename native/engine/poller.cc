#include "engine/poller.h"

#include <cerrno>

namespace engine {

int Poller::open() {
  set_.reset(epoll_create1(EPOLL_CLOEXEC));
  return set_.get() < 0 ? errno : 0;
}

int Poller::control(int operation, int fd, uint32_t events, Pollable* pollable) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = pollable;
  return epoll_ctl(set_.get(), operation, fd, &event) == 0 ? 0 : errno;
}

void Poller::remove(int fd) {
  epoll_event unused{};
  epoll_ctl(set_.get(), EPOLL_CTL_DEL, fd, &unused);
}

void Poller::forget(const Pollable* pollable) {
  for (int i = next_; i < count_; i++) {
    auto& event = batch_.at(static_cast<size_t>(i));
    if (event.data.ptr == pollable) event.data.ptr = nullptr;
  }
}

void Poller::dispatch() {
  next_ = 0;
  count_ = epoll_wait(set_.get(), batch_.data(), static_cast<int>(batch_.size()), 0);
  while (next_ < count_) {
    const epoll_event event = batch_.at(static_cast<size_t>(next_++));
    if (event.data.ptr != nullptr) static_cast<Pollable*>(event.data.ptr)->on_readiness(event.events);
  }
  count_ = 0;
}

}  // namespace engine
