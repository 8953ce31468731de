#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "engine/scheduling.h"

namespace engine {

// Nanoseconds: JavaScript is to go on soon after something has come for it, also while threads compute signatures.
static constexpr uint64_t kSliceOfJavaScript = 500'000;
// How long a process that exits waits for its threads, at most.
static constexpr auto kSettling = std::chrono::seconds(1);

Engine::Engine(session::AddonEnvironment& env, napi_value handler) : env_(env), async_(env.async()) {
  binding::check(napi_create_reference(env.env(), handler, 1, &handler_));
  workers_.reserve(kMaxThreads);
  env.mailbox()->when_done([this] { post_outboxes(); });
}

Engine::~Engine() {
  env_.mailbox()->when_done(nullptr);
  stop();
  napi_delete_reference(env_.env(), handler_);
}

Engine& Engine::of(binding::Environment& env) {
  auto* const extension = session::AddonEnvironment::of(env).extension.get();
  if (extension == nullptr) {
    throw binding::Error(binding::ErrorKind::kError, "ERR_ENGINE_STOPPED", "the engine has not been set up");
  }
  return static_cast<Engine&>(*extension);
}

void Engine::start(size_t threads) {
  const size_t before = workers_.size();
  if (before == 0) slice_before_ = set_time_slice(kSliceOfJavaScript);
  try {
    while (workers_.size() < threads) {
      workers_.push_back(std::make_unique<Worker>(env_.mailbox(), blocks_->take()));
    }
  } catch (...) {
    // What they take may be what was missing. Nobody has given them anything yet.
    workers_.resize(before);
    if (before == 0 && slice_before_ != 0) set_time_slice(std::exchange(slice_before_, 0));
    throw;
  }
  running_ = workers_.size();
}

void Engine::post(Worker& worker, Worker::Task task) {
  worker.outbox.push_back(std::move(task));
  // A thread that is woken once for several does them all in one turn.
  if (!env_.mailbox()->more_to_come()) worker.post_all(worker.outbox);
}

void Engine::post_outboxes() {
  for (const auto& worker : workers_) {
    if (!worker->outbox.empty()) worker->post_all(worker->outbox);
  }
}

void Engine::stop() {
  post_outboxes();
  // They hand connections to each other: all of them end before the first one goes.
  for (const auto& worker : workers_) worker->ask_to_stop();
  for (const auto& worker : workers_) worker->stop();
  running_ = 0;
  workers_.clear();
  if (slice_before_ != 0) set_time_slice(std::exchange(slice_before_, 0));
  gone_before_ = next_id_;
  // Their last words are in the mailbox and may reach nobody: what they would have ended is ended here.
  for (const auto& [id, connection] : connections_) connection->forget();
  connections_.clear();
  listeners_.clear();
}

void Engine::settle() {
  struct Barrier {
    std::mutex mutex;
    std::condition_variable reached;
    size_t missing;
  };
  const auto barrier = std::make_shared<Barrier>();
  barrier->missing = workers_.size();
  post_outboxes();
  for (const auto& worker : workers_) {
    worker->post([barrier] {
      const std::lock_guard lock(barrier->mutex);
      if (--barrier->missing == 0) barrier->reached.notify_all();
    });
  }
  std::unique_lock lock(barrier->mutex);
  barrier->reached.wait_for(lock, kSettling, [&] { return barrier->missing == 0; });
}

Worker& Engine::least_loaded(size_t threads) const {
  const auto first = workers_.begin();
  const auto last = first + static_cast<std::ptrdiff_t>(std::clamp<size_t>(threads, 1, running_));
  return **std::min_element(first, last, [](const auto& a, const auto& b) { return a->load < b->load; });
}

uint64_t Engine::listen(Descriptor fd, SSL_CTX* ctx, const ConnectionSettings& settings) {
  const uint64_t id = next_id_++;
  Worker& worker = *workers_.at(id % std::clamp<size_t>(settings.threads, 1, workers_.size()));
  auto profile = std::make_shared<const Profile>(weak_from_this(), id, id, ctx, settings);
  const auto listener = std::make_shared<Listener>(*this, worker, id, std::move(fd), std::move(profile));
  listeners_.emplace(id, listener);
  worker.post([listener] { listener->start(); });
  return id;
}

uint64_t Engine::configure(uint64_t listener, SSL_CTX* ctx, const ConnectionSettings& settings) {
  const uint64_t id = next_id_++;
  if (const auto found = this->listener(listener)) {
    found->set_profile(std::make_shared<const Profile>(weak_from_this(), id, listener, ctx, settings));
  }
  return id;
}

void Engine::close_connections(uint64_t listener) {
  const uint64_t cut = next_id_;
  if (const auto found = this->listener(listener)) found->cut = cut;
  for (const auto& worker : workers_) {
    Worker* const here = worker.get();
    here->urgent++;
    post(*here, [here, listener, cut] {
      here->close_residents_of(listener, cut);
      here->urgent--;
    });
  }
}

uint64_t Engine::adopt(const std::shared_ptr<binding::Handle>& handle, SSL* ssl, Descriptor fd,
                       const Beginning& beginning, const ConnectionSettings& settings) {
  Worker& worker = least_loaded(settings.threads);
  auto profile = std::make_shared<const Profile>(weak_from_this(), next_id_++, 0, SSL_get_SSL_CTX(ssl), settings);
  const auto connection = std::make_shared<Connection>(*this, worker, next_id_++, std::move(profile));
  connection->move_in(handle, ssl, std::move(fd), beginning);
  know(connection);
  worker.load++;
  post(worker, [connection] { connection->begin(); });
  return connection->id;
}

void Engine::accepted(Descriptor fd, const std::shared_ptr<const Profile>& profile, Worker& here) {
  Worker& worker = least_loaded(profile->settings.threads);
  const auto connection = std::make_shared<Connection>(*this, worker, next_id_++, profile);
  worker.load++;
  if (&worker == &here) {
    connection->accept(std::move(fd));
    return;
  }
  // A task is copied and may be dropped: what it owns it shares.
  const auto shared_fd = std::make_shared<Descriptor>(std::move(fd));
  worker.post([connection, shared_fd] { connection->accept(std::move(*shared_fd)); });
}

std::shared_ptr<Connection> Engine::connection(uint64_t id) const {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second;
}

std::shared_ptr<Listener> Engine::listener(uint64_t id) const {
  const auto found = listeners_.find(id);
  return found == listeners_.end() ? nullptr : found->second;
}

std::vector<size_t> Engine::loads() const {
  std::vector<size_t> loads;
  loads.reserve(workers_.size());
  for (const auto& worker : workers_) loads.push_back(worker->load);
  return loads;
}

void Engine::call(binding::Environment& env, Told what, uint64_t id, uint64_t listener, napi_value value) const {
  napi_value handler = nullptr;
  napi_value undefined = nullptr;
  binding::check(napi_get_reference_value(env.env(), handler_, &handler));
  binding::check(napi_get_undefined(env.env(), &undefined));
  const std::array<napi_value, 4> arguments{binding::to_js(env, static_cast<int>(what)), binding::to_js(env, id),
                                            binding::to_js(env, listener), value != nullptr ? value : undefined};
  binding::check(napi_call_function(env.env(), undefined, handler, arguments.size(), arguments.data(), nullptr));
}

void Engine::tell(binding::Environment& env, const std::shared_ptr<Connection>& connection, Told what,
                  napi_value value) {
  if (gone(connection->id)) return;
  const auto profile = connection->profile().id;
  const auto from = listener(connection->profile().listener);
  if (what != Told::kClosed) {
    if (from && connection->id < from->cut && !connections_.contains(connection->id)) {
      // JavaScript has not heard of it, and has closed all there were. It may have been on its way between workers.
      connection->destroy(Ending::kAtOnce);
      return;
    }
    know(connection);
    call(env, what, connection->id, profile, value);
    return;
  }
  connections_.erase(connection->id);
  if (from) from->open--;
  try {
    call(env, what, connection->id, profile, value);
  } catch (...) {
    connection->forget();
    throw;
  }
  connection->forget();
}

void Engine::tell(binding::Environment& env, Told what, uint64_t listener, napi_value value) {
  call(env, what, 0, listener, value);
}

}  // namespace engine
