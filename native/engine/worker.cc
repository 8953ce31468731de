#include "engine/worker.h"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

#include "engine/scheduling.h"

namespace engine {

namespace {

// Nanoseconds, more than the kernel gives by itself: whoever waits for an answer is to have it before these threads go
// on computing.
constexpr uint64_t kSlice = 6'000'000;

// Signals are for the thread that JavaScript runs on: those started meanwhile get none.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

[[noreturn]] void cannot_start(int error) {
  throw binding::Error(binding::ErrorKind::kError, uv_err_name(error),
                       std::string("cannot start a thread of the engine: ") + uv_strerror(error));
}

}  // namespace

Worker::Worker(std::shared_ptr<session::Mailbox> mailbox, Block scratch)
    : mailbox_(std::move(mailbox)),
      loop_(static_cast<uv_loop_t*>(std::malloc(uv_loop_size()))),  // NOLINT(cppcoreguidelines-no-malloc)
      scratch_(std::move(scratch)) {
  if (loop_ == nullptr) throw std::bad_alloc();
  const int error = uv_loop_init(loop_);
  if (error != 0) {
    std::free(loop_);  // NOLINT(cppcoreguidelines-no-malloc)
    cannot_start(error);
  }
  try {
    start();
  } catch (...) {
    // Nothing runs on the loop yet but these handles' ends.
    async_.reset();
    poll_.reset();
    prepare_.reset();
    timer_.reset();
    uv_run(loop_, UV_RUN_DEFAULT);
    uv_loop_close(loop_);
    std::free(loop_);  // NOLINT(cppcoreguidelines-no-malloc)
    throw;
  }
}

void Worker::start() {
  const int set_error = poller_.open();
  if (set_error != 0) cannot_start(uv_translate_sys_error(set_error));
  const int error = async_->init(this, [&](uv_async_t* handle) {
    return uv_async_init(loop_, handle, [](uv_async_t* h) {
      static_cast<Worker*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(h)))->run_tasks();
    });
  });
  if (error != 0) cannot_start(error);
  const int poll_error =
      poll_->init(this, [&](uv_poll_t* handle) { return uv_poll_init(loop_, handle, poller_.descriptor()); });
  if (poll_error != 0) cannot_start(poll_error);
  uv_poll_start(poll_->get(), UV_READABLE, [](uv_poll_t* h, int, int) {
    static_cast<Worker*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(h)))->poller_.dispatch();
  });
  prepare_->init(this, [&](uv_prepare_t* handle) { return uv_prepare_init(loop_, handle); });
  timer_->init(this, [&](uv_timer_t* handle) { return uv_timer_init(loop_, handle); });
  // Before the loop waits, JavaScript is woken once for all that its turn has brought.
  uv_prepare_start(prepare_->get(), [](uv_prepare_t* h) {
    static_cast<Worker*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(h)))->mailbox_->flush();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(prepare_->get()));

  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& failure) {
    cannot_start(uv_translate_sys_error(failure.code().value()));
  }
}

Worker::~Worker() {
  ask_to_stop();
  stop();
  uv_loop_close(loop_);
  std::free(loop_);  // NOLINT(cppcoreguidelines-no-malloc)
}

void Worker::ask_to_stop() {
  if (stopping_.exchange(true)) return;
  post([this] { shut_down(); });
}

void Worker::stop() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  set_time_slice(kSlice);
  session::Mailbox::batch_wakes();
  uv_run(loop_, UV_RUN_DEFAULT);
  mailbox_->flush();
}

void Worker::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  // Tasks that find others waiting are taken along.
  if (first) wake();
}

void Worker::post_all(std::vector<Task>& tasks) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = tasks_.empty() && !closed_;
    if (!closed_) std::move(tasks.begin(), tasks.end(), std::back_inserter(tasks_));
  }
  tasks.clear();
  if (first) wake();
}

void Worker::wake() {
  const std::lock_guard lock(wake_mutex_);
  if (async_) uv_async_send(async_->get());
}

void Worker::run_tasks() {
  {
    const std::lock_guard lock(mutex_);
    running_.swap(tasks_);
  }
  for (const Task& task : running_) {
    // One of them may have been the end.
    if (!closed_) task();
  }
  // Keeps its capacity for the next exchange.
  running_.clear();
}

void Worker::shut_down() {
  while (!residents_.empty()) {
    // It moves out while it closes.
    const auto resident = *residents_.begin();
    resident->close();
  }
  std::vector<Task> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(tasks_);
  }
  {
    const std::lock_guard lock(wake_mutex_);
    async_.reset();
  }
  poll_.reset();
  prepare_.reset();
  timer_.reset();
}

Worker::Alarms::iterator Worker::set_alarm(uint64_t milliseconds, Alarm* alarm) {
  // A turn of the loop may have taken long already.
  uv_update_time(loop_);
  const auto entry = alarms_.emplace(uv_now(loop_) + milliseconds, alarm);
  if (entry == alarms_.begin()) arm_timer();
  return entry;
}

void Worker::close_residents_of(uint64_t listener, uint64_t cut) {
  std::vector<std::shared_ptr<Resident>> leaving;
  for (const auto& resident : residents_) {
    if (resident->came_from(listener, cut)) leaving.push_back(resident);
  }
  for (const auto& resident : leaving) resident->close();
}

void Worker::arm_timer() {
  const uint64_t now = uv_now(loop_);
  const uint64_t due = alarms_.begin()->first;
  uv_timer_start(
      timer_->get(),
      [](uv_timer_t* h) { static_cast<Worker*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(h)))->ring(); },
      due > now ? due - now : 0, 0);
}

void Worker::ring() {
  // What came in time counts, though this thread was busy with something else.
  run_tasks();
  if (closed_) return;
  const uint64_t now = uv_now(loop_);
  while (!alarms_.empty() && alarms_.begin()->first <= now) {
    Alarm* const alarm = alarms_.begin()->second;
    alarms_.erase(alarms_.begin());
    alarm->on_alarm();
  }
  if (!alarms_.empty()) arm_timer();
}

}  // namespace engine
