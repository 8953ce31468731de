#include "engine/engine.h"

#include <algorithm>
#include <utility>

namespace engine {

namespace {

// Beside the numbers of Told: a listener has closed or cannot accept.
constexpr int kListenerTold = 7;

}  // namespace

Engine::Engine(session::AddonEnvironment& env, size_t threads, napi_value handler) : env_(env), async_(env.async()) {
  binding::check(napi_create_reference(env.env(), handler, 1, &handler_));
  workers_.reserve(threads);
  for (size_t i = 0; i < threads; i++) workers_.push_back(std::make_unique<Worker>(env.mailbox()));
}

Engine::~Engine() {
  workers_.clear();
  // Their last words are in the mailbox, and reach nobody any more: what they would have ended is ended here.
  for (const auto& [id, connection] : connections_) connection->forget();
  napi_delete_reference(env_.env(), handler_);
}

Engine& Engine::of(binding::Environment& env) {
  auto* const extension = session::AddonEnvironment::of(env).extension.get();
  if (extension == nullptr) {
    throw binding::Error(binding::ErrorKind::kError, "ERR_ENGINE_STOPPED", "the engine has not been started");
  }
  return static_cast<Engine&>(*extension);
}

Worker& Engine::least_loaded() const {
  return **std::min_element(workers_.begin(), workers_.end(),
                            [](const auto& a, const auto& b) { return a->load < b->load; });
}

uint64_t Engine::listen(int fd, ossl::SslCtxPointer ctx, const ConnectionSettings& settings) {
  const uint64_t id = next_id_++;
  Worker& worker = *workers_.at(id % workers_.size());
  const auto listener = std::make_shared<Listener>(*this, worker, id, Descriptor(fd), std::move(ctx), settings);
  listeners_.emplace(id, listener);
  worker.post([listener] { listener->start(); });
  return id;
}

void Engine::accepted(Descriptor fd, SSL_CTX* ctx, const Listener& listener, const ConnectionSettings& settings) {
  Worker& worker = least_loaded();
  const auto connection = std::make_shared<Connection>(*this, worker, next_id_++, listener.id, settings);
  SSL_CTX_up_ref(ctx);
  const std::shared_ptr<SSL_CTX> shared_ctx(ctx, SSL_CTX_free);
  // A task is copied and may be dropped: what it owns it shares.
  const auto shared_fd = std::make_shared<Descriptor>(std::move(fd));
  worker.load++;
  worker.post([connection, shared_fd, shared_ctx] { connection->adopt(std::move(*shared_fd), shared_ctx.get()); });
}

std::shared_ptr<Connection> Engine::connection(uint64_t id) const {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second;
}

std::shared_ptr<Listener> Engine::listener(uint64_t id) const {
  const auto found = listeners_.find(id);
  return found == listeners_.end() ? nullptr : found->second;
}

void Engine::call(binding::Environment& env, int what, uint64_t id, uint64_t listener, napi_value value) const {
  napi_value handler = nullptr;
  napi_value undefined = nullptr;
  binding::check(napi_get_reference_value(env.env(), handler_, &handler));
  binding::check(napi_get_undefined(env.env(), &undefined));
  const std::array<napi_value, 4> arguments{binding::to_js(env, what), binding::to_js(env, id),
                                            binding::to_js(env, listener), value};
  binding::check(napi_call_function(env.env(), undefined, handler, arguments.size(), arguments.data(), nullptr));
}

void Engine::tell(binding::Environment& env, const std::shared_ptr<Connection>& connection, Told what,
                  napi_value value) {
  know(connection);
  if (what != Told::kClosed) {
    call(env, static_cast<int>(what), connection->id, connection->listener, value);
    return;
  }
  connections_.erase(connection->id);
  try {
    call(env, static_cast<int>(what), connection->id, connection->listener, value);
  } catch (...) {
    connection->forget();
    throw;
  }
  connection->forget();
}

void Engine::tell_listener(binding::Environment& env, uint64_t listener, int error) {
  if (error == 0) listeners_.erase(listener);
  call(env, kListenerTold, 0, listener, binding::to_js(env, error));
}

}  // namespace engine
