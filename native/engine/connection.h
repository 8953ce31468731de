// One TLS connection at home on a worker: its socket, its SSL, and what moves between them and JavaScript.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <optional>

#include "bind/convert.h"
#include "engine/descriptor.h"
#include "engine/profile.h"
#include "engine/told.h"
#include "engine/worker.h"
#include "session/state.h"

namespace engine {

class Engine;

// Bytes that JavaScript wants to send: a copy, since nothing keeps JavaScript from taking away what is in its Buffers.
struct Write {
  Block bytes;
  size_t size;
  // JavaScript is told of it when there is room for more, not when it is sent.
  bool ahead = false;
  // JavaScript is to be told of it.
  bool awaited = true;
};

// What there is already when a connection moves in.
struct Beginning {
  // What has come from the socket.
  binding::Bytes received;
  // What a client sends before the handshake is complete.
  binding::Bytes early;
};

// How a connection is ended.
enum class Ending {
  kAtOnce,
  // After what was written, as far as JavaScript has been told that it is.
  kWritten,
  // The same, and with a goodbye.
  kGoodbye,
};

// What becomes of an answer. The numbers are part of the interface to lib/engine.
enum class Reception : int {
  // It is not the session that was asked for, and counts as a miss.
  kRefused = 0,
  kTaken = 1,
  // The handshake has ended, or gone on without it.
  kUnwanted = 2,
};

class Connection final : public Resident,
                         public Pollable,
                         public session::Driver,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(Engine& engine, Worker& worker, uint64_t id, std::shared_ptr<const Profile> profile);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const uint64_t id;
  const Profile& profile() const { return *profile_; }

  // --- From the environment's thread -------------------------------------------------------------------------------

  // Makes this the home of an SSL that JavaScript has made, and of its socket.
  void move_in(const std::shared_ptr<binding::Handle>& handle, SSL* ssl, Descriptor fd, const Beginning& beginning);
  // True when JavaScript need not wait: the bytes are copied, and not too many. Else it is told when they are written,
  // or copied and few enough. Not `ahead` of the handshake's end.
  bool write(const std::vector<binding::Bytes>& chunks, bool ahead);
  // Says goodbye after what is written, and ends the sending direction. True when everything is sent but that.
  bool finish();
  void destroy(Ending ending);
  // JavaScript has consumed so many of the bytes that it was told of.
  void consumed(size_t bytes);
  // Keeps what TLS sends back until there were as many calls with false as with true. Where the profile holds sessions.
  void hold(bool on);
  // The socket, for getsockname and its like; -1 once it is closed. Valid while the mutex is held.
  int descriptor() const { return fd_.get(); }

  void answer(binding::Environment& env, std::shared_ptr<session::Lookup> lookup,
              ossl::SslSessionPointer session) noexcept override;
  void answer(std::shared_ptr<session::CertQuestion> question, bool accepted) noexcept override;
  napi_value object(binding::Environment& env) override;
  std::mutex& mutex() noexcept override { return mutex_; }
  void told_of_session() noexcept override;
  // The answer to the last lookup that JavaScript was told of: a session in DER form, or nothing. `taken` says that
  // nobody else has it.
  Reception answer_lookup(const binding::Octets& id, const std::optional<binding::Bytes>& der, bool taken);
  void asked(std::shared_ptr<session::Lookup> lookup) { asked_ = std::move(lookup); }
  void report(binding::Environment& env, napi_value exception) noexcept override;
  // JavaScript has heard of the end: its object of the SSL dies.
  void forget() noexcept;

  // --- From the worker's thread ------------------------------------------------------------------------------------

  // Takes an accepted socket over and begins.
  void accept(Descriptor fd);
  // Begins with what move_in() has brought; an accepted connection when the client sends something.
  void begin();
  void close() override { close(Ending::kAtOnce); }
  void on_readiness(uint32_t events) override;
  bool came_from(uint64_t listener, uint64_t cut) const override { return profile_->listener == listener && id < cut; }
  void park(session::Question& question) noexcept override;
  bool stores() const noexcept override { return profile_->settings.stores; }
  void ask(const std::shared_ptr<session::Lookup>& lookup, bool once) noexcept override;
  void keep(const SSL_SESSION* session) noexcept override;
  void negotiated() noexcept override;

 private:
  // Early: data may come and go, and the handshake is not complete.
  enum class Phase { kHandshake, kEarly, kOpen, kBroken };

  // How far the reader may fall behind before the socket is left alone, and when it is taken up again.
  static constexpr size_t kHighWater = size_t{256} * 1024;
  static constexpr size_t kLowWater = size_t{64} * 1024;
  // How far writing may be ahead of sending. Writes that are larger than a block are sent from where they are.
  static constexpr size_t kAhead = size_t{512} * 1024;
  // What is copied into memory of its own size, and not into a block.
  static constexpr size_t kSmall = size_t{8} * 1024;

