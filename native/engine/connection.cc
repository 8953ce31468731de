#include "engine/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "bind/convert.h"
#include "engine/engine.h"
#include "session/early_data.h"

namespace engine {

namespace {

// Milliseconds for which a connection that JavaScript has ended sends what was written before.
constexpr uint64_t kSending = 10'000;

}  // namespace

Connection::Connection(Engine& engine, Worker& worker, uint64_t id, std::shared_ptr<const Profile> profile)
    : id(id),
      engine_(engine),
      worker_(worker),
      profile_(std::move(profile)),
      handshake_deadline_(worker, *this),
      hold_deadline_(worker, *this),
      lookup_deadline_(worker, *this),
      sending_deadline_(worker, *this) {}

// --- From the environment's thread ----------------------------------------------------------------------------------

void Connection::move_in(const std::shared_ptr<binding::Handle>& handle, SSL* ssl, Descriptor fd,
                         const Beginning& beginning) {
  fd_ = std::move(fd);
  early_data_.assign(beginning.early.data, beginning.early.data + beginning.early.size);
  prepare(ssl, beginning.received);
  SSL_up_ref(ssl);
  ssl_.reset(ssl);
  handle_ = handle;
  handle_->begin_loan();
  session::Connection::of(ssl)->hand_over(shared_from_this());
}

void Connection::post(Worker::Task task) {
  if (!engine_.gone(id)) engine_.post(worker_, std::move(task));
}

bool Connection::write(const std::vector<binding::Bytes>& chunks, bool ahead) {
  size_t size = 0;
  for (const auto& chunk : chunks) size += chunk.size;
  const bool fits = size > kSmall && size <= Blocks::kSize;
  Write write{fits ? engine_.blocks().take() : Block(new unsigned char[size]), size};
  unsigned char* end = write.bytes.get();
  for (const auto& chunk : chunks) end = std::copy_n(chunk.data, chunk.size, end);
  const size_t unsent = unsent_.fetch_add(size) + size;
  write.ahead = ahead && size <= Blocks::kSize;
  write.awaited = !write.ahead || unsent > kAhead;
  const bool done = !write.awaited;
  post([self = shared_from_this(), write = std::move(write)]() mutable {
    if (self->closed_) return;
    self->writes_.push_back(std::move(write));
    self->work();
  });
  return done;
}

bool Connection::finish() {
  const bool sent = unsent_ == 0;
  post([self = shared_from_this()] {
    self->finish_wanted_ = true;
    self->work();
  });
  return sent;
}

void Connection::destroy(Ending ending) {
  {
    const std::lock_guard lock(mutex_);
    if (parked_ != nullptr) parked_->answered = true;
  }
  unparked_.notify_all();
  post([self = shared_from_this(), ending] { self->close(ending); });
}

void Connection::consumed(size_t bytes) {
  const size_t left = unconsumed_.fetch_sub(bytes) - bytes;
  if (left <= kLowWater && stalled_.exchange(false)) {
    post([self = shared_from_this()] { self->work(); });
  }
}

void Connection::hold(bool on) {
  if (on) {
    holds_++;
  } else if (--holds_ == 0) {
    post([self = shared_from_this(), told = told_sessions_] {
      self->released_ = std::max(self->released_, told);
      if (self->released_ == self->negotiated_) self->hold_deadline_.clear();
      self->work();
    });
  }
}

void Connection::told_of_session() noexcept {
  if (!profile_->settings.hold_sessions && !stores()) return;
  told_sessions_++;
  // As if it had been held until now.
  holds_++;
  hold(false);
}

void Connection::answer(binding::Environment& env, std::shared_ptr<session::Lookup> lookup,
                        ossl::SslSessionPointer session) noexcept {
  if (!take_answer(lookup, session)) tell_unused(env, session.get());
}

// Leaves the session where it is when the handshake has ended or gone on.
bool Connection::take_answer(const std::shared_ptr<session::Lookup>& lookup,
                             ossl::SslSessionPointer& session) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!ssl_ || session::Connection::of(ssl_.get())->lookup != lookup) return false;
    lookup->answer = std::move(session);
    if (parked_ == lookup.get()) lookup->answered = true;
  }
  unparked_.notify_all();
  post([self = shared_from_this(), lookup] {
    lookup->answered = true;
    self->work();
  });
  return true;
}

void Connection::answer(std::shared_ptr<session::CertQuestion> question, bool accepted) noexcept {
  post([self = shared_from_this(), question = std::move(question), accepted] {
    question->accepted = accepted;
    question->answered = true;
    self->work();
  });
}

