// The engine's functions for lib/engine.ts. Connections, listeners and profiles are named by number: what is gone is
// null or does nothing.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bind/convert.h"
#include "engine/addresses.h"
#include "engine/engine.h"

namespace engine {

namespace {

using binding::Bytes;
using binding::Callback;
using binding::define;
using binding::Environment;
using binding::Ref;

session::AddonEnvironment& addon(Environment& env) { return session::AddonEnvironment::of(env); }

// The first handler stays.
void set_up(Environment& env, Callback handler) {
  if (handler.value == nullptr) binding::wrong_type(0, "a function");
  if (!addon(env).extension) addon(env).extension = std::make_shared<Engine>(addon(env), handler.value);
}

void start(Environment& env, int threads) {
  if (threads < 1 || threads > static_cast<int>(kMaxThreads)) binding::out_of_range(0, "between 1 and 1024");
  Engine::of(env).start(threads);
}

void stop(Environment& env) { Engine::of(env).stop(); }

void settle(Environment& env) { Engine::of(env).settle(); }

void keep_alive(Environment& env, int on) { addon(env).mailbox()->keep_alive(on != 0); }

int listen_on(int fd, int backlog) { return ::listen(fd, backlog) == 0 ? 0 : system_error(); }

void close_descriptor(int fd) { ::close(fd); }

// A property of an options object as a number, `otherwise` where it is absent.
template <class T>
T option(Environment& env, napi_value object, const char* name, T otherwise = {}) {
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;
  binding::check(napi_get_named_property(env.env(), object, name, &value));
  binding::check(napi_typeof(env.env(), value, &type));
  return type == napi_undefined ? otherwise : binding::FromJs<T>::from(env, value, 0);
}

ConnectionSettings settings_of(Environment& env, binding::Object object) {
  napi_value options = object.value;
  ConnectionSettings settings;
  settings.handshake_timeout = option<uint64_t>(env, options, "handshakeTimeout");
  settings.lookup_timeout = option<uint64_t>(env, options, "lookupTimeout");
  settings.verify_mode = option<int>(env, options, "verifyMode");
  settings.ssl_options = option<uint64_t>(env, options, "options");
  settings.no_delay = option<int>(env, options, "noDelay") != 0;
  settings.keep_alive = option<int>(env, options, "keepAlive") != 0;
  settings.keep_alive_delay = option<int>(env, options, "keepAliveDelay");
  settings.threads = option<size_t>(env, options, "threads", kMaxThreads);
  settings.announce = option<int>(env, options, "announce") != 0;
  settings.stores = option<int>(env, options, "stores") != 0;
  const auto protocols = option<std::optional<Bytes>>(env, options, "alpnProtocols");
  if (protocols) {
    settings.alpn_protocols =
        std::make_shared<const std::vector<unsigned char>>(protocols->data, protocols->data + protocols->size);
  }
  settings.hold_sessions = option<int>(env, options, "holdSessions") != 0;
  settings.max_early_data = option<uint32_t>(env, options, "maxEarlyData");
  return settings;
}

uint64_t listen(Environment& env, int fd, Ref<SSL_CTX> ctx, binding::Object options) {
  return Engine::of(env).listen(Descriptor(fd), ctx.pointer, settings_of(env, options));
}

uint64_t configure(Environment& env, uint64_t listener, Ref<SSL_CTX> ctx, binding::Object options) {
  return Engine::of(env).configure(listener, ctx.pointer, settings_of(env, options));
}

void close_listener(Environment& env, uint64_t listener) {
  if (const auto found = Engine::of(env).listener(listener)) found->stop();
}

// 0 is none at all, a negative number no limit.
void limit_connections(Environment& env, uint64_t listener, int64_t limit) {
  if (const auto found = Engine::of(env).listener(listener)) {
    found->limit = limit < 0 ? SIZE_MAX : static_cast<size_t>(limit);
  }
}

napi_value counts(Environment& env, uint64_t listener) {
  const auto found = Engine::of(env).listener(listener);
  if (!found) return binding::null(env);
  napi_value result = nullptr;
  binding::check(napi_create_object(env.env(), &result));
  binding::set(env, result, "open", found->open.load());
  binding::set(env, result, "accepted", found->accepted.load());
  binding::set(env, result, "dropped", found->dropped.load());
  return result;
}

napi_value loads(Environment& env) {
  napi_value result = nullptr;
  uint32_t index = 0;
  binding::check(napi_create_array(env.env(), &result));
  for (const size_t load : Engine::of(env).loads()) {
    binding::check(napi_set_element(env.env(), result, index++, binding::to_js(env, load)));
  }
  return result;
}

// The SSL and its connected socket, of which the engine takes a descriptor of its own. `received` has come from it
// already; a client begins with `early` data. A negative number is an error of the system.
int64_t adopt(Environment& env, Ref<SSL> ssl, int fd, Bytes received, Bytes early, binding::Object options) {
  const auto& state = session::Connection::of(ssl.pointer);
  if (state->driven_elsewhere() || state->busy || SSL_in_before(ssl.pointer) == 0) {
    throw binding::Error(binding::ErrorKind::kError, "ERR_SSL_BUSY", "this SSL has begun its handshake already");
  }
  ssl.handle->require_owned();
  Descriptor own(take_descriptor(fd));
  if (own.get() < 0) return own.release();
  const auto id =
      Engine::of(env).adopt(ssl.handle, ssl.pointer, std::move(own), {received, early}, settings_of(env, options));
  // The engine has a reference and lends it.
  ssl.handle->release();
  return static_cast<int64_t>(id);
}

// Where it returns 0, the bytes stay where they are until JavaScript is told that they are written; it keeps the
// Buffers.
int write(Environment& env, uint64_t id, binding::Object array, int ahead) {
  napi_value chunks = array.value;
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return 0;
  uint32_t count = 0;
  binding::check(napi_get_array_length(env.env(), chunks, &count));
  std::vector<Bytes> list;
  list.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value chunk = nullptr;
    binding::check(napi_get_element(env.env(), chunks, i, &chunk));
    list.push_back(binding::FromJs<Bytes>::from(env, chunk, 1));
  }
  return connection->write(list, ahead != 0) ? 1 : 0;
}

// `taken` says that nobody else has the session.
int answer(Environment& env, uint64_t id, Bytes session, std::optional<Bytes> der, int taken) {
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return static_cast<int>(Reception::kUnwanted);
  const binding::Octets octets(session.data, session.data + session.size);
  return static_cast<int>(connection->answer_lookup(octets, der, taken != 0));
}

void consumed(Environment& env, uint64_t id, size_t bytes) {
  if (const auto connection = Engine::of(env).connection(id)) connection->consumed(bytes);
}

void hold(Environment& env, uint64_t id, int on) {
  if (const auto connection = Engine::of(env).connection(id)) connection->hold(on != 0);
}

int finish(Environment& env, uint64_t id) {
  const auto connection = Engine::of(env).connection(id);
  return connection && connection->finish() ? 1 : 0;
}

void destroy(Environment& env, uint64_t id, int ending) {
  if (ending < 0 || ending > static_cast<int>(Ending::kGoodbye)) binding::out_of_range(1, "0, 1 or 2");
  if (const auto connection = Engine::of(env).connection(id)) connection->destroy(static_cast<Ending>(ending));
}

// What is closed from now on is reset: the peer gets an error instead of an end.
void reset(Environment& env, uint64_t id) {
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return;
  const std::lock_guard lock(connection->mutex());
  const linger at_once{1, 0};
  setsockopt(connection->descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

napi_value ssl_of(Environment& env, uint64_t id) {
  const auto connection = Engine::of(env).connection(id);
  return connection ? connection->object(env) : binding::null(env);
}

// [connection, profile] of an SSL that lives here; null for others, and when it is gone.
napi_value owner_of(Environment& env, binding::Object ssl) {
  const auto handle = binding::Handle::from(env, binding::TypeOf<SSL>::info(), ssl.value);
  if (!handle || !handle->alive()) return binding::null(env);
  const auto driver = session::Connection::of(static_cast<const SSL*>(handle->use()))->driver();
  if (!driver) return binding::null(env);
  const auto& connection = static_cast<const Connection&>(*driver);
  napi_value result = nullptr;
  binding::check(napi_create_array(env.env(), &result));
  binding::check(napi_set_element(env.env(), result, 0, binding::to_js(env, connection.id)));
  binding::check(napi_set_element(env.env(), result, 1, binding::to_js(env, connection.profile().id)));
  return result;
}

template <AddressOf Get>
napi_value address_of_descriptor(Environment& env, int fd) {
  return address_object(env, address_of<Get>(fd));
}

template <AddressOf Get>
napi_value address_of_connection(Environment& env, uint64_t id) {
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return binding::null(env);
  const std::lock_guard lock(connection->mutex());
  return address_object(env, address_of<Get>(connection->descriptor()));
}

int set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : system_error();
}

int set_no_delay(Environment& env, uint64_t id, int on) {
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return -EBADF;
  const std::lock_guard lock(connection->mutex());
  return set_option(connection->descriptor(), IPPROTO_TCP, TCP_NODELAY, on);
}

// `delay` in seconds; 0 leaves the system's.
int set_keep_alive(Environment& env, uint64_t id, int on, int delay) {
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return -EBADF;
  const std::lock_guard lock(connection->mutex());
  const int error = set_option(connection->descriptor(), SOL_SOCKET, SO_KEEPALIVE, on);
  if (error != 0 || on == 0 || delay == 0) return error;
  return set_option(connection->descriptor(), IPPROTO_TCP, TCP_KEEPIDLE, delay);
}

constexpr binding::Function kFunctions[] = {
    define<&set_up>("setUp"),
    define<&start>("start"),
    define<&stop>("stop"),
    define<&settle>("settle"),
    define<&keep_alive>("keepAlive"),
    define<&loads>("loads"),
    define<&bind_tcp>("bindTcp"),
    define("bindPath", [](std::string path) { return bind_path(path); }),
    define<&take_descriptor>("takeDescriptor"),
    define<&listen_on>("listenOn"),
    define<&close_descriptor>("closeDescriptor"),
    define<&address_of_descriptor<getsockname>>("descriptorAddress"),
    define<&listen>("listen"),
    define<&configure>("configure"),
    define<&close_listener>("closeListener"),
    define<&limit_connections>("limitConnections"),
    define<&counts>("counts"),
    define("closeConnections",
           [](Environment& env, uint64_t listener) { Engine::of(env).close_connections(listener); }),
    define("forgetListener", [](Environment& env, uint64_t listener) { Engine::of(env).forget_listener(listener); }),
    define<&adopt>("adopt"),
    define<&answer>("answer"),
    define<&write>("write"),
    define<&consumed>("consumed"),
    define<&hold>("hold"),
    define<&finish>("finish"),
    define<&destroy>("destroy"),
    define<&reset>("reset"),
    define<&ssl_of>("ssl"),
    define<&owner_of>("owner"),
    define<&address_of_connection<getsockname>>("localAddress"),
    define<&address_of_connection<getpeername>>("remoteAddress"),
    define<&set_no_delay>("setNoDelay"),
    define<&set_keep_alive>("setKeepAlive"),
};

}  // namespace

std::span<const binding::Function> functions() { return kFunctions; }

}  // namespace engine
