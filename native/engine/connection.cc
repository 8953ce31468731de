#include "engine/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "bind/convert.h"
#include "engine/engine.h"

namespace engine {

namespace {

// What a record holds at most: small writes are gathered up to this.
constexpr size_t kRecord = size_t{16} * 1024;
// How far the reader may fall behind before the socket is left alone, and when it is taken up again.
constexpr size_t kHighWater = size_t{256} * 1024;
constexpr size_t kLowWater = size_t{64} * 1024;
// How often a parked thread looks whether it is to end.
constexpr auto kParkedSlice = std::chrono::milliseconds(50);

}  // namespace

Connection::Connection(Engine& engine, Worker& worker, uint64_t id, uint64_t listener,
                       const ConnectionSettings& settings)
    : id(id), listener(listener), engine_(engine), worker_(worker), settings_(settings) {}

// --- From the environment's thread ----------------------------------------------------------------------------------

void Connection::write(std::vector<Chunk> chunks) {
  worker_.post([self = shared_from_this(), chunks = std::move(chunks)]() mutable {
    if (self->closed_) return;
    self->writes_.push_back(std::move(chunks));
    self->work();
  });
}

void Connection::finish() {
  worker_.post([self = shared_from_this()] {
    self->finish_wanted_ = true;
    self->work();
  });
}

void Connection::destroy() {
  {
    const std::lock_guard lock(mutex_);
    if (parked_ != nullptr) parked_->answered = true;
  }
  unparked_.notify_all();
  worker_.post([self = shared_from_this()] { self->close(); });
}

void Connection::consumed(size_t bytes) {
  const size_t left = unconsumed_.fetch_sub(bytes) - bytes;
  if (left <= kLowWater && stalled_.exchange(false)) {
    worker_.post([self = shared_from_this()] { self->work(); });
  }
}

void Connection::answer(std::shared_ptr<session::Lookup> lookup, ossl::SslSessionPointer session) noexcept {
  {
    const std::lock_guard lock(mutex_);
    lookup->answer = std::move(session);
    if (parked_ == lookup.get()) lookup->answered = true;
  }
  unparked_.notify_all();
  worker_.post([self = shared_from_this(), lookup = std::move(lookup)] {
    lookup->answered = true;
    self->work();
  });
}

void Connection::answer(std::shared_ptr<session::CertQuestion> question, bool accepted) noexcept {
  worker_.post([self = shared_from_this(), question = std::move(question), accepted] {
    question->accepted = accepted;
    question->answered = true;
    self->work();
  });
}

napi_value Connection::object(binding::Environment& env) {
  const binding::TypeInfo& type = binding::TypeOf<SSL>::info();
  if (!handle_) {
    ossl::SslPointer ssl;
    {
      const std::lock_guard lock(mutex_);
      if (ssl_) {
        SSL_up_ref(ssl_.get());
        ssl.reset(ssl_.get());
      }
    }
    if (!ssl) return binding::Handle::create_dead(env, type);
    handle_ = binding::Handle::find_or_create(env, type, ssl.get());
    handle_->begin_loan();
    // What has an SSL is not closed, and neither is its engine: this ends the loan, at the latest.
    engine_.know(shared_from_this());
  }
  // The handle's JavaScript object may have been collected: another takes its place.
  if (napi_value object = handle_->object()) return object;
  forget();
  return object(env);
}

void Connection::forget() noexcept {
  if (handle_) std::exchange(handle_, nullptr)->end_loan();
}

// --- From the worker's thread ---------------------------------------------------------------------------------------

void Connection::adopt(Descriptor fd, SSL_CTX* ctx) {
  worker_.move_in(shared_from_this());
  const int number = fd.get();
  {
    const std::lock_guard lock(mutex_);
    fd_ = std::move(fd);
    ERR_clear_error();
    if (!make_ssl(ctx)) {
      ssl_.reset();
      fail();
      return;
    }
  }
  if (settings_.no_delay) {
    const int on = 1;
    // A Unix socket has no such option and no such delay.
    setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  poll_ = std::make_unique<UvHandle<uv_poll_t, UV_POLL>>();
  const int error = poll_->init(static_cast<Resident*>(this),
                                [&](uv_poll_t* handle) { return uv_poll_init(worker_.loop(), handle, number); });
  if (error != 0) {
    poll_.reset();
    fail();
    return;
  }
  set_deadline(settings_.handshake_timeout);
  work();
}

bool Connection::make_ssl(SSL_CTX* ctx) {
  ssl_.reset(SSL_new(ctx));
  if (!ssl_) return false;
  SSL* const ssl = ssl_.get();
  const auto state = session::Connection::attach(ssl, shared_from_this());
  if (engine_.async() && state->context->has(session::Slot::kGet)) SSL_set_mode(ssl, SSL_MODE_ASYNC);
  SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_set_options(ssl, settings_.ssl_options);
  if (settings_.verify_mode != SSL_VERIFY_NONE) SSL_set_verify(ssl, settings_.verify_mode, ossl::verify_and_continue);
  SSL_set_accept_state(ssl);
  return SSL_set_fd(ssl, fd_.get()) == 1;
}

void Connection::work() {
  if (closed_ || !ssl_) return;
  // Nothing may free this while it works.
  const auto self = shared_from_this();
  wants_write_ = false;
  if (phase_ == Phase::kHandshake) shake_hands();
  if (phase_ == Phase::kOpen) {
    if (write_pending()) say_goodbye();
    read_available();
  }
  watch();
}

int Connection::outcome(int result) {
  if (result > 0) return SSL_ERROR_NONE;
  const int reason = SSL_get_error(ssl_.get(), result);
  if (reason == SSL_ERROR_SSL || reason == SSL_ERROR_SYSCALL) {
    while (ERR_peek_error() != 0) errors_.push_back(ossl::compat::take_error());
  }
  return reason;
}

void Connection::shake_hands() {
  const auto& state = session::Connection::of(ssl_.get());
  if (state->waiting()) return;
  int reason = SSL_ERROR_NONE;
  {
    std::unique_lock lock(mutex_);
    step_ = &lock;
    ERR_clear_error();
    reason = outcome(SSL_do_handshake(ssl_.get()));
    // The context that SNI has switched to asks nobody again.
    if (state->certificate && state->certificate->answered) state->certificate.reset();
    step_ = nullptr;
  }
  switch (reason) {
    case SSL_ERROR_NONE:
      phase_ = Phase::kOpen;
      set_deadline(0);
      tell(Told::kEstablished);
      return;
    case SSL_ERROR_WANT_READ:
      return;
    case SSL_ERROR_WANT_WRITE:
      wants_write_ = true;
      return;
    case SSL_ERROR_WANT_ASYNC:
    case SSL_ERROR_WANT_X509_LOOKUP:
      // The time of a lookup is its own; what is left of the handshake's begins anew after it.
      set_deadline(settings_.lookup_timeout);
      return;
    case SSL_ERROR_ZERO_RETURN:
    case SSL_ERROR_SYSCALL:
      if (errors_.empty()) {
        ended_ = true;
        phase_ = Phase::kBroken;
        tell(Told::kEnded);
        return;
      }
      [[fallthrough]];
    default:
      fail();
  }
}

void Connection::on_alarm() {
  alarm_.reset();
  const auto& state = session::Connection::of(ssl_.get());
  if (phase_ != Phase::kHandshake) return;
  if (state->lookup && !state->lookup->answered) {
    // Too late: a miss. Whatever the answer will be, nobody hears it.
    state->lookup->answered = true;
    set_deadline(settings_.handshake_timeout);
    work();
    return;
  }
  errors_.push_back({});
  fail();
}

void Connection::set_deadline(uint64_t milliseconds) {
  if (alarm_) {
    worker_.cancel(*alarm_);
    alarm_.reset();
  }
  if (milliseconds > 0) alarm_ = worker_.set_alarm(milliseconds, this);
}

void Connection::park(session::Question& question) noexcept {
  parked_ = &question;
  const bool limited = settings_.lookup_timeout > 0;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(settings_.lookup_timeout);
  // Nothing else of this thread will wake JavaScript up for the question.
  worker_.mailbox().flush();
  while (!question.answered && !worker_.stopping() && !(limited && std::chrono::steady_clock::now() >= limit)) {
    unparked_.wait_for(*step_, kParkedSlice);
  }
  question.answered = true;
  parked_ = nullptr;
}

// True when all is written.
bool Connection::write_pending() {
  while (!writes_.empty()) {
    const auto& chunks = writes_.front();
    while (chunk_ < chunks.size()) {
      const Chunk& chunk = chunks[chunk_];
      const size_t left = chunk.size - offset_;
      size_t written = 0;
      if (left == 0) {
        chunk_++;
        offset_ = 0;
        continue;
      }
      if (left >= kRecord || chunk_ + 1 == chunks.size()) {
        if (!write_some(chunk.data + offset_, std::min(left, kRecord), written)) return false;
      } else {
        // Several small ones go into one record.
        auto& record = worker_.scratch();
        size_t size = 0;
        for (size_t i = chunk_, from = offset_; i < chunks.size() && size < kRecord; i++, from = 0) {
          const size_t part = std::min(chunks[i].size - from, kRecord - size);
          std::memcpy(record.data() + size, chunks[i].data + from, part);
          size += part;
        }
        if (!write_some(record.data(), size, written)) return false;
      }
      for (; written > 0 && chunk_ < chunks.size();) {
        const size_t part = std::min(written, chunks[chunk_].size - offset_);
        written -= part;
        offset_ += part;
        if (offset_ == chunks[chunk_].size) {
          chunk_++;
          offset_ = 0;
        }
      }
    }
    writes_.pop_front();
    chunk_ = offset_ = 0;
    tell(Told::kWritten);
  }
  return true;
}

bool Connection::write_some(const unsigned char* data, size_t size, size_t& written) {
  int reason = SSL_ERROR_NONE;
  {
    std::unique_lock lock(mutex_);
    step_ = &lock;
    ERR_clear_error();
    reason = outcome(SSL_write_ex(ssl_.get(), data, size, &written));
    step_ = nullptr;
  }
  if (reason == SSL_ERROR_NONE) return true;
  if (reason == SSL_ERROR_WANT_WRITE) {
    wants_write_ = true;
  } else if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_ASYNC) {
    fail();
  }
  return false;
}

void Connection::read_available() {
  while (phase_ == Phase::kOpen && !ended_) {
    if (unconsumed_.load() >= kHighWater) {
      stalled_ = true;
      // Consumed in the meantime, which nobody will tell any more.
      if (unconsumed_.load() > kLowWater || !stalled_.exchange(false)) return;
    }
    auto& buffer = worker_.scratch();
    size_t size = 0;
    int reason = SSL_ERROR_NONE;
    {
      std::unique_lock lock(mutex_);
      step_ = &lock;
      while (reason == SSL_ERROR_NONE && buffer.size() - size >= kRecord) {
        size_t part = 0;
        ERR_clear_error();
        reason = outcome(SSL_read_ex(ssl_.get(), buffer.data() + size, buffer.size() - size, &part));
        // On a fibre, a call that fails leaves the count of an earlier one.
        if (reason == SSL_ERROR_NONE) size += part;
      }
      step_ = nullptr;
    }
    if (size > 0) tell_data(size);
    switch (reason) {
      case SSL_ERROR_NONE:
        continue;
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_ASYNC:
        return;
      case SSL_ERROR_WANT_WRITE:
        wants_write_ = true;
        return;
      case SSL_ERROR_ZERO_RETURN:
        ended_ = true;
        tell(Told::kEnded);
        return;
      default:
        // The stream just stopped: for the reader that is an end, for OpenSSL the session is not to be resumed.
        if (errors_.empty() || ossl::compat::is_unexpected_eof(errors_.front().code)) {
          errors_.clear();
          ended_ = true;
          tell(Told::kEnded);
          return;
        }
        fail();
    }
  }
}

void Connection::say_goodbye() {
  if (!finish_wanted_ || finished_ || phase_ != Phase::kOpen) return;
  finished_ = true;
  {
    const std::lock_guard lock(mutex_);
    // After a stream that just stopped, OpenSSL must see that there was no goodbye.
    if (!ended_ || (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0) {
      ERR_clear_error();
      SSL_shutdown(ssl_.get());
      ERR_clear_error();
    }
  }
  shutdown(fd_.get(), SHUT_WR);
  tell(Told::kFinished);
}

void Connection::watch() {
  if (closed_ || !poll_) return;
  int wanted = 0;
  const bool paused = phase_ == Phase::kHandshake && session::Connection::of(ssl_.get())->waiting();
  const bool reads = phase_ != Phase::kBroken && !ended_ && !paused && !stalled_.load();
  if (reads) wanted |= UV_READABLE;
  if (wants_write_) wanted |= UV_WRITABLE;
  if (wanted == watched_) return;
  watched_ = wanted;
  if (wanted == 0) {
    uv_poll_stop(poll_->get());
    return;
  }
  uv_poll_start(poll_->get(), wanted, [](uv_poll_t* handle, int, int) {
    auto* const resident = static_cast<Resident*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(handle)));
    // What went wrong with the socket, reading and writing will find out.
    static_cast<Connection*>(resident)->work();
  });
}

