#include "session/events.h"

#include <cmath>
#include <utility>

#include "bind/convert.h"
#include "openssl/compat.h"

namespace session {

namespace {

using binding::check;
using binding::Environment;
using binding::Error;
using binding::ErrorKind;
using binding::Handle;
using binding::Pending;

template <class... Values>
napi_value call(Environment& env, napi_value function, Values... values) {
  const std::array<napi_value, sizeof...(Values)> arguments{values...};
  napi_value undefined = nullptr;
  napi_value result = nullptr;
  check(napi_get_undefined(env.env(), &undefined));
  check(napi_call_function(env.env(), undefined, function, arguments.size(), arguments.data(), &result));
  return result;
}

napi_valuetype type_of(Environment& env, napi_value value) {
  napi_valuetype type = napi_undefined;
  check(napi_typeof(env.env(), value, &type));
  return type;
}

// The `then` of a promise or of anything like one, or null.
napi_value then_of(Environment& env, napi_value value) {
  const napi_valuetype type = type_of(env, value);
  if (type != napi_object && type != napi_function) return nullptr;
  napi_value then = nullptr;
  check(napi_get_named_property(env.env(), value, "then", &then));
  return type_of(env, then) == napi_function ? then : nullptr;
}

// C's int as a callback answers it: a number or a boolean; undefined is `otherwise`.
bool truth(Environment& env, napi_value value, bool otherwise, const char* callback) {
  bool result = false;
  double number = 0;
  switch (type_of(env, value)) {
    case napi_undefined:
      return otherwise;
    case napi_boolean:
      check(napi_get_value_bool(env.env(), value, &result));
      return result;
    case napi_number:
      check(napi_get_value_double(env.env(), value, &number));
      if (!std::isnan(number)) return number != 0;
      [[fallthrough]];
    default:
      throw Error(ErrorKind::kTypeError, "ERR_INVALID_RETURN_VALUE",
                  std::string(callback) + " must be a number, a boolean or nothing");
  }
}

// The exception that is pending, or that `error` stands for; no longer pending.
napi_value take_exception(Environment& env, const Error* error) {
  if (error != nullptr) error->raise(env.env());
  napi_value exception = nullptr;
  check(napi_get_and_clear_last_exception(env.env(), &exception));
  return exception;
}

// --- Answers that come by promise -----------------------------------------------------------------------------------

// What both handlers of one promise share: what to do with the value, and what to do when there is none.
class Settlement {
 public:
  explicit Settlement(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  virtual ~Settlement() = default;
  Settlement(const Settlement&) = delete;
  Settlement& operator=(const Settlement&) = delete;

  // False when the question has ended without this answer: nobody is to hear of it any more.
  virtual bool wanted() const = 0;
  // Takes the answer; throws when it cannot be used.
  virtual void fulfil(Environment& env, napi_value value) = 0;
  virtual void fail(Environment& env) noexcept = 0;

  void settle(Environment& env, napi_value value) {
    const bool was_wanted = wanted();
    try {
      fulfil(env, value);
    } catch (const Error& error) {
      reject(env, take_exception(env, &error), was_wanted);
    } catch (const Pending&) {
      reject(env, take_exception(env, nullptr), was_wanted);
    }
  }

  void reject(Environment& env, napi_value reason, bool was_wanted) {
    if (!was_wanted) return;
    connection_->report(env, reason);
    fail(env);
  }

  const std::shared_ptr<Connection>& connection() const { return connection_; }

 protected:
  const std::shared_ptr<Connection> connection_;
};

template <bool Fulfilled>
napi_value on_settled(napi_env raw, napi_callback_info info) {
  return binding::guarded(raw, [&]() -> napi_value {
    Environment& env = Environment::of(raw);
    size_t count = 1;
    napi_value value = nullptr;
    void* data = nullptr;
    check(napi_get_cb_info(raw, info, &count, &value, nullptr, &data));
    const std::shared_ptr<Settlement> settlement = *static_cast<std::shared_ptr<Settlement>*>(data);
    if constexpr (Fulfilled) {
      settlement->settle(env, value);
    } else {
      settlement->reject(env, value, settlement->wanted());
    }
    return nullptr;
  });
}

napi_value handler(Environment& env, napi_callback callback, const std::shared_ptr<Settlement>& settlement) {
  auto owner = std::make_unique<std::shared_ptr<Settlement>>(settlement);
  napi_value function = nullptr;
  check(napi_create_function(env.env(), "settled", NAPI_AUTO_LENGTH, callback, owner.get(), &function));
  check(napi_add_finalizer(
      env.env(), function, owner.get(),
      [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Settlement>*>(data); }, nullptr, nullptr));
  static_cast<void>(owner.release());
  return function;
}

void settle_later(Environment& env, napi_value promise, napi_value then,
                  const std::shared_ptr<Settlement>& settlement) {
  const std::array<napi_value, 2> handlers{handler(env, on_settled<true>, settlement),
                                           handler(env, on_settled<false>, settlement)};
  check(napi_call_function(env.env(), promise, then, handlers.size(), handlers.data(), nullptr));
}

// --- The get callback's answer --------------------------------------------------------------------------------------

// The `copy` of one lookup, kept as long as its answer is awaited.
class CopyFlag {
 public:
  explicit CopyFlag(Environment& env) : env_(env) {
    napi_value object = nullptr;
    check(napi_create_object(env.env(), &object));
    binding::set(env, object, "value", 1);
    check(napi_create_reference(env.env(), object, 1, &reference_));
  }
  ~CopyFlag() { napi_delete_reference(env_.env(), reference_); }
  CopyFlag(const CopyFlag&) = delete;
  CopyFlag& operator=(const CopyFlag&) = delete;