Reception Connection::answer_lookup(const binding::Octets& id, const std::optional<binding::Bytes>& der, bool taken) {
  if (!asked_ || asked_->id != id) return Reception::kUnwanted;
  const auto lookup = std::exchange(asked_, nullptr);
  ossl::SslSessionPointer session;
  if (der) {
    const unsigned char* data = der->data;
    session.reset(d2i_SSL_SESSION(nullptr, &data, static_cast<long>(der->size)));
    unsigned int size = 0;
    const unsigned char* const own_id = session ? SSL_SESSION_get_id(session.get(), &size) : nullptr;
    // OpenSSL would tell the client another id than it proposed, or miss the cipher.
    const bool fits = session && size == lookup->id.size() && std::equal(own_id, own_id + size, lookup->id.begin()) &&
                      SSL_SESSION_get0_cipher(session.get()) != nullptr;
    if (!fits) session.reset();
    if (fits && taken) ossl::set_taken(session.get());
  }
  const bool good = session || !der;
  const bool wanted = take_answer(lookup, session);
  if (!good) return Reception::kRefused;
  return wanted ? Reception::kTaken : Reception::kUnwanted;
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

// --- The beginning --------------------------------------------------------------------------------------------------

void Connection::accept(Descriptor fd) {
  {
    const std::lock_guard lock(mutex_);
    fd_ = std::move(fd);
    ERR_clear_error();
    if (!make_ssl()) ssl_.reset();
  }
  if (profile_->settings.announce) tell(Told::kAccepted);
  begin();
}

bool Connection::make_ssl() {
  ssl_.reset(SSL_new(profile_->ctx()));
  if (!ssl_) return false;
  SSL* const ssl = ssl_.get();
  const ConnectionSettings& settings = profile_->settings;
  session::Connection::attach(ssl, shared_from_this())->alpn_protocols = settings.alpn_protocols;
  SSL_set_options(ssl, settings.ssl_options);
  if (settings.verify_mode != SSL_VERIFY_NONE) SSL_set_verify(ssl, settings.verify_mode, ossl::verify_and_continue);
  SSL_set_accept_state(ssl);
  prepare(ssl, {nullptr, 0});
  return true;
}

// What every SSL gets that lives here.
void Connection::prepare(SSL* ssl, const binding::Bytes& received) {
  BIO* const bio = Wire::create_bio(fd_.get(), received, worker_.thread());
  if (bio == nullptr) throw std::bad_alloc();
  SSL_set_bio(ssl, bio, bio);
  wire_ = &Wire::of(bio);
  const auto& state = session::Connection::of(ssl);
  const bool looks_up = profile_->settings.stores || state->context->has(session::Slot::kGet);
  if (engine_.async() && looks_up) SSL_set_mode(ssl, SSL_MODE_ASYNC);
  // One system call for a record, or for several, instead of two for each.
  SSL_set_read_ahead(ssl, 1);
  SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  notes_unclean_end_ = (SSL_get_options(ssl) & ossl::compat::kIgnoreUnexpectedEof) == 0;
  SSL_set_options(ssl, ossl::compat::kIgnoreUnexpectedEof);
  takes_early_data_ = profile_->settings.max_early_data > 0 && SSL_is_server(ssl) == 1;
  if (takes_early_data_) session::accept_early_data(ssl, profile_->settings.max_early_data);
  // A client is not to have a new session before the store has heard of it: it may try it elsewhere at once.
  may_hold_ = profile_->settings.hold_sessions || profile_->settings.stores;
}

void Connection::begin() {
  worker_.move_in(shared_from_this());
  if (!ssl_) {
    fail();
    return;
  }
  configure_socket();
  const int error = worker_.poller().add(fd_.get(), EPOLLIN | EPOLLRDHUP, this);
  if (error != 0) {
    lose(Told::kReadFailed, error);
    return;
  }
  const uint64_t timeout = profile_->settings.handshake_timeout;
  handshake_deadline_.set(timeout);
  if (timeout > 0) handshake_until_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout);
  // A client that has not sent anything need not be asked: the kernel will tell.
  if (profile_->listener == 0) work();
}

// A Unix socket has neither of these options, and no need of them.
void Connection::configure_socket() const {
  const ConnectionSettings& settings = profile_->settings;
  const int on = 1;
  if (settings.no_delay) setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!settings.keep_alive) return;
  setsockopt(fd_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  const int delay = settings.keep_alive_delay;
  if (delay > 0) setsockopt(fd_.get(), IPPROTO_TCP, TCP_KEEPIDLE, &delay, sizeof(delay));
}

// --- The end --------------------------------------------------------------------------------------------------------

void Connection::say_goodbye() {
  if (!finish_wanted_ || finished_ || phase_ != Phase::kOpen) return;
  if (!std::exchange(parting_, true)) shut_down_tls();
  if (!send_output()) return;
  finished_ = true;
  shutdown(fd_.get(), SHUT_WR);
  tell(Told::kFinished);
}