void Connection::fail() {
  phase_ = Phase::kBroken;
  set_deadline(0);
  while (ERR_peek_error() != 0) errors_.push_back(ossl::compat::take_error());
  tell(Told::kFailed);
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  set_deadline(0);
  poll_.reset();
  if (ssl_) {
    {
      std::unique_lock lock(mutex_);
      step_ = &lock;
      session::Connection::of(ssl_.get())->unwind();
      step_ = nullptr;
    }
    // OpenSSL may fire callbacks while it frees; the mutex is not needed for what nobody can reach any more.
    ossl::SslPointer ssl;
    const std::lock_guard lock(mutex_);
    ssl = std::move(ssl_);
  }
  {
    const std::lock_guard lock(mutex_);
    fd_.reset(-1);
  }
  worker_.move_out(self);
  worker_.load--;
  tell(Told::kClosed);
}

// --- To JavaScript --------------------------------------------------------------------------------------------------

namespace {

class ConnectionEvent : public session::Event {
 public:
  ConnectionEvent(Engine& engine, std::shared_ptr<Connection> connection, Told what)
      : engine_(engine.weak_from_this()), connection_(std::move(connection)), what_(what) {}

  void deliver(binding::Environment& env) override {
    napi_value undefined = nullptr;
    binding::check(napi_get_undefined(env.env(), &undefined));
    tell(env, undefined);
  }

