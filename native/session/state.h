// What the session layer attaches to each SSL_CTX (the callbacks) and to each SSL (the question its handshake waits
// on).
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "openssl/types.h"
#include "session/mailbox.h"
#include "session/ticket_ring.h"

namespace session {

// Application protocols in order of preference, in ALPN's wire format; null is no list.
using AlpnProtocols = std::shared_ptr<const std::vector<unsigned char>>;

enum class Slot : uint32_t { kNew, kRemove, kGet, kKeylog, kCert };
inline constexpr size_t kSlots = 5;

// Attached to an SSL_CTX for its whole life; events keep it longer, so that they find the callback that they are for.
//
// The functions are held weakly here and strongly by the JavaScript object of the SSL_CTX: a callback that refers to
// its own context would otherwise keep both alive for ever.
class Context {
 public:
  Context(std::shared_ptr<Mailbox> mailbox, SSL_CTX* ctx)
      : mailbox(std::move(mailbox)), serial(ossl::serial_of(ctx)), address_(ctx) {}
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  static std::shared_ptr<Context> attach(std::shared_ptr<Mailbox> mailbox, SSL_CTX* ctx);
  // The state of a context made by SSL_CTX_new of this binding. Safe on any thread.
  static const std::shared_ptr<Context>& of(const SSL_CTX* ctx) { return *slot(ctx); }
  // Where an SSL_CTX keeps it, for callbacks that are handed a pointer.
  static std::shared_ptr<Context>* slot(const SSL_CTX* ctx);

  // On the environment's thread only.
  void set_callback(binding::Environment& env, binding::Handle& handle, Slot slot, napi_value function);
  // The function, or null when none is set or it was collected together with its context's JavaScript object.
  napi_value callback(binding::Environment& env, Slot slot) const;
  // The JavaScript object of the context; a dead one when the context is gone.
  napi_value object(binding::Environment& env) const;
  // Installs the trampolines whose presence alone changes and costs nothing, so that their callbacks can come and go
  // while other threads use the context.
  void reserve(SSL_CTX* ctx);

  // From any thread: whether JavaScript has a callback there.
  bool has(Slot slot) const { return wanted_.at(static_cast<size_t>(slot)).load(std::memory_order_relaxed); }
  // How many things of other threads work with the context: while there are any, OpenSSL reads its settings.
  std::atomic<size_t> users{0};

  const std::shared_ptr<Mailbox> mailbox;
  const uint64_t serial;
  // What servers select from, unless the connection has a list of its own. On the environment's thread.
  void set_alpn_protocols(SSL_CTX* ctx, AlpnProtocols protocols);
  // Makes servers select, which changes nothing where there is no list.
  void select_alpn(SSL_CTX* ctx);
  const AlpnProtocols& alpn_protocols() const { return alpn_protocols_; }

  // The keys of stateless tickets from now on, on the environment's thread and whatever other threads do; null are the
  // context's own.
  void set_ticket_ring(SSL_CTX* ctx, std::shared_ptr<const TicketRing> ring);
  // From any thread: the ring, null where none was set.
  std::shared_ptr<const TicketRing> ticket_ring() const;
  // From a thread that works with the context: the ring, or the context's own key.
  std::shared_ptr<const TicketRing> ticket_keys() const;
  // Has tickets ask for the ring, which changes nothing where there is none.
  void take_tickets(SSL_CTX* ctx);

 private:
  SSL_CTX* const address_;
  AlpnProtocols alpn_protocols_;
  bool selects_alpn_ = false;
  bool takes_tickets_ = false;
  // Guards a pointer, for as long as it takes to copy it.
  mutable std::mutex ring_mutex_;
  std::shared_ptr<const TicketRing> ring_;
  std::array<napi_ref, kSlots> callbacks_{};
  std::array<std::atomic<bool>, kSlots> wanted_{};
  std::array<bool, kSlots> installed_{};
};

// Something of another thread works with a context. Made on the environment's thread, ended on any.
class ContextUse {
 public:
  explicit ContextUse(SSL_CTX* ctx) : context_(Context::of(ctx)) {
    context_->reserve(ctx);
    context_->users++;
  }
  ~ContextUse() { context_->users--; }
  ContextUse(const ContextUse&) = delete;
  ContextUse& operator=(const ContextUse&) = delete;

 private:
  const std::shared_ptr<Context> context_;
};

// What a paused handshake asked and JavaScript has to answer.
struct Question {
  // On the environment's thread: JavaScript has answered, or is not to be heard any more.
  bool settled = false;
  // On the thread that drives the connection: the handshake can go on.
  bool answered = false;
};

// For the session of an id; null is a miss.
struct Lookup : Question {
  std::vector<unsigned char> id;
  // There is no fibre to pause: the answer must be there when the callback returns.
  bool synchronous = false;
  ossl::SslSessionPointer answer;
};

// For certificates; a refusal fails the handshake.
struct CertQuestion : Question {
  bool accepted = false;
};

// Whoever drives a connection on a thread that is not the environment's.
class Driver {
 public:
  virtual ~Driver() = default;

