// One TLS connection at home on a worker: its socket, its SSL, and what moves between them and JavaScript.
#pragma once

#include <condition_variable>
#include <deque>
#include <optional>

#include "engine/descriptor.h"
#include "engine/worker.h"
#include "session/state.h"

namespace engine {

class Engine;

// How a listener's connections are treated.
struct ConnectionSettings {
  // Milliseconds; 0 is for ever.
  uint64_t handshake_timeout = 0;
  uint64_t lookup_timeout = 0;
  // SSL_VERIFY_* of a server, judged by JavaScript after the handshake.
  int verify_mode = 0;
  uint64_t ssl_options = 0;
  bool no_delay = false;
};

// What JavaScript hears of a connection. The numbers are part of the interface to lib/.
enum class Told : int {
  kEstablished = 0,
  kData = 1,
  kEnded = 2,
  kFailed = 3,
  kWritten = 4,
  kFinished = 5,
  kClosed = 6,
};

// Bytes that JavaScript wants to send: a Buffer's, which the JavaScript side keeps until it is told that they are
// written.
struct Chunk {
  const unsigned char* data;
  size_t size;
};

class Connection final : public Resident, public session::Driver, public std::enable_shared_from_this<Connection> {
 public:
  Connection(Engine& engine, Worker& worker, uint64_t id, uint64_t listener, const ConnectionSettings& settings);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const uint64_t id;
  const uint64_t listener;

  // --- From the environment's thread -------------------------------------------------------------------------------

  void write(std::vector<Chunk> chunks);
  // Says goodbye after what is written, and ends the sending direction.
  void finish();
  // Ends it all.
  void destroy();
  // JavaScript has consumed so many of the bytes that it was told of.
  void consumed(size_t bytes);
  // The socket, for getsockname and its like; -1 once it is closed. Valid while the mutex is held.
  int descriptor() const { return fd_.get(); }

  void answer(std::shared_ptr<session::Lookup> lookup, ossl::SslSessionPointer session) noexcept override;
  void answer(std::shared_ptr<session::CertQuestion> question, bool accepted) noexcept override;
  napi_value object(binding::Environment& env) override;
  std::mutex& mutex() noexcept override { return mutex_; }
  // JavaScript has heard of the end: its object of the SSL dies.
  void forget() noexcept;

  // --- From the worker's thread ------------------------------------------------------------------------------------

  // Takes an accepted socket over and begins.
  void adopt(Descriptor fd, SSL_CTX* ctx);
  void close() override;
  void on_alarm() override;
  void park(session::Question& question) noexcept override;

 private:
  enum class Phase { kHandshake, kOpen, kBroken };

  void work();
  void shake_hands();
  bool write_pending();
  bool write_some(const unsigned char* data, size_t size, size_t& written);
  void read_available();
  void say_goodbye();
  void watch();
  // What a call that returned `result` asks for, with its errors when it has failed. The mutex is held.
  int outcome(int result);
  void fail();
  void tell(Told what);
  void tell_data(size_t size);
  // Makes the SSL; false leaves the reason on the error queue.
  bool make_ssl(SSL_CTX* ctx);
  void set_deadline(uint64_t milliseconds);

  Engine& engine_;
  Worker& worker_;
  const ConnectionSettings settings_;
  // Guards the SSL and the descriptor: the worker holds it for one step, JavaScript for one call.
  std::mutex mutex_;
  ossl::SslPointer ssl_;
  Descriptor fd_;
  std::unique_ptr<UvHandle<uv_poll_t, UV_POLL>> poll_;
  int watched_ = 0;
  bool wants_write_ = false;
  Phase phase_ = Phase::kHandshake;
  bool closed_ = false;
  // The peer has ended, cleanly or not.
  bool ended_ = false;
  bool finish_wanted_ = false;
  bool finished_ = false;
  std::vector<ossl::compat::QueuedError> errors_;
  std::optional<Worker::Alarms::iterator> alarm_;

  // Writes by JavaScript, each with what of it is still to be sent.
  std::deque<std::vector<Chunk>> writes_;
  size_t chunk_ = 0;
  size_t offset_ = 0;

  // Bytes told and not consumed; beyond a limit the socket is not read.
  std::atomic<size_t> unconsumed_{0};
  std::atomic<bool> stalled_{false};

  // Without fibres the thread itself waits for an answer, and lets the mutex go meanwhile.
  std::unique_lock<std::mutex>* step_ = nullptr;
  session::Question* parked_ = nullptr;
  std::condition_variable unparked_;

  // On the environment's thread.
  std::shared_ptr<binding::Handle> handle_;
};

}  // namespace engine