 protected:
  void tell(binding::Environment& env, napi_value value) {
    if (const auto engine = engine_.lock()) engine->tell(env, connection_, what_, value);
  }

 private:
  // The engine may be stopped before its last words are heard.
  const std::weak_ptr<Engine> engine_;
  const std::shared_ptr<Connection> connection_;
  const Told what_;
};

class DataEvent final : public ConnectionEvent {
 public:
  DataEvent(Engine& engine, std::shared_ptr<Connection> connection, const unsigned char* data, size_t size)
      : ConnectionEvent(engine, std::move(connection), Told::kData), bytes_(data, data + size) {}

  void deliver(binding::Environment& env) override {
    napi_value buffer = nullptr;
    if (bytes_.size() < kExternal) {
      tell(env, binding::to_js(env, bytes_));
      return;
    }
    auto owner = std::make_unique<binding::Octets>(std::move(bytes_));
    binding::check(napi_create_external_buffer(
        env.env(), owner->size(), owner->data(),
        [](napi_env, void*, void* octets) { delete static_cast<binding::Octets*>(octets); }, owner.get(), &buffer));
    static_cast<void>(owner.release());
    tell(env, buffer);
  }

 private:
  // Below this a copy costs less than an object with a finalizer.
  static constexpr size_t kExternal = size_t{8} * 1024;
  binding::Octets bytes_;
};

class FailureEvent final : public ConnectionEvent {
 public:
  FailureEvent(Engine& engine, std::shared_ptr<Connection> connection, std::vector<ossl::compat::QueuedError> errors)
      : ConnectionEvent(engine, std::move(connection), Told::kFailed), errors_(std::move(errors)) {}

  // The errors go onto the queue of JavaScript's own thread, where it looks for the reason of every failure.
  void deliver(binding::Environment& env) override {
    ERR_clear_error();
    for (const auto& error : errors_) {
      if (error.code != 0) ossl::compat::put_error(error);
    }
    napi_value timed_out = nullptr;
    const bool late = errors_.size() == 1 && errors_.front().code == 0;
    binding::check(napi_get_boolean(env.env(), late, &timed_out));
    tell(env, timed_out);
  }

 private:
  std::vector<ossl::compat::QueuedError> errors_;
};

}  // namespace

void Connection::tell(Told what) {
  std::unique_ptr<session::Event> event;
  if (what == Told::kFailed) {
    event = std::make_unique<FailureEvent>(engine_, shared_from_this(), std::exchange(errors_, {}));
  } else {
    event = std::make_unique<ConnectionEvent>(engine_, shared_from_this(), what);
  }
  worker_.mailbox().push(std::move(event));
}

void Connection::tell_data(size_t size) {
  unconsumed_ += size;
  worker_.mailbox().push(std::make_unique<DataEvent>(engine_, shared_from_this(), worker_.scratch().data(), size));
}

}  // namespace engine
