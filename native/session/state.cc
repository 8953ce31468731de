#include "session/state.h"

#include <utility>

#include "bind/convert.h"
#include "openssl/error_queue.h"
#include "session/trampolines.h"

namespace session {

// ex_data slots that own a shared_ptr. OpenSSL frees them together with the object, on whatever thread that happens.
template <class State>
static void free_slot(void*, void* pointer, CRYPTO_EX_DATA*, int, long, void*) noexcept {
  delete static_cast<std::shared_ptr<State>*>(pointer);
}

struct ContextSlot {
  static int index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_slot<Context>);
    return index;
  }
};

struct ConnectionSlot {
  static void on_free(void* parent, void* pointer, CRYPTO_EX_DATA* data, int index, long argl, void* argp) noexcept {
    if (pointer != nullptr) (*static_cast<std::shared_ptr<Connection>*>(pointer))->ssl_ = nullptr;
    free_slot<Connection>(parent, pointer, data, index, argl, argp);
  }

  static int index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, on_free);
    return index;
  }
};

static binding::Error out_of_memory() {
  return {binding::ErrorKind::kError, "ERR_MEMORY_ALLOCATION_FAILED", "OpenSSL could not attach the callbacks' state"};
}

// --- Context --------------------------------------------------------------------------------------------------------

std::shared_ptr<Context> Context::attach(std::shared_ptr<Mailbox> mailbox, SSL_CTX* ctx) {
  auto context = std::make_shared<Context>(std::move(mailbox), ctx);
  auto slot = std::make_unique<std::shared_ptr<Context>>(context);
  if (SSL_CTX_set_ex_data(ctx, ContextSlot::index(), slot.get()) != 1) throw out_of_memory();
  static_cast<void>(slot.release());
  return context;
}

std::shared_ptr<Context>* Context::slot(const SSL_CTX* ctx) {
  return static_cast<std::shared_ptr<Context>*>(SSL_CTX_get_ex_data(ctx, ContextSlot::index()));
}

namespace {

// Installs or takes out the trampoline of a slot.
void install(SSL_CTX* ctx, Slot slot, bool on) {
  switch (slot) {
    case Slot::kNew:
      SSL_CTX_sess_set_new_cb(ctx, on ? new_trampoline : nullptr);
      break;
    case Slot::kRemove:
      SSL_CTX_sess_set_remove_cb(ctx, on ? remove_trampoline : nullptr);
      break;
    case Slot::kGet:
      SSL_CTX_sess_set_get_cb(ctx, on ? get_trampoline : nullptr);
      break;
    case Slot::kKeylog:
      SSL_CTX_set_keylog_callback(ctx, on ? keylog_trampoline : nullptr);
      break;
    case Slot::kCert:
      SSL_CTX_set_cert_cb(ctx, on ? cert_trampoline : nullptr, Context::slot(ctx));
      break;
  }
}

// References that a context leaves behind, on their way to the only thread that may delete them.
class ForgetEvent final : public Event {
 public:
  explicit ForgetEvent(const std::array<napi_ref, kSlots>& references) : references_(references) {}
  void deliver(binding::Environment& env) override { forget(env, references_); }

  static void forget(binding::Environment& env, const std::array<napi_ref, kSlots>& references) {
    for (napi_ref reference : references) {
      if (reference != nullptr) napi_delete_reference(env.env(), reference);
    }
  }

 private:
  const std::array<napi_ref, kSlots> references_;
};

}  // namespace

Context::~Context() {
  if (!mailbox->on_environment_thread()) {
    mailbox->push(std::make_unique<ForgetEvent>(callbacks_));
  } else if (binding::Environment* const env = mailbox->environment()) {
    ForgetEvent::forget(*env, callbacks_);
  }
}

void Context::set_callback(binding::Environment& env, binding::Handle& handle, Slot slot, napi_value function) {
  const auto index = static_cast<uint32_t>(slot);
  const bool wanted = function != nullptr;
  // OpenSSL looks for a keylog callback before each line: one that comes late is a pointer where there was none.
  if (wanted && !installed_.at(index) && slot != Slot::kKeylog) {
    env.require_exclusive(binding::TypeOf<SSL_CTX>::info(), handle.use());
  }
  napi_ref& reference = callbacks_.at(index);
  napi_ref fresh = nullptr;
  if (function != nullptr) binding::check(napi_create_reference(env.env(), function, 0, &fresh));

  napi_value functions = handle.retained(binding::Handle::Edge::kCallbacks);
  if (functions == nullptr) {
    binding::check(napi_create_array(env.env(), &functions));
    handle.retain(binding::Handle::Edge::kCallbacks, functions);
  }
  binding::check(napi_set_element(env.env(), functions, index, function != nullptr ? function : binding::null(env)));

  if (reference != nullptr) napi_delete_reference(env.env(), reference);
  reference = fresh;
  wanted_.at(index) = wanted;
  // One that other threads might be calling stays, and finds nothing to do.
  if (wanted == installed_.at(index) || (!wanted && users > 0)) return;
  install(static_cast<SSL_CTX*>(handle.use()), slot, wanted);
  installed_.at(index) = wanted;
}

