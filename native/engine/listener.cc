#include "engine/listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "bind/convert.h"
#include "engine/addresses.h"
#include "engine/engine.h"

namespace engine {

namespace {

// How many connections are accepted before the ones that are open have their turn.
constexpr int kAcceptedAtOnce = 64;
// Milliseconds until another attempt after a failure.
constexpr uint64_t kPause = 100;

// The listener is closed (0), or cannot accept for now.
class ListenerEvent final : public session::Event {
 public:
  ListenerEvent(Engine& engine, uint64_t listener, int error)
      : engine_(engine.weak_from_this()), listener_(listener), error_(error) {}
  void deliver(binding::Environment& env) override {
    const auto engine = engine_.lock();
    if (engine) engine->tell(env, Told::kListener, listener_, binding::to_js(env, error_));
  }
  bool waits_for_loop() const override { return true; }

 private:
  const std::weak_ptr<Engine> engine_;
  const uint64_t listener_;
  const int error_;
};

// A client was turned away, which these are the addresses of.
class DropEvent final : public session::Event {
 public:
  DropEvent(Engine& engine, uint64_t listener, const sockaddr_storage& local, const sockaddr_storage& remote)
      : engine_(engine.weak_from_this()), listener_(listener), local_(local), remote_(remote) {}
  void deliver(binding::Environment& env) override {
    const auto engine = engine_.lock();
    if (!engine) return;
    napi_value addresses = nullptr;
    binding::check(napi_create_object(env.env(), &addresses));
    binding::check(napi_set_named_property(env.env(), addresses, "local", address_object(env, local_)));
    binding::check(napi_set_named_property(env.env(), addresses, "remote", address_object(env, remote_)));
    engine->tell(env, Told::kDropped, listener_, addresses);
  }
  bool waits_for_loop() const override { return true; }

 private:
  const std::weak_ptr<Engine> engine_;
  const uint64_t listener_;
  const sockaddr_storage local_;
  const sockaddr_storage remote_;
};

}  // namespace

Listener::Listener(Engine& engine, Worker& worker, uint64_t id, Descriptor fd, std::shared_ptr<const Profile> profile)
    : id(id),
      engine_(engine),
      worker_(worker),
      fd_(std::move(fd)),
      profile_(std::move(profile)),
      pause_(worker, *this) {}

void Listener::set_profile(std::shared_ptr<const Profile> profile) {
  {
    const std::lock_guard lock(mutex_);
    // Closed meanwhile: nothing will be accepted.
    if (!profile_) return;
    profile_.swap(profile);
  }
  // The old one goes outside the lock, with its context perhaps.
}

void Listener::stop() {
  {
    // At once: who connects after this call is refused by the kernel.
    const std::lock_guard lock(mutex_);
    worker_.poller().remove(fd_.get());
    fd_.reset(-1);
  }
  engine_.post(worker_, [self = shared_from_this()] { self->close(); });
}

void Listener::start() {
  worker_.move_in(shared_from_this());
  int error = 0;
  {
    const std::lock_guard lock(mutex_);
    // Stopped before it has begun: its end is on its way.
    if (fd_.get() < 0) return;
    error = worker_.poller().add(fd_.get(), EPOLLIN, this);
  }
  if (error == 0) return;
  tell(-error);
  close();
}

void Listener::on_readiness(uint32_t) {
  if (!pause_.is_set()) accept_all();
}

void Listener::accept_all() {
  for (int i = 0; !closed_; i++) {
    if (i == kAcceptedAtOnce) {
      // The rest after the ones that are open have had their turn.
      worker_.post([self = shared_from_this()] { self->accept_all(); });
      return;
    }
    auto [fd, profile] = accept_one();
    if (fd.get() >= 0) {
      if (open >= limit) {
        drop(std::move(fd));
      } else {
        accepted++;
        open++;
        engine_.accepted(std::move(fd), profile, worker_);
      }
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN) {
      // No descriptor or no memory is left, most likely.
      tell(-errno);
      pause_.set(kPause);
    }
    return;
  }
}

// Nothing, and no profile either, when the listener was stopped.
std::pair<Descriptor, std::shared_ptr<const Profile>> Listener::accept_one() {
  const std::lock_guard lock(mutex_);
  if (fd_.get() < 0) {
    errno = EAGAIN;
    return std::pair(Descriptor(), nullptr);
  }
  return {Descriptor(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)), profile_};
}

void Listener::drop(Descriptor fd) {
  dropped++;
  const auto local = address_of<getsockname>(fd.get());
  const auto remote = address_of<getpeername>(fd.get());
  fd.reset(-1);
  worker_.mailbox().push(std::make_unique<DropEvent>(engine_, id, local, remote));
}

void Listener::close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  pause_.clear();
  worker_.poller().forget(this);
  {
    std::shared_ptr<const Profile> last;
    const std::lock_guard lock(mutex_);
    if (fd_.get() >= 0) worker_.poller().remove(fd_.get());
    fd_.reset(-1);
    last.swap(profile_);
  }
  worker_.move_out(self);
  tell(0);
}

void Listener::tell(int error) { worker_.mailbox().push(std::make_unique<ListenerEvent>(engine_, id, error)); }

}  // namespace engine