  void post(Worker::Task task);
  // False when no handshake waits for it any more.
  bool take_answer(const std::shared_ptr<session::Lookup>& lookup, ossl::SslSessionPointer& session) noexcept;
  void give_back_answer();
  bool make_ssl();
  void prepare(SSL* ssl, const binding::Bytes& received);
  void configure_socket() const;
  void want_write();
  void work();
  void advance();
  void shake_hands();
  // The next step of the handshake: SSL_ERROR_NONE when it is complete, or when there is early data, which is in `out`.
  int go_on(unsigned char* out, size_t room, size_t& size);
  bool write_pending();
  bool encrypt_pending();
  void tell_room();
  bool write_some(const unsigned char* data, size_t size, size_t& written);
  void read_available();
  bool send_output();
  void say_goodbye();
  void shut_down_tls();
  void close(Ending ending);
  // What a call that returned `result` asks for, with its errors when it has failed. The mutex is held.
  int outcome(int result);
  void lookup_late();
  void handshake_late();
  void hold_late();
  void sending_late();
  // Nothing more will come or go: the peer's end, or what a call has failed with.
  void conclude(int reason);
  void end();
  void fail();
  void lose(Told how, int error);
  bool paused() const;
  void leave_paused();

  void tell(Told what);
  void tell(Told what, int64_t value);
  void tell_failure(bool late);
  void tell_established(int64_t version, bool complete);
  void tell_late_lookup(const session::Lookup& lookup);
  // False when the session cannot be resumed any more, or has no DER form.
  bool tell_session(Told what, const SSL_SESSION* session);
  // From the environment's thread: a session that was taken from a store has come to a handshake that has ended.
  void tell_unused(binding::Environment& env, const SSL_SESSION* session) noexcept;
  // What is in the worker's scratch.
  void tell_data(size_t size);

  Engine& engine_;
  Worker& worker_;
  const std::shared_ptr<const Profile> profile_;
  // Guards the SSL and the descriptor: the worker holds it for one step, JavaScript for one call.
  std::mutex mutex_;
  ossl::SslPointer ssl_;
  Descriptor fd_;
  bool wants_write_ = false;
  // The kernel tells when there is room to send.
  bool hears_of_room_ = false;
  // Something may have come, to the socket or to TLS, that is not read yet.
  bool readable_ = true;
  Phase phase_ = Phase::kHandshake;
  bool closed_ = false;
  // Closes when everything is sent.
  std::optional<Ending> closing_;
  // The peer has ended, cleanly or not.
  bool ended_ = false;
  // An end without a goodbye is to be told from one with it.
  bool notes_unclean_end_ = true;
  bool finish_wanted_ = false;
  // Our goodbye is said, and is sent.
  bool parting_ = false;
  bool finished_ = false;
  std::vector<ossl::compat::QueuedError> errors_;
  int errno_ = 0;
  Deadline<Connection, &Connection::handshake_late> handshake_deadline_;
  Deadline<Connection, &Connection::hold_late> hold_deadline_;
  Deadline<Connection, &Connection::lookup_late> lookup_deadline_;
  Deadline<Connection, &Connection::sending_late> sending_deadline_;

  // Lives as long as the SSL.
  Wire* wire_ = nullptr;
  // A server, which may get early data before SSL_do_handshake is called.
  bool takes_early_data_ = false;
  // What a client sends first.
  binding::Octets early_data_;
  // The lookup that is awaited is for a session to be used once.
  bool once_ = false;
  // What the handshake has sent may be kept back until its sessions are stored.
  bool may_hold_ = false;
  size_t negotiated_ = 0;
  size_t released_ = 0;

  // Writes by JavaScript, and how much of the first one TLS has.
  std::deque<Write> writes_;
  size_t offset_ = 0;
  // What the wire has to send before it comes to the first of them, in bytes since its beginning.
  uint64_t before_ = 0;
  // How much of them is in the output, and whether that was the end of one that JavaScript is to be told of.
  size_t encrypted_ = 0;
  bool awaited_ = false;
  // All of them, those that are on their way here included, in bytes.
  std::atomic<size_t> unsent_{0};

  // Bytes told and not consumed; beyond a limit the socket is not read.
  std::atomic<size_t> unconsumed_{0};
  std::atomic<bool> stalled_{false};

  // Without fibres the thread itself waits for an answer, and lets the mutex go meanwhile.
  std::unique_lock<std::mutex>* step_ = nullptr;
  session::Question* parked_ = nullptr;
  std::chrono::steady_clock::time_point handshake_until_ = std::chrono::steady_clock::time_point::max();
  std::condition_variable unparked_;

  // On the environment's thread.
  std::shared_ptr<binding::Handle> handle_;
  std::shared_ptr<session::Lookup> asked_;
  size_t told_sessions_ = 0;
  size_t holds_ = 0;
};

}  // namespace engine
