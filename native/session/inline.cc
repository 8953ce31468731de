// Inline connections: an SSL that JavaScript drives itself, over memory BIOs, on its own thread. Handshakes pause while
// a callback's answer is awaited, and go on when the same function is called again.
#include <algorithm>

#include "session/addon_environment.h"
#include "session/events.h"
#include "session/tables.h"
#include "session/trampolines.h"

namespace session {

namespace {

using binding::Borrowed;
using binding::Bytes;
using binding::define;
using binding::Environment;
using binding::Error;
using binding::ErrorKind;
using binding::MutableBytes;
using binding::NullableRef;
using binding::Owned;
using binding::Ref;

void require_inline(const Connection& connection) {
  if (connection.driven_elsewhere()) {
    throw Error(ErrorKind::kError, "ERR_ENGINE_OWNED",
                "a thread of the engine drives this SSL: JavaScript can ask it, but not drive or reset it");
  }
}

// --- Driving --------------------------------------------------------------------------------------------------------

// Marks a connection as inside OpenSSL, and keeps it there until the end: callbacks may free it meanwhile.
class Busy {
 public:
  explicit Busy(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {
    if (connection_->busy) {
      throw Error(ErrorKind::kError, "ERR_SSL_BUSY", "this SSL is inside a call already: its callback cannot drive it");
    }
    connection_->busy = true;
    SSL_up_ref(connection_->ssl());
    ssl_.reset(connection_->ssl());
  }
  ~Busy() { connection_->busy = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::shared_ptr<Connection> connection_;
  ossl::SslPointer ssl_;
};

// With a get callback, everything that may run a handshake runs on a fibre.
bool on_fibre(Environment& env, const Connection& connection) {
  if (AddonEnvironment::of(env).async() && connection.context->has(Slot::kGet)) {
    SSL_set_mode(connection.ssl(), SSL_MODE_ASYNC);
  }
  return (SSL_get_mode(connection.ssl()) & SSL_MODE_ASYNC) != 0;
}

// Whether a call that has brought something can be made again as if it had not; else the next one throws instead.
enum class Repeatable { kYes, kNo };

// Calls `step` until it has a result or waits for an answer that JavaScript does not have yet.
template <class Step>
int drive(Environment& env, const Ref<SSL>& ssl, Step step, Repeatable repeatable = Repeatable::kYes) {
  const std::shared_ptr<Connection> connection = Connection::of(ssl.pointer);
  require_inline(*connection);
  connection->throw_deferred(env);
  on_fibre(env, *connection);
  for (;;) {
    // Still paused: OpenSSL's own state says so too.
    if (connection->waiting() && !connection->busy) return -1;
    int result = 0;
    {
      const Busy busy(connection);
      result = step(ssl.pointer);
    }
    if (connection->ssl() == nullptr || !ssl.handle->alive()) return -1;
    // The context that was switched to asks nobody again.
    if (connection->certificate && connection->certificate->answered) connection->certificate.reset();
    if (repeatable == Repeatable::kYes || result <= 0) connection->throw_deferred(env);
    if (!connection->waiting()) return result;
    env.settle();
    if (!ssl.handle->alive() || connection->waiting()) return -1;
  }
}

int do_handshake(Environment& env, Ref<SSL> ssl) { return drive(env, ssl, SSL_do_handshake); }
int accept_handshake(Environment& env, Ref<SSL> ssl) { return drive(env, ssl, SSL_accept); }
int connect_handshake(Environment& env, Ref<SSL> ssl) { return drive(env, ssl, SSL_connect); }

using Reader = int (*)(SSL*, void*, int);

template <Reader Read>
int read(Environment& env, Ref<SSL> ssl, MutableBytes out) {
  const int size = static_cast<int>(std::min<size_t>(out.size, INT32_MAX));
  const std::shared_ptr<Connection> connection = Connection::of(ssl.pointer);
  if (!on_fibre(env, *connection)) {
    return drive(env, ssl, [&](SSL* s) { return Read(s, out.data, size); });
  }
  // A fibre may still write to its buffer when the caller's is gone, so it gets one of the connection's own.
  auto& buffer = connection->read_buffer;
  if (SSL_waiting_for_async(ssl.pointer) != 1) {
    buffer.resize(static_cast<size_t>(size));
  } else if (buffer.size() > out.size) {
    binding::out_of_range(1, "at least as long as the buffer of the read that was paused");
  }
  const int result = drive(env, ssl, [&](SSL* s) { return Read(s, buffer.data(), static_cast<int>(buffer.size())); });
  // What a paused write left to be finished here counts other bytes than these.
  if (result > 0) out.fill(env, buffer.data(), std::min({static_cast<size_t>(result), buffer.size(), out.size}));
  return result;
}

int write(Environment& env, Ref<SSL> ssl, Bytes data) {
  const int size = static_cast<int>(std::min<size_t>(data.size, INT32_MAX));
  const std::shared_ptr<Connection> connection = Connection::of(ssl.pointer);
  if (!on_fibre(env, *connection)) {
    return drive(env, ssl, [&](SSL* s) { return SSL_write(s, data.data, size); });
  }
  auto& buffer = connection->write_buffer;
  if (SSL_waiting_for_async(ssl.pointer) != 1) buffer.assign(data.data, data.data + size);
  return drive(env, ssl, [&](SSL* s) { return SSL_write(s, buffer.data(), static_cast<int>(buffer.size())); });
}

napi_value read_early_data(Environment& env, Ref<SSL> ssl, MutableBytes out) {
  size_t bytes = 0;
  const std::shared_ptr<Connection> connection = Connection::of(ssl.pointer);
  auto& buffer = connection->read_buffer;
  if (SSL_waiting_for_async(ssl.pointer) != 1) {
    buffer.resize(out.size);
  } else if (buffer.size() > out.size) {
    binding::out_of_range(1, "at least as long as the buffer of the read that was paused");
  }
  const auto read = [&](SSL* s) { return SSL_read_early_data(s, buffer.data(), buffer.size(), &bytes); };
  const int status = drive(env, ssl, read, Repeatable::kNo);
  if (status == SSL_READ_EARLY_DATA_SUCCESS) out.fill(env, buffer.data(), bytes);
  napi_value result = nullptr;
  binding::check(napi_create_object(env.env(), &result));
  // A handshake that waits for an answer is, to this function, an error to be retried (SSL_get_error tells).
  binding::set(env, result, "status", status < 0 ? SSL_READ_EARLY_DATA_ERROR : status);
  // On a fibre, a call that reads nothing leaves the count of an earlier one.
  binding::set(env, result, "bytes", status == SSL_READ_EARLY_DATA_SUCCESS ? bytes : 0);
  return result;
}

napi_value write_early_data(Environment& env, Ref<SSL> ssl, Bytes data) {
  size_t written = 0;
  const int ok = drive(env, ssl, [&](SSL* s) { return SSL_write_early_data(s, data.data, data.size, &written); });
  napi_value result = nullptr;
  binding::check(napi_create_object(env.env(), &result));
  binding::set(env, result, "ok", ok < 0 ? 0 : ok);
  binding::set(env, result, "written", ok == 1 ? written : 0);
  return result;
}

// --- Life -----------------------------------------------------------------------------------------------------------

Owned<SSL> new_connection(Ref<SSL_CTX> ctx) {
  ossl::SslPointer ssl(SSL_new(ctx.pointer));
  if (ssl) Connection::attach(ssl.get(), nullptr);
  return {ssl.release()};
}

napi_value new_ssl(Environment& env, Ref<SSL_CTX> ctx) {
  const Owned<SSL> ssl = new_connection(ctx);
  if (ssl.pointer == nullptr) return binding::null(env);
  const auto handle = binding::adopt(env, ssl.pointer);
  // The context's JavaScript object holds the callbacks.
  handle->retain(binding::Handle::Edge::kContext, ctx.handle->object());
  return handle->object();
}

// Before the handshake's state is reset: a fibre in the middle of it would go on in what is no longer there.
void stop_handshake(Environment& env, const Ref<SSL>& ssl) {
  const auto& connection = Connection::of(ssl.pointer);
  require_inline(*connection);
  if (connection->busy) {
    throw Error(ErrorKind::kError, "ERR_SSL_BUSY", "this SSL is inside a call already: its callback cannot reset it");
  }
  connection->abandon(env);
}

int clear(Environment& env, Ref<SSL> ssl) {
  stop_handshake(env, ssl);
  const int result = SSL_clear(ssl.pointer);
  ssl.handle->end_loans_given(binding::TypeOf<SSL_SESSION>::info());
  return result;
}

// The BIOs become the connection's; the application can use them as long as that lives.
void set_bio(Ref<SSL> ssl, NullableRef<BIO> rbio, NullableRef<BIO> wbio) {
  require_inline(*Connection::of(ssl.pointer));
  BIO* const old_rbio = SSL_get_rbio(ssl.pointer);
  BIO* const old_wbio = SSL_get_wbio(ssl.pointer);
  // Which references OpenSSL takes over is as SSL_set_bio(3) tells: none for what stays, one where both are the same.
  const bool same = rbio.pointer == wbio.pointer;
  const bool keeps_rbio = rbio.pointer == old_rbio;
  const bool keeps_wbio = wbio.pointer == old_wbio && (keeps_rbio || old_rbio != old_wbio);
  const bool takes_rbio = rbio.handle && !keeps_rbio && !(same && keeps_wbio);
  const bool takes_wbio = wbio.handle && !keeps_wbio && !same;
  if (takes_rbio) rbio.handle->require_owned();
  if (takes_wbio) wbio.handle->require_owned();
  for (const auto* bio : {&rbio, &wbio}) {
    if (bio->handle) bio->handle->borrow_from(*ssl.handle);
  }
  if (takes_rbio) rbio.handle->give_away();
  if (takes_wbio) wbio.handle->give_away();
  SSL_set_bio(ssl.pointer, rbio.pointer, wbio.pointer);
}

// --- Sessions of a connection ---------------------------------------------------------------------------------------

// OpenSSL looks into the session all through a handshake and after it, and would find another or none.
int set_session(SSL* ssl, binding::Nullable<SSL_SESSION> session) {
  if (!SSL_in_before(ssl)) {
    throw Error(ErrorKind::kError, "ERR_SSL_BUSY", "a session can be set only before the handshake begins");
  }
  return SSL_set_session(ssl, session.pointer);
}

Borrowed<SSL_SESSION> borrowed_session(Ref<SSL> ssl) {
  SSL_SESSION* const session = SSL_get0_session(ssl.pointer);
  if (session != nullptr) seen_in_context(session, *Connection::of(ssl.pointer)->context);
  return {session, ssl.handle};
}

Owned<SSL_SESSION> owned_session(SSL* ssl) {
  SSL_SESSION* const session = SSL_get1_session(ssl);
  if (session != nullptr) seen_in_context(session, *Connection::of(ssl)->context);
  return {session};
}

constexpr binding::Function kInlineFunctions[] = {
    define<&new_ssl>("SSL_new"),
    define("SSL_free",
           [](NullableRef<SSL> ssl) {
             if (ssl.handle) ssl.handle->release();
           }),
    define<&clear>("SSL_clear"),
    define<&set_bio>("SSL_set_bio"),
    define("SSL_set_accept_state",
           [](Environment& env, Ref<SSL> ssl) {
             stop_handshake(env, ssl);
             SSL_set_accept_state(ssl.pointer);
           }),
    define("SSL_set_connect_state",
           [](Environment& env, Ref<SSL> ssl) {
             stop_handshake(env, ssl);
             SSL_set_connect_state(ssl.pointer);
           }),
    define<&do_handshake>("SSL_do_handshake"),
    define<&accept_handshake>("SSL_accept"),
    define<&connect_handshake>("SSL_connect"),
    define<&read<SSL_read>>("SSL_read"),
    define<&read<SSL_peek>>("SSL_peek"),
    define<&write>("SSL_write"),
    define<&read_early_data>("SSL_read_early_data"),
    define<&write_early_data>("SSL_write_early_data"),
    define("SSL_shutdown", [](Environment& env, Ref<SSL> ssl) { return drive(env, ssl, SSL_shutdown); }),
    define("SSL_waiting_session",
           [](Environment& env, SSL* ssl) {
             require_inline(*Connection::of(ssl));
             return Connection::of(ssl)->wait(env);
           }),
    define<&set_session>("SSL_set_session"),
    define<&borrowed_session>("SSL_get_session"),
    define<&borrowed_session>("SSL_get0_session"),
    define<&owned_session>("SSL_get1_session"),
};

}  // namespace

std::span<const binding::Function> inline_functions() { return kInlineFunctions; }

}  // namespace session