  // From the environment's thread: what JavaScript has answered.
  virtual void answer(binding::Environment& env, std::shared_ptr<Lookup> lookup,
                      ossl::SslSessionPointer session) noexcept = 0;
  virtual void answer(std::shared_ptr<CertQuestion> question, bool accepted) noexcept = 0;
  // From the environment's thread: the JavaScript object of the connection, a dead one when the connection is gone.
  virtual napi_value object(binding::Environment& env) = 0;
  // Held while OpenSSL works on the connection, by whatever thread.
  virtual std::mutex& mutex() noexcept = 0;
  // From the driving thread, which holds the mutex: waits, without it, until the question is answered.
  virtual void park(Question& question) noexcept = 0;
  // From the driving thread: whether sessions are looked up and kept by ask() and keep(), where no callback does.
  virtual bool stores() const noexcept = 0;
  virtual void ask(const std::shared_ptr<Lookup>& lookup, bool once) noexcept = 0;
  virtual void keep(const SSL_SESSION* session) noexcept = 0;
  // From the driving thread: a session was negotiated, and JavaScript will be told.
  virtual void negotiated() noexcept = 0;
  // From the environment's thread: JavaScript has been told of that session.
  virtual void told_of_session() noexcept = 0;
  // From the environment's thread: a callback has thrown, or its answer cannot be used.
  virtual void report(binding::Environment& env, napi_value exception) noexcept = 0;
};

// Attached to an SSL for its whole life; events and promises keep it longer.
class Connection {
 public:
  Connection(std::shared_ptr<Context> context, SSL* ssl, std::shared_ptr<Driver> driver)
      : context(std::move(context)),
        driver_(driver),
        driven_elsewhere_(driver != nullptr),
        ssl_(ssl),
        address_(ssl),
        serial_(ossl::serial_of(ssl)) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Without a driver, JavaScript drives the connection itself.
  static std::shared_ptr<Connection> attach(SSL* ssl, std::shared_ptr<Driver> driver);
  // From now on `driver` drives it. On the environment's thread, before the driver's thread knows of it.
  void hand_over(const std::shared_ptr<Driver>& driver) {
    driver_ = driver;
    driven_elsewhere_ = true;
  }
  // SNI has switched to another context's certificates. On the environment's thread, while the handshake waits.
  void switched_to(SSL_CTX* ctx) {
    if (driven_elsewhere_) switched_to_.emplace(ctx);
  }

  // The state of a connection made by SSL_new of this binding. Safe on the connection's own thread.
  static const std::shared_ptr<Connection>& of(const SSL* ssl);

  // Whether another thread drives the connection.
  bool driven_elsewhere() const { return driven_elsewhere_; }
  // Null for inline connections, and once the driver is gone.
  std::shared_ptr<Driver> driver() const { return driver_.lock(); }

  // Null once OpenSSL has freed it. On the driving thread.
  SSL* ssl() const { return ssl_; }
  // The JavaScript object of the connection; a dead one when the connection is gone.
  napi_value object(binding::Environment& env) const;

  bool waiting() const { return (lookup && !lookup->answered) || (certificate && !certificate->answered); }
  // A promise that is resolved when nothing is awaited any more.
  napi_value wait(binding::Environment& env);

  // Ends a handshake that is paused, without an answer. OpenSSL frees no paused job, so every path that frees or resets
  // the connection comes by here first. On the thread that started the job.
  void unwind() noexcept;
  // The same, for inline connections, and what JavaScript knows of it.
  void abandon(binding::Environment& env) noexcept;

  // JavaScript's answers. Null is a miss.
  void answer(binding::Environment& env, const std::shared_ptr<Lookup>& answered,
              ossl::SslSessionPointer session) noexcept;
  void answer(binding::Environment& env, const std::shared_ptr<CertQuestion>& question, bool accepted) noexcept;

  // Keeps an exception for the next call that drives this connection; where there is none, it is an uncaught one.
  void report(binding::Environment& env, napi_value exception) noexcept;
  // Throws what was kept.
  void throw_deferred(binding::Environment& env);

  // The context whose session callbacks and cache this connection uses, whatever context SNI switches to.
  const std::shared_ptr<Context> context;

  // What this server selects from, whatever its context says.
  AlpnProtocols alpn_protocols;

  std::shared_ptr<Lookup> lookup;
  std::shared_ptr<CertQuestion> certificate;
  // What was found by a lookup for a session to be used once, during the handshake.
  ossl::SslSessionPointer used;
  // OpenSSL is inside a call with this connection.
  bool busy = false;
  // Being unwound: every question is answered with no.
  bool closing = false;
  // Where a fibre reads to and writes from: it may outlive the JavaScript call that started it.
  std::vector<unsigned char> read_buffer;
  std::vector<unsigned char> write_buffer;

 private:
  // Tells whoever awaits SSL_waiting_session that calling again makes sense.
  void wake_waiters(binding::Environment& env) noexcept;

  std::weak_ptr<Driver> driver_;
  bool driven_elsewhere_;
  std::optional<ContextUse> switched_to_;
  SSL* ssl_;
  const SSL* const address_;
  const uint64_t serial_;
  // The functions that resolve the promises of wait(); Node-API's own deferreds are lost when a thread is terminated.
  std::vector<napi_ref> waiters_;
  napi_ref exception_ = nullptr;

  friend struct ConnectionSlot;
};

}  // namespace session