  napi_value object() const {
    napi_value object = nullptr;
    check(napi_get_reference_value(env_.env(), reference_, &object));
    return object;
  }

  bool is_zero() const {
    napi_value value = nullptr;
    check(napi_get_named_property(env_.env(), object(), "value", &value));
    return !truth(env_, value, true, "the get callback's copy.value");
  }

 private:
  Environment& env_;
  napi_ref reference_ = nullptr;
};

// Checks what JavaScript answered and moves or takes the reference that OpenSSL will get.
ossl::SslSessionPointer accept_answer(Environment& env, const Connection& connection, napi_value value,
                                      const CopyFlag& copy) {
  const napi_valuetype type = type_of(env, value);
  if (type == napi_null || type == napi_undefined) return nullptr;
  const auto handle = Handle::from(env, binding::TypeOf<SSL_SESSION>::info(), value);
  if (!handle) {
    throw Error(ErrorKind::kTypeError, "ERR_INVALID_RETURN_VALUE",
                "the get callback must answer an SSL_SESSION, null, undefined, or a promise of one of these");
  }
  // First of all, because reading it may run a getter, which may free the session.
  const bool give_away = copy.is_zero();
  auto* const session = static_cast<SSL_SESSION*>(handle->use());
  if (SSL_SESSION_get0_cipher(session) == nullptr) {
    throw Error(ErrorKind::kTypeError, "ERR_INVALID_RETURN_VALUE",
                "the get callback answered a session without a cipher, which cannot be resumed");
  }
  bind_to_context(session, *connection.context);
  if (give_away) {
    handle->give_away();
  } else {
    SSL_SESSION_up_ref(session);
  }
  return ossl::SslSessionPointer(session);
}

class LookupSettlement final : public Settlement {
 public:
  LookupSettlement(std::shared_ptr<Connection> connection, std::shared_ptr<Lookup> lookup,
                   std::unique_ptr<CopyFlag> copy)
      : Settlement(std::move(connection)), lookup_(std::move(lookup)), copy_(std::move(copy)) {}

  bool wanted() const override { return !lookup_->settled; }
  void fulfil(Environment& env, napi_value value) override {
    // Also for a lookup that has ended: a reference that was handed over does not come back.
    auto session = accept_answer(env, *connection_, value, *copy_);
    if (wanted()) connection_->answer(env, lookup_, std::move(session));
  }
  void fail(Environment& env) noexcept override { connection_->answer(env, lookup_, nullptr); }
  napi_value copy() const { return copy_->object(); }

 private:
  std::shared_ptr<Lookup> lookup_;
  std::unique_ptr<CopyFlag> copy_;
};

class CertSettlement final : public Settlement {
 public:
  CertSettlement(std::shared_ptr<Connection> connection, std::shared_ptr<CertQuestion> question)
      : Settlement(std::move(connection)), question_(std::move(question)) {}

  bool wanted() const override { return !question_->settled; }
  void fulfil(Environment& env, napi_value value) override {
    const bool accepted = truth(env, value, true, "what the certificate callback answers");
    if (wanted()) connection_->answer(env, question_, accepted);
  }
  void fail(Environment& env) noexcept override { connection_->answer(env, question_, false); }