void Connection::shut_down_tls() {
  const std::lock_guard lock(mutex_);
  // After a stream that just stopped, OpenSSL must see that there was no goodbye.
  if (ended_ && (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) == 0) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void Connection::end() {
  if (phase_ == Phase::kEarly) {
    // JavaScript has the connection, but there will never be one.
    lose(Told::kReadFailed, ECONNRESET);
    return;
  }
  ended_ = true;
  if (phase_ == Phase::kHandshake) phase_ = Phase::kBroken;
  tell(Told::kEnded);
}

void Connection::fail() {
  // The alert that tells the peer why.
  if (wire_ != nullptr) wire_->send();
  phase_ = Phase::kBroken;
  while (ERR_peek_error() != 0) errors_.push_back(ossl::compat::take_error());
  tell_failure(false);
}

void Connection::lose(Told how, int error) {
  phase_ = Phase::kBroken;
  tell(how, error);
}

// The peer takes nothing any more.
void Connection::sending_late() { close(Ending::kAtOnce); }

void Connection::close(Ending ending) {
  if (closed_) return;
  // JavaScript has given up the write that it was not told of, the last one, and no goodbye is to hide that. What was
  // written before still counts.
  if (awaited_ || (!writes_.empty() && writes_.back().awaited)) {
    const bool begun = awaited_ || (writes_.size() == 1 && offset_ > 0);
    if (!awaited_) writes_.pop_back();
    const bool nothing_before = wire_ == nullptr || wire_->empty() || (begun && wire_->left() >= before_);
    ending = writes_.empty() && nothing_before ? Ending::kAtOnce : std::min(ending, Ending::kWritten);
  }
  const bool early = phase_ == Phase::kEarly;
  if (ending != Ending::kAtOnce && (early || phase_ == Phase::kOpen)) {
    // What is held for the store's sake belongs to the handshake, which the client is to see complete.
    released_ = negotiated_;
    // What was written before the end of the handshake reaches the client only if the socket is there until then.
    if (!send_output() || !write_pending() || early) {
      if (phase_ != Phase::kBroken) {
        if (!closing_) sending_deadline_.set(kSending);
        closing_ = ending;
        return;
      }
    }
  }
  closed_ = true;
  const auto self = shared_from_this();
  sending_deadline_.clear();
  handshake_deadline_.clear();
  lookup_deadline_.clear();
  hold_deadline_.clear();
  worker_.poller().forget(this);
  if (ssl_) {
    if (ending == Ending::kGoodbye && phase_ == Phase::kOpen && !parting_) {
      shut_down_tls();
      wire_->send();
    }
    {
      std::unique_lock lock(mutex_);
      step_ = &lock;
      give_back_answer();
      session::Connection::of(ssl_.get())->unwind();
      step_ = nullptr;
    }
    // OpenSSL may fire callbacks while it frees; the mutex is not needed for what nobody can reach any more.
    ossl::SslPointer ssl;
    wire_->cut();
    std::exchange(wire_, nullptr)->give_back(worker_.spare_output());
    const std::lock_guard lock(mutex_);
    ssl = std::move(ssl_);
  }
  {
    const std::lock_guard lock(mutex_);
    // Closing it is not enough while another process, forked this moment, has it too.
    if (fd_.get() >= 0) worker_.poller().remove(fd_.get());
    fd_.reset(-1);
  }
  worker_.move_out(self);
  worker_.load--;
  tell(Told::kClosed);
}

// The handshake that was answered does not go on. What was taken from the store for it is still good.
void Connection::give_back_answer() {
  const auto& lookup = session::Connection::of(ssl_.get())->lookup;
  if (!lookup) return;
  const ossl::SslSessionPointer unused = std::move(lookup->answer);
  if (unused && (once_ || ossl::is_taken(unused.get()))) tell_session(Told::kGiveBack, unused.get());
}

// --- The socket -----------------------------------------------------------------------------------------------------

void Connection::on_readiness(uint32_t events) {
  constexpr uint32_t kGone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if (closed_ || phase_ == Phase::kBroken) return;
  const bool gone = (events & kGone) != 0;
  const bool readable = gone || (events & EPOLLIN) != 0;
  if (readable) {
    readable_ = true;
    wire_->readable(gone);
  }
  if (paused()) {
    // Nobody finishes a handshake without sending: there is no point in waiting for the answer.
    if (gone) leave_paused();
    return;
  }
  if (readable || wants_write_) work();
}

// Few connections ever fill what the kernel keeps for them.
void Connection::want_write() {
  wants_write_ = true;
  if (std::exchange(hears_of_room_, true)) return;
  const int error = worker_.poller().change(fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, this);
  if (error != 0) lose(Told::kWriteFailed, error);
}

void Connection::leave_paused() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    lose(Told::kReadFailed, error);
  } else {
    end();
  }
}

}  // namespace engine
