// The threads of one JavaScript environment, and which connections and listeners JavaScript knows of.
#pragma once

#include <span>
#include <unordered_map>

#include "bind/function.h"
#include "engine/connection.h"
#include "engine/listener.h"
#include "session/addon_environment.h"

namespace engine {

inline constexpr size_t kMaxThreads = 1024;

class Engine final : public session::Extension, public std::enable_shared_from_this<Engine> {
 public:
  // `handler` is told of everything: handler(what, connection or 0, profile or listener, value).
  Engine(session::AddonEnvironment& env, napi_value handler);
  ~Engine() override;

  // The engine of the environment; throws when it was not set up.
  static Engine& of(binding::Environment& env);

  // --- From the environment's thread -------------------------------------------------------------------------------

  // Has at least so many threads from now on.
  void start(size_t threads);
  // Ends the threads; what still lives on them is closed.
  void stop();
  // Returns when the threads have done what they were asked to do so far, or not in time.
  void settle();

  // Takes over a descriptor that is bound and listens. The first profile has the number of the listener.
  uint64_t listen(Descriptor fd, SSL_CTX* ctx, const ConnectionSettings& settings);
  // For what is accepted from now on; the number of the profile.
  uint64_t configure(uint64_t listener, SSL_CTX* ctx, const ConnectionSettings& settings);
  // Ends what was accepted here, whether or not JavaScript has heard of it.
  void close_connections(uint64_t listener);
  // What the listener counts is not asked for any more.
  void forget_listener(uint64_t listener) { listeners_.erase(listener); }
  // Makes this the home of an SSL that JavaScript has made, and of its connected socket.
  uint64_t adopt(const std::shared_ptr<binding::Handle>& handle, SSL* ssl, Descriptor fd, const Beginning& beginning,
                 const ConnectionSettings& settings);
  // Null when it is gone.
  std::shared_ptr<Connection> connection(uint64_t id) const;
  std::shared_ptr<Listener> listener(uint64_t id) const;
  // How many connections each thread has.
  std::vector<size_t> loads() const;

  // Has a worker do something, together with what else JavaScript has for it in this turn.
  void post(Worker& worker, Worker::Task task);
  // Whether the thread that the connection or listener lived on has been ended.
  bool gone(uint64_t id) const { return id < gone_before_; }

  // An accepted connection becomes known with the first thing that JavaScript hears of it.
  void know(const std::shared_ptr<Connection>& connection) { connections_.try_emplace(connection->id, connection); }
  void tell(binding::Environment& env, const std::shared_ptr<Connection>& connection, Told what, napi_value value);
  void tell(binding::Environment& env, Told what, uint64_t listener, napi_value value);

  // --- From a worker's thread --------------------------------------------------------------------------------------

  void accepted(Descriptor fd, const std::shared_ptr<const Profile>& profile, Worker& here);
  // For bytes on their way. From any thread.
  Blocks& blocks() const { return *blocks_; }
  // Whether handshakes can be paused on fibres.
  bool async() const { return async_; }

 private:
  Worker& least_loaded(size_t threads) const;
  void post_outboxes();
  void call(binding::Environment& env, Told what, uint64_t id, uint64_t listener, napi_value value) const;

  session::AddonEnvironment& env_;
  const bool async_;
  const std::shared_ptr<Blocks> blocks_ = std::make_shared<Blocks>();
  napi_ref handler_ = nullptr;
  std::atomic<uint64_t> next_id_{1};
  uint64_t gone_before_ = 0;
  // The time slice of JavaScript's thread without an engine; 0 when it is as it was.
  uint64_t slice_before_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::unordered_map<uint64_t, std::shared_ptr<Listener>> listeners_;
  // Grows on the environment's thread, within its capacity, while workers read what was there before.
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<size_t> running_{0};
};

// What lib/engine.ts calls; not part of the public API.
std::span<const binding::Function> functions();

}  // namespace engine