 private:
  std::shared_ptr<CertQuestion> question_;
};

class RefusedPromise final : public Settlement {
 public:
  using Settlement::Settlement;
  bool wanted() const override { return false; }
  void fulfil(Environment&, napi_value) override {}
  void fail(Environment&) noexcept override {}
};

// Asks a callback whose answer may come at once or by a promise. Throws what it throws, after counting it as no answer.
template <class... Values>
void ask(Environment& env, napi_value function, const std::shared_ptr<Settlement>& settlement, bool synchronous,
         Values... values) {
  try {
    napi_value result = call(env, function, values...);
    napi_value then = then_of(env, result);
    if (then == nullptr) {
      settlement->fulfil(env, result);
      return;
    }
    if (synchronous) {
      // Its rejection is not to be an unhandled one: the error is this one.
      settle_later(env, result, then, std::make_shared<RefusedPromise>(settlement->connection()));
      throw Error(ErrorKind::kError, "ERR_SYNC_ANSWER_REQUIRED",
                  "the callback answered a promise, but there are no async jobs to pause the handshake with");
    }
    settle_later(env, result, then, settlement);
  } catch (const Error& error) {
    // The callback may have freed the connection, which ended the question: then nobody wants to know.
    if (!settlement->wanted()) return;
    if (settlement->connection()->driven_elsewhere()) {
      settlement->reject(env, take_exception(env, &error), true);
      return;
    }
    settlement->fail(env);
    throw;
  } catch (const Pending&) {
    if (settlement->wanted()) settlement->fail(env);
    throw;
  }
}

}  // namespace

void bind_to_context(SSL_SESSION* session, const Context& context) {
  const uint64_t home = ossl::home_of(session);
  if (home != 0 && home != context.serial) {
    throw Error(ErrorKind::kError, "ERR_WRONG_CONTEXT",
                "this SSL_SESSION belongs to another SSL_CTX, and one session can be linked into one context only: use "
                "a copy made by SSL_SESSION_dup()");
  }
  ossl::set_home(session, context.serial);
}

void seen_in_context(SSL_SESSION* session, const Context& context) noexcept {
  if (ossl::home_of(session) == 0) ossl::set_home(session, context.serial);
}

// --- Events ---------------------------------------------------------------------------------------------------------

namespace {

// Whoever drives the connection may wait for JavaScript to have heard of its session, whatever came of that.
class Telling {
 public:
  explicit Telling(const Connection& connection) : driver_(connection.driver()) {}
  ~Telling() {
    if (driver_) driver_->told_of_session();
  }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;

 private:
  const std::shared_ptr<Driver> driver_;
};

}  // namespace

void NewEvent::deliver(Environment& env) {
  const Telling telling(*connection_);
  napi_value function = connection_->context->callback(env, Slot::kNew);
  if (function == nullptr) return;
  const auto handle = binding::adopt(env, session_.release());
  bool keep = false;
  try {
    keep = truth(env, call(env, function, connection_->object(env), handle->object()), false,
                 "what the new callback answers");
  } catch (...) {
    if (handle->owns()) handle->release();
    throw;
  }
  // A callback that has given the reference back itself has left nothing to release.
  if (!keep && handle->owns()) handle->release();
}

RemoveEvent::RemoveEvent(std::shared_ptr<Context> context, SSL_SESSION* session)
    : context_(std::move(context)), session_(session) {
  SSL_SESSION_up_ref(session);
}

void RemoveEvent::deliver(Environment& env) {
  napi_value function = context_->callback(env, Slot::kRemove);
  if (function == nullptr) return;
  const auto handle = Handle::find_or_create(env, binding::TypeOf<SSL_SESSION>::info(), session_.get());
  handle->begin_loan();
  try {
    call(env, function, context_->object(env), handle->object());
  } catch (...) {
    handle->end_loan();
    throw;
  }
  handle->end_loan();
}

void GetEvent::deliver(Environment& env) {
  if (lookup_->settled) return;
  napi_value function = connection_->context->callback(env, Slot::kGet);
  if (function == nullptr) {
    connection_->answer(env, lookup_, nullptr);
    return;
  }
  const auto settlement = std::make_shared<LookupSettlement>(connection_, lookup_, std::make_unique<CopyFlag>(env));
  ask(env, function, settlement, lookup_->synchronous, connection_->object(env),
      binding::to_js(env, binding::Octets(lookup_->id)), settlement->copy());
}

void KeylogEvent::deliver(Environment& env) {
  napi_value function = context_->callback(env, Slot::kKeylog);
  if (function != nullptr) call(env, function, connection_->object(env), binding::to_js(env, line_));
}

void CertEvent::deliver(Environment& env) {
  if (question_->settled) return;
  napi_value function = context_->callback(env, Slot::kCert);
  if (function == nullptr) {
    connection_->answer(env, question_, true);
    return;
  }
  ask(env, function, std::make_shared<CertSettlement>(connection_, question_), false, connection_->object(env));
}

}  // namespace session
