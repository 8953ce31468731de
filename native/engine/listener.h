// A listening socket at home on a worker: accepts, and hands each connection to the worker with the least to do.
#pragma once

#include "engine/connection.h"

namespace engine {

class Listener final : public Resident, public Pollable, public std::enable_shared_from_this<Listener> {
 public:
  Listener(Engine& engine, Worker& worker, uint64_t id, Descriptor fd, std::shared_ptr<const Profile> profile);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const uint64_t id;

  // --- From the environment's thread -------------------------------------------------------------------------------

  // Another profile for what is accepted from now on, at once.
  void set_profile(std::shared_ptr<const Profile> profile);
  void stop();
  // Valid as long as the listener is not closed.
  int descriptor() const { return fd_.get(); }

  // Connections with smaller numbers of which JavaScript has not heard are none any more.
  uint64_t cut = 0;

  // --- From any thread ---------------------------------------------------------------------------------------------

  // Connections accepted here whose end JavaScript has not heard of.
  std::atomic<size_t> open{0};
  // Of all times.
  std::atomic<size_t> accepted{0};
  std::atomic<size_t> dropped{0};
  // How many may be open; those above are turned away.
  std::atomic<size_t> limit{SIZE_MAX};

  // --- From the worker's thread ------------------------------------------------------------------------------------

  void start();
  void close() override;
  void on_readiness(uint32_t events) override;
  bool came_from(uint64_t, uint64_t) const override { return false; }

 private:
  void accept_all();
  std::pair<Descriptor, std::shared_ptr<const Profile>> accept_one();
  void tell(int error);
  void drop(Descriptor fd);

  Engine& engine_;
  Worker& worker_;
  Descriptor fd_;
  std::mutex mutex_;
  std::shared_ptr<const Profile> profile_;
  bool closed_ = false;
  Deadline<Listener, &Listener::accept_all> pause_;
};

}  // namespace engine
