// A thread with an event loop of its own, on which connections and listeners live. It knows when to call them, not what
// they do.
#pragma once

#include <uv.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "engine/blocks.h"
#include "engine/poller.h"
#include "engine/wire.h"
#include "session/mailbox.h"

namespace engine {

// A libuv handle. How large one is, the libuv at hand is asked, not the headers.
template <class T, uv_handle_type Type>
class UvHandle {
 public:
  UvHandle() : handle_(static_cast<T*>(std::malloc(uv_handle_size(Type)))) {  // NOLINT(cppcoreguidelines-no-malloc)
    if (handle_ == nullptr) throw std::bad_alloc();
  }
  // On the loop's thread; libuv lets go of the memory in the loop's next turn.
  ~UvHandle() {
    if (!initialised_) {
      std::free(handle_);  // NOLINT(cppcoreguidelines-no-malloc)
      return;
    }
    uv_close(reinterpret_cast<uv_handle_t*>(handle_), [](uv_handle_t* handle) {
      std::free(handle);  // NOLINT(cppcoreguidelines-no-malloc)
    });
  }
  UvHandle(const UvHandle&) = delete;
  UvHandle& operator=(const UvHandle&) = delete;

  // Calls one of libuv's init functions, which decides whether there is something to close.
  template <class Init>
  int init(void* data, Init initialise) {
    const int result = initialise(handle_);
    initialised_ = result == 0;
    if (initialised_) uv_handle_set_data(reinterpret_cast<uv_handle_t*>(handle_), data);
    return result;
  }

  T* get() const { return handle_; }

 private:
  T* handle_;
  bool initialised_ = false;
};

// What can be called back when its time has come.
class Alarm {
 public:
  Alarm() = default;
  virtual ~Alarm() = default;
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  virtual void on_alarm() = 0;
};

// What lives on a worker and has to be closed before its thread ends.
class Resident {
 public:
  Resident() = default;
  virtual ~Resident() = default;
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  virtual void close() = 0;
  // Whether it came from this listener, with a smaller number than `cut`.
  virtual bool came_from(uint64_t listener, uint64_t cut) const = 0;
};

class Worker {
 public:
  using Task = std::function<void()>;
  using Alarms = std::multimap<uint64_t, Alarm*>;

  Worker(std::shared_ptr<session::Mailbox> mailbox, Block scratch);
  // Stops, unless that was done.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // From any thread: runs `task` on this one, in order. What is posted after the thread has begun to end is dropped.
  void post(Task task);
  // The same for several, which are moved out.
  void post_all(std::vector<Task>& tasks);
  // On the environment's thread: what JavaScript has for this one and has not posted yet.
  std::vector<Task> outbox;
  // From any thread: connections here, and on their way here.
  std::atomic<size_t> load{0};
  // From the environment's thread: closes everything that lives here and ends the thread; stop() waits for that.
  void ask_to_stop();
  void stop();
  // How many have something for this thread that cannot wait until a parked handshake has its answer.
  std::atomic<int> urgent{0};
  // Whoever waits for something else on this thread is to give up.
  bool hurried() const { return stopping_ || urgent > 0; }

  // The rest is for the thread itself.
  Poller& poller() { return poller_; }
  session::Mailbox& mailbox() const { return *mailbox_; }
  void move_in(const std::shared_ptr<Resident>& resident) { residents_.insert(resident); }
  void move_out(const std::shared_ptr<Resident>& resident) { residents_.erase(resident); }
  // Closes the connections with smaller numbers than `cut` that came from this listener.
  void close_residents_of(uint64_t listener, uint64_t cut);
  // Calls the alarm in so many milliseconds, unless cancelled before. The alarm must cancel before it goes.
  Alarms::iterator set_alarm(uint64_t milliseconds, Alarm* alarm);
  void cancel(Alarms::iterator alarm) { alarms_.erase(alarm); }
  // For one step of one connection at a time. Who keeps it puts another in its place.
  Block& scratch() { return scratch_; }
  // What connections fill with what they send, for one at a time.
  Wire::Bytes& spare_output() { return spare_output_; }
  std::thread::id thread() const { return thread_.get_id(); }

 private:
  void start();
  void wake();
  void run();
  void run_tasks();
  void ring();
  void arm_timer();
  void shut_down();

  const std::shared_ptr<session::Mailbox> mailbox_;
  uv_loop_t* loop_;
  Poller poller_;
  std::unique_ptr<UvHandle<uv_poll_t, UV_POLL>> poll_ = std::make_unique<UvHandle<uv_poll_t, UV_POLL>>();
  std::unique_ptr<UvHandle<uv_async_t, UV_ASYNC>> async_ = std::make_unique<UvHandle<uv_async_t, UV_ASYNC>>();
  std::unique_ptr<UvHandle<uv_prepare_t, UV_PREPARE>> prepare_ = std::make_unique<UvHandle<uv_prepare_t, UV_PREPARE>>();
  std::unique_ptr<UvHandle<uv_timer_t, UV_TIMER>> timer_ = std::make_unique<UvHandle<uv_timer_t, UV_TIMER>>();
  // Guards the handle that wakes the thread against its end. Not the other mutex, which a thread that is woken wants
  // first.
  std::mutex wake_mutex_;
  std::mutex mutex_;
  std::vector<Task> tasks_;
  std::vector<Task> running_;
  bool closed_ = false;
  std::atomic<bool> stopping_{false};
  std::unordered_set<std::shared_ptr<Resident>> residents_;
  Alarms alarms_;
  Block scratch_;
  Wire::Bytes spare_output_;
  std::thread thread_;
};

// A time until which something must have happened; else it calls a member function of its owner. On the worker's
// thread.
template <class Owner, void (Owner::*Late)()>
class Deadline final : public Alarm {
 public:
  Deadline(Worker& worker, Owner& owner) : worker_(worker), owner_(owner) {}
  ~Deadline() override { clear(); }

  // 0 is for ever.
  void set(uint64_t milliseconds) {
    clear();
    if (milliseconds > 0) alarm_ = worker_.set_alarm(milliseconds, this);
  }
  bool is_set() const { return alarm_.has_value(); }
  void clear() {
    if (alarm_) worker_.cancel(*alarm_);
    alarm_.reset();
  }
  void on_alarm() override {
    alarm_.reset();
    (owner_.*Late)();
  }

 private:
  Worker& worker_;
  Owner& owner_;
  std::optional<Worker::Alarms::iterator> alarm_;
};

}  // namespace engine
