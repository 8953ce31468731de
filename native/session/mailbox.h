// The ordered queue of events on their way to JavaScript: one per environment, woken through one threadsafe function.
// Knows nothing of what the events are.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "bind/environment.h"

namespace session {

// Something that JavaScript is to be told.
class Event {
 public:
  Event() = default;
  virtual ~Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Runs on the environment's thread, with no OpenSSL lock held and on no fibre. An exception that the callback
  // threw is left pending (binding::Pending is thrown) for the mailbox to place.
  virtual void deliver(binding::Environment& env) = 0;
  // Whether it is never delivered from within a call that JavaScript makes: what a connection tells comes to listeners
  // that expect nobody's half-done work.
  virtual bool waits_for_loop() const { return false; }

 private:
  friend class Mailbox;
  // Fired by a libssl call that JavaScript made: that call throws what the callback throws.
  bool from_call_ = false;
};

class Mailbox {
 public:
  explicit Mailbox(binding::Environment& env);
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // From any thread. The event is dropped (and gives back what it holds) when the environment is gone.
  void push(std::unique_ptr<Event> event) noexcept;

  // From a thread that pushes many events in a row: push() on this thread wakes nobody from now on, flush() does.
  static void batch_wakes() noexcept;
  void flush() noexcept;

  // On the environment's thread: delivers, in order, every callback that is waiting, if the running call added to them.
  // Throws binding::Pending when a callback of the call's own threw; what remains is delivered later.
  void settle();

  // On the environment's thread: the running call throws, and what it gave rise to is delivered later.
  void postpone() noexcept;

  // On the environment's thread, inside a C callback that must have its answer now: delivers every callback that
  // is waiting. Returns what a callback threw, or null.
  napi_value deliver_now() noexcept;

  // On the environment's thread: whether another event is about to be delivered, and then whoever asked for it is told.
  bool more_to_come() const noexcept { return more_to_come_; }
  void when_done(std::function<void()> done) { when_done_ = std::move(done); }

  // Whether waiting for events keeps the program alive: not at first. On the environment's thread.
  void keep_alive(bool on) noexcept;

  // The environment ends: nothing is delivered any more.
  void close() noexcept;
  // Null once the environment is gone. On the environment's thread.
  binding::Environment* environment() const { return env_; }
  // Called last of all, by the environment's own destructor.
  void detach() noexcept {
    close();
    env_ = nullptr;
  }
  bool on_environment_thread() const { return std::this_thread::get_id() == thread_; }

 private:
  using Queue = std::deque<std::unique_ptr<Event>>;

  std::unique_ptr<Event> pop_for_loop() noexcept;
  // The next of what may be delivered from within a call, in order.
  std::unique_ptr<Event> pop_callback() noexcept;
  // Those that were not delivered from within the call come from the loop.
  void put_callbacks_back() noexcept;
  void deliver_one_from_loop() noexcept;
  void deliver(Event& event);

  binding::Environment* env_;
  const std::thread::id thread_ = std::this_thread::get_id();
  // Null once the environment has closed it. With a mutex of its own: whoever wakes JavaScript may lose the processor
  // to it that very moment, and is not to have what JavaScript wants first.
  std::mutex wake_mutex_;
  napi_threadsafe_function wake_ = nullptr;
  std::mutex mutex_;
  Queue queue_;
  // Set apart while calls deliver them.
  Queue callbacks_;
  bool wake_sent_ = false;
  bool pushed_in_call_ = false;
  // How many events have been delivered in a row, and whether the next one is on its way.
  int in_a_row_ = 0;
  bool more_to_come_ = false;
  std::function<void()> when_done_;
  bool open_ = true;
};

}  // namespace session