void Context::reserve(SSL_CTX* ctx) {
  if (users > 0) return;
  // With a remove callback, servers put sessions of TLS 1.3 into an internal cache that else has none of them.
  const bool caches = (SSL_CTX_get_session_cache_mode(ctx) & SSL_SESS_CACHE_NO_INTERNAL_STORE) == 0;
  for (const Slot slot : {Slot::kNew, Slot::kGet, Slot::kCert, Slot::kRemove}) {
    bool& installed = installed_.at(static_cast<size_t>(slot));
    if (installed || (slot == Slot::kRemove && caches)) continue;
    install(ctx, slot, true);
    installed = true;
  }
  select_alpn(ctx);
  take_tickets(ctx);
}

void Context::set_alpn_protocols(SSL_CTX* ctx, AlpnProtocols protocols) {
  alpn_protocols_ = std::move(protocols);
  if (alpn_protocols_) select_alpn(ctx);
}

void Context::select_alpn(SSL_CTX* ctx) {
  if (std::exchange(selects_alpn_, true)) return;
  SSL_CTX_set_alpn_select_cb(ctx, alpn_trampoline, slot(ctx));
}

void Context::set_ticket_ring(SSL_CTX* ctx, std::shared_ptr<const TicketRing> ring) {
  {
    const std::lock_guard lock(ring_mutex_);
    ring_.swap(ring);
  }
  take_tickets(ctx);
}

std::shared_ptr<const TicketRing> Context::ticket_ring() const {
  const std::lock_guard lock(ring_mutex_);
  return ring_;
}

std::shared_ptr<const TicketRing> Context::ticket_keys() const {
  auto ring = ticket_ring();
  return ring ? ring : TicketRing::own(address_);
}

void Context::take_tickets(SSL_CTX* ctx) {
  if (!std::exchange(takes_tickets_, true)) ossl::compat::set_ticket_key_callback(ctx, ticket_key_trampoline);
}

napi_value Context::callback(binding::Environment& env, Slot slot) const {
  napi_ref reference = callbacks_.at(static_cast<size_t>(slot));
  napi_value function = nullptr;
  if (reference != nullptr) binding::check(napi_get_reference_value(env.env(), reference, &function));
  return function;
}

// An object by its address, when the serial says that it is still the same one.
template <class T>
static napi_value object_or_dead(binding::Environment& env, const T* address, uint64_t serial) {
  const auto found = env.handles.find(address);
  if (found != env.handles.end()) {
    const auto handle = found->second.lock();
    if (handle && handle->serial() == serial) {
      napi_value object = handle->object();
      if (object != nullptr) return object;
    }
  }
  return binding::Handle::create_dead(env, binding::TypeOf<T>::info());
}

napi_value Context::object(binding::Environment& env) const { return object_or_dead<SSL_CTX>(env, address_, serial); }

// --- Connection -----------------------------------------------------------------------------------------------------

std::shared_ptr<Connection> Connection::attach(SSL* ssl, std::shared_ptr<Driver> driver) {
  auto connection = std::make_shared<Connection>(Context::of(SSL_get_SSL_CTX(ssl)), ssl, std::move(driver));
  auto slot = std::make_unique<std::shared_ptr<Connection>>(connection);
  if (SSL_set_ex_data(ssl, ConnectionSlot::index(), slot.get()) != 1) throw out_of_memory();
  static_cast<void>(slot.release());
  return connection;
}

const std::shared_ptr<Connection>& Connection::of(const SSL* ssl) {
  return *static_cast<std::shared_ptr<Connection>*>(SSL_get_ex_data(ssl, ConnectionSlot::index()));
}

Connection::~Connection() {
  binding::Environment* const env = context->mailbox->environment();
  if (env != nullptr && exception_ != nullptr) napi_delete_reference(env->env(), exception_);
}

napi_value Connection::object(binding::Environment& env) const {
  const auto driver = driver_.lock();
  return driver ? driver->object(env) : object_or_dead<SSL>(env, address_, serial_);
}

