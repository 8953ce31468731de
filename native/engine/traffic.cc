// What a connection does on its worker between its beginning and its end: handshake, records, and what goes out when.
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "engine/engine.h"

namespace engine {

namespace {

// What a record holds at most: small writes are gathered up to this.
constexpr size_t kRecord = size_t{16} * 1024;
// How much is encrypted before it is sent. Beyond that nothing is read that might have to be answered.
constexpr size_t kBatch = size_t{64} * 1024;
// So many are sent in one go, before it is the turn of other connections.
constexpr int kBatchesAtOnce = 16;
// How often a parked thread looks whether it is to end.
constexpr auto kParkedSlice = std::chrono::milliseconds(50);

}  // namespace

// --- The work -------------------------------------------------------------------------------------------------------

void Connection::work() {
  if (closed_ || !ssl_ || phase_ == Phase::kBroken) return;
  // Nothing may free this while it works.
  const auto self = shared_from_this();
  wire_->borrow(worker_.spare_output());
  advance();
  if (wire_ != nullptr) wire_->give_back(worker_.spare_output());
}

void Connection::advance() {
  wants_write_ = false;
  if (phase_ == Phase::kHandshake) shake_hands();
  // The rest of the handshake comes after the early data.
  if (phase_ == Phase::kEarly) read_available();
  const bool flushed = send_output();
  if (phase_ == Phase::kEarly && flushed) write_pending();
  if (phase_ == Phase::kEarly) return;
  if (phase_ == Phase::kOpen) {
    const bool sent = flushed && write_pending();
    if (sent) say_goodbye();
    if (!closing_) {
      read_available();
      // The answer to what was read, such as new keys.
      send_output();
      return;
    }
    if (sent) close(*closing_);
  }
  if (closing_ && phase_ == Phase::kBroken) close(Ending::kAtOnce);
}

int Connection::outcome(int result) {
  if (result > 0) return SSL_ERROR_NONE;
  errno_ = errno;
  const int reason = SSL_get_error(ssl_.get(), result);
  if (reason == SSL_ERROR_SSL || reason == SSL_ERROR_SYSCALL) {
    while (ERR_peek_error() != 0) errors_.push_back(ossl::compat::take_error());
  }
  if (reason == SSL_ERROR_ZERO_RETURN && BIO_eof(SSL_get_rbio(ssl_.get())) != 0) {
    // The stream has ended and TLS had not: no reason to alert a peer that may still read, but no goodbye either.
    // OpenSSL has also forgotten that ours was sent, if it was, which keeps the session.
    int state = SSL_get_shutdown(ssl_.get());
    if (notes_unclean_end_) state &= ~SSL_RECEIVED_SHUTDOWN;
    if (parting_) state |= SSL_SENT_SHUTDOWN;
    SSL_set_shutdown(ssl_.get(), state);
  }
  return reason;
}

bool Connection::paused() const {
  return phase_ == Phase::kHandshake && session::Connection::of(ssl_.get())->waiting();
}

void Connection::shake_hands() {
  if (paused()) return;
  const auto& state = session::Connection::of(ssl_.get());
  int reason = SSL_ERROR_NONE;
  bool reused = false;
  bool accepted = false;
  size_t early = 0;
  int version = 0;
  {
    std::unique_lock lock(mutex_);
    step_ = &lock;
    reason = go_on(worker_.scratch().get(), Blocks::kSize, early);
    const bool sound = reason == SSL_ERROR_NONE || reason == SSL_ERROR_WANT_READ;
    accepted = takes_early_data_ && sound && SSL_get_early_data_status(ssl_.get()) == SSL_EARLY_DATA_ACCEPTED;
    // The context that SNI has switched to asks nobody again.
    if (state->certificate && state->certificate->answered) state->certificate.reset();
    if (reason == SSL_ERROR_NONE || accepted) {
      version = SSL_version(ssl_.get());
      reused = SSL_session_reused(ssl_.get()) == 1;
      // Nothing will pause any more, so nothing needs a fibre.
      const bool renegotiates =
          version < TLS1_3_VERSION && (SSL_get_options(ssl_.get()) & SSL_OP_NO_RENEGOTIATION) == 0;
      if (!renegotiates) SSL_clear_mode(ssl_.get(), SSL_MODE_ASYNC);
    }
    // A fast sender's records come several at a time. Such a buffer is there only while something is in it. From 3.2
    // on, its size counts when keys change.
    const bool due = OpenSSL_version_num() < 0x30200000 ? version != 0 : reason == SSL_ERROR_WANT_READ;
    if (due) SSL_set_default_read_buffer_len(ssl_.get(), kBatch);
    step_ = nullptr;
  }
  // Answered already, perhaps by nobody: the deadline is for what is still awaited.
  lookup_deadline_.clear();
  if (accepted) {
    phase_ = Phase::kEarly;
    tell_established(-version, false);
    if (early > 0) tell_data(early);
    if (reason == SSL_ERROR_NONE) return;
  }
  switch (reason) {
    case SSL_ERROR_NONE:
      phase_ = Phase::kOpen;
      handshake_deadline_.clear();
      tell_established(reused ? -version : version, true);
      return;
    case SSL_ERROR_WANT_READ:
      return;
    case SSL_ERROR_WANT_ASYNC:
      lookup_deadline_.set(profile_->settings.lookup_timeout);
      return;
    case SSL_ERROR_WANT_X509_LOOKUP:
      return;
    default:
      conclude(reason);
  }
}

int Connection::go_on(unsigned char* out, size_t room, size_t& size) {
  SSL* const ssl = ssl_.get();
  errno = 0;
  ERR_clear_error();
  if (takes_early_data_) {
    const int status = SSL_read_early_data(ssl, out, room, &size);
    if (status == SSL_READ_EARLY_DATA_SUCCESS) return SSL_ERROR_NONE;
    // On a fibre, a call that reads nothing leaves the count of an earlier one.
    size = 0;
    if (status == SSL_READ_EARLY_DATA_ERROR) return outcome(0);
    takes_early_data_ = false;
  }
  if (!early_data_.empty()) {
    size_t written = 0;
    if (SSL_write_early_data(ssl, early_data_.data(), early_data_.size(), &written) != 1) return outcome(0);
    binding::Octets().swap(early_data_);
  }
  return outcome(SSL_do_handshake(ssl));
}

void Connection::conclude(int reason) {
  if (reason == SSL_ERROR_ZERO_RETURN) {
    end();
  } else if (errors_.empty() && errno_ != 0) {
    lose(Told::kReadFailed, errno_);
  } else if (errors_.empty() || ossl::compat::is_unexpected_eof(errors_.front().code)) {
    // The stream just stopped: for the reader that is an end, for OpenSSL the session is not to be resumed.
    errors_.clear();
    end();
  } else {
    fail();
  }
}

// Too late: a miss. Whatever the answer will be, nobody hears it.
void Connection::lookup_late() {
  const auto& lookup = session::Connection::of(ssl_.get())->lookup;
  if (phase_ != Phase::kHandshake || !lookup || lookup->answered) return;
  tell_late_lookup(*lookup);
  lookup->answered = true;
  work();
}

// The store is slow, or JavaScript busy with something else: clients are not to wait for that.
void Connection::hold_late() {
  released_ = negotiated_;
  work();
}

void Connection::handshake_late() {
  if (phase_ != Phase::kHandshake && phase_ != Phase::kEarly) return;
  phase_ = Phase::kBroken;
  tell_failure(true);
}

void Connection::park(session::Question& question) noexcept {
  using Clock = std::chrono::steady_clock;
  parked_ = &question;
  const uint64_t timeout = profile_->settings.lookup_timeout;
  const auto late = timeout > 0 ? Clock::now() + std::chrono::milliseconds(timeout) : Clock::time_point::max();
  // Nothing else of this thread will wake JavaScript up for the question.
  worker_.mailbox().flush();
  while (!question.answered && !worker_.hurried() && Clock::now() < handshake_until_) {
    if (Clock::now() >= late) {
      tell_late_lookup(static_cast<session::Lookup&>(question));
      break;
    }
    unparked_.wait_for(*step_, kParkedSlice);
  }
  question.answered = true;
  parked_ = nullptr;
}

void Connection::negotiated() noexcept { negotiated_++; }

// True when all is sent. What a fast reader takes of a large write must not keep others on this thread waiting.
bool Connection::write_pending() {
  for (int batches = 0; !writes_.empty(); batches++) {
    if (batches == kBatchesAtOnce) {
      worker_.post([self = shared_from_this()] { self->work(); });
      return false;
    }
    const bool stuck = !encrypt_pending();
    if (!send_output() || stuck) return false;
  }
  return true;
}

// False when TLS takes no more for now, or ever.
bool Connection::encrypt_pending() {
  while (!writes_.empty() && wire_->size() < kBatch) {
    const Write& write = writes_.front();
    if (offset_ == 0) before_ = wire_->left() + wire_->size();
    while (offset_ < write.size && wire_->size() < kBatch) {
      size_t written = 0;
      if (!write_some(write.bytes.get() + offset_, std::min(write.size - offset_, kRecord), written)) return false;
      encrypted_ += written;
      offset_ += written;
    }
    if (offset_ < write.size) break;
    awaited_ = write.awaited;
    writes_.pop_front();
    offset_ = 0;
  }
  return true;
}

// What is sent makes room: a copy need not be sent before JavaScript goes on.
void Connection::tell_room() {
  unsent_ -= std::exchange(encrypted_, 0);
  if (std::exchange(awaited_, false)) tell(Told::kWritten);
  if (writes_.empty()) return;
  Write& last = writes_.back();
  if (!last.awaited || !last.ahead || unsent_ > kAhead / 2) return;
  last.awaited = false;
  tell(Told::kWritten);
}

bool Connection::write_some(const unsigned char* data, size_t size, size_t& written) {
  int reason = SSL_ERROR_NONE;
  {
    std::unique_lock lock(mutex_);
    step_ = &lock;
    errno = 0;
    ERR_clear_error();
    const auto write = phase_ == Phase::kEarly ? SSL_write_early_data : SSL_write_ex;
    reason = outcome(write(ssl_.get(), data, size, &written));
    step_ = nullptr;
  }
  if (reason == SSL_ERROR_NONE) return true;
  if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_ASYNC) fail();
  return false;
}

