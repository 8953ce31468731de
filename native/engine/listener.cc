#include "engine/listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "bind/convert.h"
#include "engine/engine.h"

namespace engine {

namespace {

// How many connections are accepted before the ones that are open have their turn.
constexpr int kBatch = 64;
// Milliseconds until another attempt when the process or the system has no descriptor left.
constexpr uint64_t kPause = 100;

// The listener is closed (0), or cannot accept for now.
class ListenerEvent final : public session::Event {
 public:
  ListenerEvent(Engine& engine, uint64_t listener, int error)
      : engine_(engine.weak_from_this()), listener_(listener), error_(error) {}
  void deliver(binding::Environment& env) override {
    if (const auto engine = engine_.lock()) engine->tell_listener(env, listener_, error_);
  }

 private:
  const std::weak_ptr<Engine> engine_;
  const uint64_t listener_;
  const int error_;
};

}  // namespace

Listener::Listener(Engine& engine, Worker& worker, uint64_t id, Descriptor fd, ossl::SslCtxPointer ctx,
                   const ConnectionSettings& settings)
    : id(id), engine_(engine), worker_(worker), fd_(std::move(fd)), ctx_(std::move(ctx)), settings_(settings) {}

void Listener::set_context(ossl::SslCtxPointer ctx) {
  // The old one goes with the task.
  auto shared = std::make_shared<ossl::SslCtxPointer>(std::move(ctx));
  worker_.post([self = shared_from_this(), shared] { self->ctx_.swap(*shared); });
}

void Listener::stop() {
  worker_.post([self = shared_from_this()] { self->close(); });
}

void Listener::start() {
  worker_.move_in(shared_from_this());
  poll_ = std::make_unique<UvHandle<uv_poll_t, UV_POLL>>();
  const int error = poll_->init(static_cast<Resident*>(this),
                                [&](uv_poll_t* handle) { return uv_poll_init(worker_.loop(), handle, fd_.get()); });
  if (error != 0) {
    tell(error);
    close();
    return;
  }
  watch(true);
}

void Listener::watch(bool on) {
  if (!on) {
    uv_poll_stop(poll_->get());
    return;
  }
  uv_poll_start(poll_->get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    auto* const resident = static_cast<Resident*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(handle)));
    static_cast<Listener*>(resident)->accept_all();
  });
}

void Listener::accept_all() {
  for (int i = 0; i < kBatch && !closed_; i++) {
    Descriptor fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.get() >= 0) {
      engine_.accepted(std::move(fd), ctx_.get(), *this, settings_);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      tell(-errno);
      watch(false);
      alarm_ = worker_.set_alarm(kPause, this);
    }
    return;
  }
}

void Listener::on_alarm() {
  alarm_.reset();
  watch(true);
}

void Listener::close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  if (alarm_) worker_.cancel(*alarm_);
  poll_.reset();
  fd_.reset(-1);
  ctx_.reset();
  worker_.move_out(self);
  tell(0);
}

void Listener::tell(int error) { worker_.mailbox().push(std::make_unique<ListenerEvent>(engine_, id, error)); }

}  // namespace engine