napi_value Connection::wait(binding::Environment& env) {
  napi_ref resolve = nullptr;
  napi_value executor = nullptr;
  napi_value global = nullptr;
  napi_value constructor = nullptr;
  napi_value promise = nullptr;
  binding::check(napi_create_function(
      env.env(), "executor", NAPI_AUTO_LENGTH,
      [](napi_env raw, napi_callback_info info) -> napi_value {
        size_t count = 1;
        napi_value function = nullptr;
        void* reference = nullptr;
        napi_get_cb_info(raw, info, &count, &function, nullptr, &reference);
        napi_create_reference(raw, function, 1, static_cast<napi_ref*>(reference));
        return nullptr;
      },
      &resolve, &executor));
  binding::check(napi_get_global(env.env(), &global));
  binding::check(napi_get_named_property(env.env(), global, "Promise", &constructor));
  // Calls the executor before it returns.
  binding::check(napi_new_instance(env.env(), constructor, 1, &executor, &promise));
  if (resolve != nullptr) waiters_.push_back(resolve);
  if (!waiting()) wake_waiters(env);
  return promise;
}

void Connection::wake_waiters(binding::Environment& env) noexcept {
  std::vector<napi_ref> waiters;
  waiters.swap(waiters_);
  for (napi_ref reference : waiters) {
    napi_value resolve = nullptr;
    napi_value undefined = nullptr;
    // Fails while the environment is being torn down, when nobody is left to be told.
    if (napi_get_reference_value(env.env(), reference, &resolve) == napi_ok &&
        napi_get_undefined(env.env(), &undefined) == napi_ok) {
      napi_call_function(env.env(), undefined, resolve, 0, nullptr, nullptr);
    }
    napi_delete_reference(env.env(), reference);
  }
}

void Connection::unwind() noexcept {
  if (ssl_ == nullptr || busy) return;
  closing = true;
  if (lookup) lookup->answered = true;
  if (certificate) certificate->answered = true;
  if (SSL_waiting_for_async(ssl_) == 1) {
    const ossl::ErrorQueueKeeper errors;
    // The handshake is not to go on to its expensive part: nobody will read its answer.
    SSL_set_cert_cb(
        ssl_, [](SSL*, void*) { return 0; }, nullptr);
    SSL_do_handshake(ssl_);
    SSL_CTX* const certificates = SSL_get_SSL_CTX(ssl_);
    const bool asks = Context::of(certificates)->has(Slot::kCert);
    SSL_set_cert_cb(ssl_, asks ? cert_trampoline : nullptr, Context::slot(certificates));
  }
  lookup.reset();
  certificate.reset();
  closing = false;
}

void Connection::abandon(binding::Environment& env) noexcept {
  if (driven_elsewhere_ || busy) return;
  if (lookup) lookup->settled = true;
  if (certificate) certificate->settled = true;
  unwind();
  if (exception_ != nullptr) napi_delete_reference(env.env(), std::exchange(exception_, nullptr));
  wake_waiters(env);
}

void Connection::answer(binding::Environment& env, const std::shared_ptr<Lookup>& answered,
                        ossl::SslSessionPointer session) noexcept {
  answered->settled = true;
  if (driven_elsewhere_) {
    if (const auto driver = driver_.lock()) driver->answer(env, answered, std::move(session));
    return;
  }
  answered->answer = std::move(session);
  answered->answered = true;
  wake_waiters(env);
}

void Connection::answer(binding::Environment& env, const std::shared_ptr<CertQuestion>& question,
                        bool accepted) noexcept {
  question->settled = true;
  if (driven_elsewhere_) {
    if (const auto driver = driver_.lock()) driver->answer(question, accepted);
    return;
  }
  question->accepted = accepted;
  question->answered = true;
  wake_waiters(env);
}

void Connection::report(binding::Environment& env, napi_value exception) noexcept {
  if (driven_elsewhere_) {
    if (const auto driver = driver_.lock()) driver->report(env, exception);
    return;
  }
  // Only an object can be referenced: anything else is boxed in one.
  napi_value box = nullptr;
  if (napi_create_object(env.env(), &box) != napi_ok) return;
  if (napi_set_element(env.env(), box, 0, exception) != napi_ok) return;
  if (exception_ != nullptr) napi_delete_reference(env.env(), std::exchange(exception_, nullptr));
  napi_create_reference(env.env(), box, 1, &exception_);
}

void Connection::throw_deferred(binding::Environment& env) {
  if (exception_ == nullptr) return;
  napi_ref reference = std::exchange(exception_, nullptr);
  napi_value box = nullptr;
  napi_value exception = nullptr;
  const napi_status status = napi_get_reference_value(env.env(), reference, &box);
  napi_delete_reference(env.env(), reference);
  binding::check(status);
  binding::check(napi_get_element(env.env(), box, 0, &exception));
  binding::check(napi_throw(env.env(), exception));
  throw binding::Pending{};
}

}  // namespace session
