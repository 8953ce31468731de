// A listening socket at home on a worker: accepts, and hands each connection to the worker with the least to do.
#pragma once

#include "engine/connection.h"

namespace engine {

class Listener final : public Resident, public std::enable_shared_from_this<Listener> {
 public:
  Listener(Engine& engine, Worker& worker, uint64_t id, Descriptor fd, ossl::SslCtxPointer ctx,
           const ConnectionSettings& settings);

  const uint64_t id;

  // --- From the environment's thread -------------------------------------------------------------------------------

  // Another context for what is accepted from now on.
  void set_context(ossl::SslCtxPointer ctx);
  void stop();

  // --- From the worker's thread ------------------------------------------------------------------------------------

  void start();
  void close() override;
  void on_alarm() override;

 private:
  void accept_all();
  void watch(bool on);
  void tell(int error);

  Engine& engine_;
  Worker& worker_;
  Descriptor fd_;
  ossl::SslCtxPointer ctx_;
  const ConnectionSettings settings_;
  std::unique_ptr<UvHandle<uv_poll_t, UV_POLL>> poll_;
  bool closed_ = false;
  std::optional<Worker::Alarms::iterator> alarm_;
};

}  // namespace engine