void Connection::read_available() {
  while (phase_ == Phase::kEarly || (phase_ == Phase::kOpen && wire_->size() < kBatch)) {
    if (ended_ || !readable_) return;
    const bool early = phase_ == Phase::kEarly;
    // Early data has a limit of its own, and the handshake goes on behind it.
    if (!early && unconsumed_.load() >= kHighWater) {
      stalled_ = true;
      // Consumed in the meantime, which nobody will tell any more.
      if (unconsumed_.load() > kLowWater || !stalled_.exchange(false)) return;
    }
    unsigned char* const buffer = worker_.scratch().get();
    size_t size = 0;
    int reason = SSL_ERROR_NONE;
    bool completed = false;
    {
      std::unique_lock lock(mutex_);
      step_ = &lock;
      while (reason == SSL_ERROR_NONE && Blocks::kSize - size >= kRecord && !completed) {
        size_t part = 0;
        errno = 0;
        ERR_clear_error();
        reason = early ? go_on(buffer + size, Blocks::kSize - size, part)
                       : outcome(SSL_read_ex(ssl_.get(), buffer + size, Blocks::kSize - size, &part));
        // On a fibre, a call that fails leaves the count of an earlier one.
        if (reason == SSL_ERROR_NONE) size += part;
        completed = early && reason == SSL_ERROR_NONE && !takes_early_data_;
      }
      step_ = nullptr;
    }
    if (size > 0) tell_data(size);
    if (completed) {
      phase_ = Phase::kOpen;
      handshake_deadline_.clear();
      tell(Told::kCompleted);
    }
    switch (reason) {
      case SSL_ERROR_NONE:
        continue;
      case SSL_ERROR_WANT_READ:
        readable_ = false;
        return;
      case SSL_ERROR_WANT_ASYNC:
        return;
      default:
        conclude(reason);
        return;
    }
  }
}

// True when nothing is left to be sent of what TLS has made so far.
bool Connection::send_output() {
  if (phase_ == Phase::kBroken || (may_hold_ && released_ < negotiated_)) return false;
  const int error = wire_->send();
  if (error == EAGAIN) {
    want_write();
    return false;
  }
  if (error != 0) {
    wire_->drop();
    // A peer that has gone without its ticket may have left something to read.
    if (phase_ == Phase::kOpen && encrypted_ == 0) return true;
    lose(Told::kWriteFailed, error);
    return false;
  }
  if (phase_ == Phase::kOpen) may_hold_ = false;
  tell_room();
  return true;
}

}  // namespace engine
