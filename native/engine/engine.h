// The threads of one JavaScript environment, and which connections and listeners JavaScript knows of.
#pragma once

#include <span>
#include <unordered_map>

#include "bind/function.h"
#include "engine/connection.h"
#include "engine/listener.h"
#include "session/addon_environment.h"

namespace engine {

class Engine final : public session::Extension, public std::enable_shared_from_this<Engine> {
 public:
  // `handler` is told of everything: handler(what, id, listener, value).
  Engine(session::AddonEnvironment& env, size_t threads, napi_value handler);
  ~Engine() override;

  // The engine of the environment; throws when it was not started.
  static Engine& of(binding::Environment& env);

  // --- From the environment's thread -------------------------------------------------------------------------------

  uint64_t listen(int fd, ossl::SslCtxPointer ctx, const ConnectionSettings& settings);
  // Null when it is gone.
  std::shared_ptr<Connection> connection(uint64_t id) const;
  std::shared_ptr<Listener> listener(uint64_t id) const;

  // An accepted connection becomes known with the first thing that JavaScript hears of it.
  void know(const std::shared_ptr<Connection>& connection) { connections_.try_emplace(connection->id, connection); }
  void tell(binding::Environment& env, const std::shared_ptr<Connection>& connection, Told what, napi_value value);
  void tell_listener(binding::Environment& env, uint64_t listener, int error);

  // --- From a worker's thread --------------------------------------------------------------------------------------

  void accepted(Descriptor fd, SSL_CTX* ctx, const Listener& listener, const ConnectionSettings& settings);
  // Whether handshakes can be paused on fibres.
  bool async() const { return async_; }

 private:
  Worker& least_loaded() const;
  void call(binding::Environment& env, int what, uint64_t id, uint64_t listener, napi_value value) const;

  session::AddonEnvironment& env_;
  const bool async_;
  napi_ref handler_ = nullptr;
  std::atomic<uint64_t> next_id_{1};
  std::unordered_map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::unordered_map<uint64_t, std::shared_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// What lib/engine.ts calls; not part of the public API.
std::span<const binding::Function> functions();

}  // namespace engine
