// What a connection tells JavaScript, as events in the mailbox.
#include "bind/convert.h"
#include "engine/engine.h"

namespace engine {

namespace {

// Milliseconds for which a client's new session is kept back until the store has it: enough for a store in the same
// rack, and too little to be felt.
constexpr uint64_t kHold = 50;

// So many bytes that have come keep their block; fewer are copied.
constexpr size_t kOwnBlock = Blocks::kSize / 2;

class ConnectionEvent : public session::Event {
 public:
  ConnectionEvent(Engine& engine, std::shared_ptr<Connection> connection, Told what)
      : engine_(engine.weak_from_this()), connection_(std::move(connection)), what_(what) {}

  void deliver(binding::Environment& env) override {
    // The engine may be stopped before its last words are heard.
    if (const auto engine = engine_.lock()) engine->tell(env, connection_, what_, value(env));
  }
  bool waits_for_loop() const final { return true; }

 protected:
  virtual napi_value value(binding::Environment& env) {
    napi_value undefined = nullptr;
    binding::check(napi_get_undefined(env.env(), &undefined));
    return undefined;
  }

 private:
  const std::weak_ptr<Engine> engine_;
  const std::shared_ptr<Connection> connection_;
  const Told what_;
};

class NumberEvent final : public ConnectionEvent {
 public:
  NumberEvent(Engine& engine, std::shared_ptr<Connection> connection, Told what, int64_t number)
      : ConnectionEvent(engine, std::move(connection), what), number_(number) {}

 protected:
  napi_value value(binding::Environment& env) override { return binding::to_js(env, number_); }

 private:
  const int64_t number_;
};

class BytesEvent final : public ConnectionEvent {
 public:
  BytesEvent(Engine& engine, std::shared_ptr<Connection> connection, Told what, const unsigned char* data, size_t size)
      : ConnectionEvent(engine, std::move(connection), what), bytes_(data, data + size) {}

 protected:
  napi_value value(binding::Environment& env) override { return binding::to_js(env, bytes_); }

 private:
  const binding::Octets bytes_;
};

// Becomes a Buffer where it is.
class BlockEvent final : public ConnectionEvent {
 public:
  BlockEvent(Engine& engine, std::shared_ptr<Connection> connection, Told what, Block block, size_t size)
      : ConnectionEvent(engine, std::move(connection), what), block_(std::move(block)), size_(size) {}

 protected:
  napi_value value(binding::Environment& env) override {
    napi_value buffer = nullptr;
    auto owner = std::make_unique<Block>(block_);
    binding::check(napi_create_external_buffer(
        env.env(), size_, owner->get(), [](napi_env, void*, void* block) { delete static_cast<Block*>(block); },
        owner.get(), &buffer));
    static_cast<void>(owner.release());
    return buffer;
  }

 private:
  const Block block_;
  const size_t size_;
};

class EstablishedEvent final : public ConnectionEvent {
 public:
  EstablishedEvent(Engine& engine, std::shared_ptr<Connection> connection, int64_t version, std::string protocol,
                   std::string servername, bool complete)
      : ConnectionEvent(engine, std::move(connection), Told::kEstablished),
        version_(version),
        protocol_(std::move(protocol)),
        servername_(std::move(servername)),
        complete_(complete) {}

 protected:
  napi_value value(binding::Environment& env) override {
    napi_value version = binding::to_js(env, version_);
    if (protocol_.empty() && servername_.empty() && complete_) return version;
    napi_value array = nullptr;
    binding::check(napi_create_array(env.env(), &array));
    binding::check(napi_set_element(env.env(), array, 0, version));
    binding::check(napi_set_element(env.env(), array, 1, binding::to_js(env, protocol_)));
    binding::check(napi_set_element(env.env(), array, 2, binding::to_js(env, servername_)));
    napi_value complete = nullptr;
    binding::check(napi_get_boolean(env.env(), complete_, &complete));
    binding::check(napi_set_element(env.env(), array, 3, complete));
    return array;
  }

 private:
  const int64_t version_;
  const std::string protocol_;
  const std::string servername_;
  const bool complete_;
};

// What a server's store is asked and told, without handles: the worker has turned sessions into bytes.
class LookupEvent final : public ConnectionEvent {
 public:
  LookupEvent(Engine& engine, const std::shared_ptr<Connection>& connection, Told what,
              std::shared_ptr<session::Lookup> lookup)
      : ConnectionEvent(engine, connection, what), connection_(connection), lookup_(std::move(lookup)) {}

 protected:
  napi_value value(binding::Environment& env) override {
    connection_->asked(lookup_);
    return binding::to_js(env, lookup_->id);
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<session::Lookup> lookup_;
};

class KeepEvent final : public ConnectionEvent {
 public:
  KeepEvent(Engine& engine, const std::shared_ptr<Connection>& connection, Told what, binding::Octets id,
            binding::Octets der, int64_t until)
      : ConnectionEvent(engine, connection, what),
        connection_(connection),
        is_new_(what == Told::kKeep),
        id_(std::move(id)),
        der_(std::move(der)),
        until_(until) {}

  void deliver(binding::Environment& env) override {
    ConnectionEvent::deliver(env);
    // What is given back is none of the sessions that the connection waits for.
    if (is_new_) connection_->told_of_session();
  }

