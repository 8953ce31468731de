#include "session/mailbox.h"

#include <openssl/err.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <utility>

#include "openssl/error_queue.h"

namespace session {

namespace {

class HandleScope {
 public:
  explicit HandleScope(napi_env env) : env_(env) { binding::check(napi_open_handle_scope(env, &scope_)); }
  ~HandleScope() { napi_close_handle_scope(env_, scope_); }
  HandleScope(const HandleScope&) = delete;
  HandleScope& operator=(const HandleScope&) = delete;

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};

// After so many events in a row, whoever waits for their end is told.
constexpr int kInARow = 32;

// Belongs to the thread, which belongs to one environment.
thread_local bool wakes_are_batched = false;

// How long JavaScript is left asleep though there is something for it.
using Clock = std::chrono::steady_clock;
constexpr auto kLongestBatch = std::chrono::milliseconds(1);

// When this thread has pushed what it has not woken anybody for.
thread_local std::optional<Clock::time_point> waits_since;

bool overdue() noexcept {
  const auto now = Clock::now();
  if (!waits_since) waits_since = now;
  return now - *waits_since > kLongestBatch;
}

// The pending exception, no longer pending; null when there is none or JavaScript is terminating.
napi_value take_exception(napi_env env) noexcept {
  bool pending = false;
  napi_value exception = nullptr;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return nullptr;
  if (napi_get_and_clear_last_exception(env, &exception) != napi_ok) return nullptr;
  return exception;
}

}  // namespace

Mailbox::Mailbox(binding::Environment& env) : env_(&env) {
  napi_value name = nullptr;
  binding::check(napi_create_string_utf8(env.env(), "openssl-session", NAPI_AUTO_LENGTH, &name));
  binding::check(napi_create_threadsafe_function(
      env.env(), nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
      [](napi_env call_env, napi_value, void* mailbox, void*) {
        if (call_env != nullptr) static_cast<Mailbox*>(mailbox)->deliver_one_from_loop();
      },
      &wake_));
  // Waiting for events keeps no program alive; sockets, timers and promises do.
  binding::check(napi_unref_threadsafe_function(env.env(), wake_));
}

void Mailbox::push(std::unique_ptr<Event> event) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    const bool from_call = on_environment_thread() && env_->in_call();
    event->from_call_ = from_call;
    queue_.push_back(std::move(event));
    if (from_call) pushed_in_call_ = true;
    if (from_call || (wakes_are_batched && !overdue())) return;
  }
  flush();
}

void Mailbox::batch_wakes() noexcept { wakes_are_batched = true; }

void Mailbox::flush() noexcept {
  waits_since.reset();
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty() || wake_sent_ || !open_) return;
    wake_sent_ = true;
  }
  bool sent = false;
  {
    const std::lock_guard lock(wake_mutex_);
    sent = wake_ != nullptr && napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking) == napi_ok;
  }
  if (sent) return;
  // Whoever comes next tries again.
  const std::lock_guard lock(mutex_);
  wake_sent_ = false;
}

void Mailbox::keep_alive(bool on) noexcept {
  if (wake_ == nullptr) return;
  // Fails only while the environment is being torn down.
  if (on) {
    napi_ref_threadsafe_function(env_->env(), wake_);
  } else {
    napi_unref_threadsafe_function(env_->env(), wake_);
  }
}

std::unique_ptr<Event> Mailbox::pop_callback() noexcept {
  const std::lock_guard lock(mutex_);
  pushed_in_call_ = false;
  const auto first =
      std::stable_partition(queue_.begin(), queue_.end(), [](const auto& event) { return event->waits_for_loop(); });
  callbacks_.insert(callbacks_.end(), std::make_move_iterator(first), std::make_move_iterator(queue_.end()));
  queue_.erase(first, queue_.end());
  if (callbacks_.empty()) return nullptr;
  auto event = std::move(callbacks_.front());
  callbacks_.pop_front();
  return event;
}

void Mailbox::put_callbacks_back() noexcept {
  {
    const std::lock_guard lock(mutex_);
    queue_.insert(queue_.begin(), std::make_move_iterator(callbacks_.begin()),
                  std::make_move_iterator(callbacks_.end()));
    callbacks_.clear();
  }
  flush();
}

void Mailbox::deliver(Event& event) {
  try {
    event.deliver(*env_);
  } catch (const binding::Error& error) {
    error.raise(env_->env());
    throw binding::Pending{};
  }
}

void Mailbox::settle() {
  if (!pushed_in_call_) return;
  // Callbacks make libssl calls of their own; the caller is still to see the errors of its own call.
  const ossl::ErrorQueueKeeper errors;
  while (auto event = pop_callback()) {
    const HandleScope scope(env_->env());
    try {
      deliver(*event);
    } catch (const binding::Pending&) {
      if (!event->from_call_) {
        napi_value exception = take_exception(env_->env());
        if (exception != nullptr) {
          napi_fatal_exception(env_->env(), exception);
          continue;
        }
      }
      put_callbacks_back();
      throw;
    }
  }
}

void Mailbox::postpone() noexcept {
  {
    const std::lock_guard lock(mutex_);
    // The call that they belong to has thrown already.
    for (const auto& event : queue_) event->from_call_ = false;
  }
  flush();
}

napi_value Mailbox::deliver_now() noexcept {
  const ossl::ErrorQueueKeeper errors;
  napi_value first_exception = nullptr;
  while (auto event = pop_callback()) {
    try {
      deliver(*event);
    } catch (const binding::Pending&) {
      napi_value exception = take_exception(env_->env());
      if (exception == nullptr) break;
      if (first_exception == nullptr) {
        first_exception = exception;
      } else {
        napi_fatal_exception(env_->env(), exception);
      }
    }
  }
  return first_exception;
}

void Mailbox::deliver_one_from_loop() noexcept {
  const auto event = pop_for_loop();
  if (event) {
    try {
      const HandleScope scope(env_->env());
      deliver(*event);
    } catch (const binding::Pending&) {
      napi_value exception = take_exception(env_->env());
      // Without an exception JavaScript is terminating: close() will empty the queue.
      if (exception == nullptr) return;
      napi_fatal_exception(env_->env(), exception);
    }
  }
  // Each event is a callback of its own to Node: between two of them promises and process.nextTick have their turn.
  flush();
  if (!more_to_come_ && when_done_) when_done_();
}

std::unique_ptr<Event> Mailbox::pop_for_loop() noexcept {
  const std::lock_guard lock(mutex_);
  wake_sent_ = false;
  more_to_come_ = false;
  if (queue_.empty()) return nullptr;
  auto event = std::move(queue_.front());
  queue_.pop_front();
  more_to_come_ = !queue_.empty() && ++in_a_row_ < kInARow;
  if (!more_to_come_) in_a_row_ = 0;
  return event;
}

void Mailbox::close() noexcept {
  std::deque<std::unique_ptr<Event>> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    open_ = false;
    dropped.swap(callbacks_);
    dropped.insert(dropped.end(), std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    queue_.clear();
  }
  {
    const std::lock_guard lock(wake_mutex_);
    napi_release_threadsafe_function(std::exchange(wake_, nullptr), napi_tsfn_abort);
  }
  // The references that the events held are given back here, outside the lock: that may fire trampolines.
  dropped.clear();
}

}  // namespace session