 protected:
  napi_value value(binding::Environment& env) override {
    napi_value array = nullptr;
    binding::check(napi_create_array(env.env(), &array));
    binding::check(napi_set_element(env.env(), array, 0, binding::to_js(env, id_)));
    binding::check(napi_set_element(env.env(), array, 1, binding::to_js(env, der_)));
    binding::check(napi_set_element(env.env(), array, 2, binding::to_js(env, until_)));
    return array;
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const bool is_new_;
  const binding::Octets id_;
  const binding::Octets der_;
  // Seconds since 1970.
  const int64_t until_;
};

// Null when the session cannot be written.
std::unique_ptr<KeepEvent> keep_event(Engine& engine, const std::shared_ptr<Connection>& connection, Told what,
                                      const SSL_SESSION* session) {
  unsigned int size = 0;
  const unsigned char* const id = SSL_SESSION_get_id(session, &size);
  const int length = i2d_SSL_SESSION(const_cast<SSL_SESSION*>(session), nullptr);
  const int64_t until = SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session);
  if (length <= 0) return nullptr;
  binding::Octets der(static_cast<size_t>(length));
  unsigned char* out = der.data();
  i2d_SSL_SESSION(const_cast<SSL_SESSION*>(session), &out);
  return std::make_unique<KeepEvent>(engine, connection, what, binding::Octets(id, id + size), std::move(der), until);
}

// For what is no event, because JavaScript is running and hears of it at once. False when it could not be told.
template <class Telling>
bool tell_at_once(const binding::Environment& env, const Telling& telling) noexcept {
  try {
    telling();
  } catch (const binding::Pending&) {
    napi_value thrown = nullptr;
    if (napi_get_and_clear_last_exception(env.env(), &thrown) == napi_ok) napi_fatal_exception(env.env(), thrown);
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

class FailureEvent final : public ConnectionEvent {
 public:
  FailureEvent(Engine& engine, std::shared_ptr<Connection> connection, std::vector<ossl::compat::QueuedError> errors,
               bool late)
      : ConnectionEvent(engine, std::move(connection), Told::kFailed), errors_(std::move(errors)), late_(late) {}

 protected:
  // The errors go onto the queue of JavaScript's own thread, where it looks for the reason of every failure.
  napi_value value(binding::Environment& env) override {
    ERR_clear_error();
    for (const auto& error : errors_) ossl::compat::put_error(error);
    napi_value late = nullptr;
    binding::check(napi_get_boolean(env.env(), late_, &late));
    return late;
  }

 private:
  const std::vector<ossl::compat::QueuedError> errors_;
  const bool late_;
};

}  // namespace

void Connection::tell(Told what) {
  worker_.mailbox().push(std::make_unique<ConnectionEvent>(engine_, shared_from_this(), what));
}

void Connection::tell(Told what, int64_t value) {
  worker_.mailbox().push(std::make_unique<NumberEvent>(engine_, shared_from_this(), what, value));
}

void Connection::tell_failure(bool late) {
  worker_.mailbox().push(std::make_unique<FailureEvent>(engine_, shared_from_this(), std::exchange(errors_, {}), late));
}

void Connection::tell_established(int64_t version, bool complete) {
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
  const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  worker_.mailbox().push(std::make_unique<EstablishedEvent>(engine_, shared_from_this(), version,
                                                            std::string(reinterpret_cast<const char*>(protocol), size),
                                                            std::string(name != nullptr ? name : ""), complete));
}

void Connection::ask(const std::shared_ptr<session::Lookup>& lookup, bool once) noexcept {
  once_ = once;
  const Told what = once ? Told::kLookupOnce : Told::kLookup;
  worker_.mailbox().push(std::make_unique<LookupEvent>(engine_, shared_from_this(), what, lookup));
}

void Connection::tell_late_lookup(const session::Lookup& lookup) {
  const auto& context = session::Connection::of(ssl_.get())->context;
  const Told store = once_ ? Told::kStoreLateOnce : Told::kStoreLate;
  const Told what = context->has(session::Slot::kGet) ? Told::kLookupLate : store;
  worker_.mailbox().push(
      std::make_unique<BytesEvent>(engine_, shared_from_this(), what, lookup.id.data(), lookup.id.size()));
}

void Connection::keep(const SSL_SESSION* session) noexcept {
  if (!tell_session(Told::kKeep, session) || !may_hold_) return;
  negotiated_++;
  hold_deadline_.set(kHold);
}

bool Connection::tell_session(Told what, const SSL_SESSION* session) {
  auto event = keep_event(engine_, shared_from_this(), what, session);
  if (!event) return false;
  worker_.mailbox().push(std::move(event));
  return true;
}

// At once, because JavaScript may hear of the connection's end next, and of nothing after that.
void Connection::tell_unused(binding::Environment& env, const SSL_SESSION* session) noexcept {
  if (session == nullptr || !ossl::is_taken(session)) return;
  tell_at_once(env, [&] {
    if (const auto event = keep_event(engine_, shared_from_this(), Told::kGiveBack, session)) event->deliver(env);
  });
}

void Connection::tell_data(size_t size) {
  unconsumed_ += size;
  Block& scratch = worker_.scratch();
  if (size < kOwnBlock) {
    worker_.mailbox().push(std::make_unique<BytesEvent>(engine_, shared_from_this(), Told::kData, scratch.get(), size));
    return;
  }
  Block block = std::exchange(scratch, engine_.blocks().take());
  worker_.mailbox().push(
      std::make_unique<BlockEvent>(engine_, shared_from_this(), Told::kData, std::move(block), size));
}

void Connection::report(binding::Environment& env, napi_value exception) noexcept {
  const bool told = tell_at_once(env, [&] { engine_.tell(env, shared_from_this(), Told::kRefused, exception); });
  if (!told) napi_fatal_exception(env.env(), exception);
}

}  // namespace engine
