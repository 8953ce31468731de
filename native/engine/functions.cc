// The engine's functions for lib/engine.ts. Connections and listeners are named by number: what is gone is null or
// false.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bind/convert.h"
#include "engine/engine.h"

namespace engine {

namespace {

using binding::Bytes;
using binding::Callback;
using binding::define;
using binding::Environment;
using binding::Ref;

session::AddonEnvironment& addon(Environment& env) { return session::AddonEnvironment::of(env); }

void start(Environment& env, int threads, Callback handler) {
  if (threads < 1 || threads > 1024) binding::out_of_range(0, "between 1 and 1024");
  if (handler.value == nullptr) binding::wrong_type(1, "a function");
  if (!addon(env).extension) addon(env).extension = std::make_shared<Engine>(addon(env), threads, handler.value);
}

// Ends the threads; what still lives on them is closed.
void stop(Environment& env) { addon(env).extension.reset(); }

void keep_alive(Environment& env, int on) { addon(env).mailbox()->keep_alive(on != 0); }

// A result of a system call as Node's system errors have it: negative.
int system_error() { return -errno; }

// Binds a numeric address, an IPv6 one also for IPv4 unless `v6_only`; the descriptor, or the error.
int bind_tcp(const char* address, int port, int v6_only, int reuse_port) {
  sockaddr_storage storage{};
  const bool v6 = std::strchr(address, ':') != nullptr;
  const int error = v6 ? uv_ip6_addr(address, port, reinterpret_cast<sockaddr_in6*>(&storage))
                       : uv_ip4_addr(address, port, reinterpret_cast<sockaddr_in*>(&storage));
  if (error != 0) return error;
  Descriptor fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return system_error();
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (reuse_port != 0 && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) return system_error();
  if (v6 && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) != 0) return system_error();
  const socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) return system_error();
  return fd.release();
}

int bind_path(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) return -ENAMETOOLONG;
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return system_error();
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return system_error();
  return fd.release();
}

int take_descriptor(int fd) {
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return system_error();
  const int flags = fcntl(own, F_GETFL);
  if (flags < 0 || fcntl(own, F_SETFL, flags | O_NONBLOCK) != 0) {
    ::close(own);
    return system_error();
  }
  return own;
}

int listen_on(int fd, int backlog) { return ::listen(fd, backlog) == 0 ? 0 : system_error(); }

void close_descriptor(int fd) { ::close(fd); }

// A property of an options object as a number, 0 where it is absent.
template <class T>
T option(Environment& env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;
  binding::check(napi_get_named_property(env.env(), object, name, &value));
  binding::check(napi_typeof(env.env(), value, &type));
  return type == napi_undefined ? T{} : binding::FromJs<T>::from(env, value, 0);
}

ConnectionSettings settings_of(Environment& env, binding::Object object) {
  napi_value options = object.value;
  ConnectionSettings settings;
  settings.handshake_timeout = option<uint64_t>(env, options, "handshakeTimeout");
  settings.lookup_timeout = option<uint64_t>(env, options, "lookupTimeout");
  settings.verify_mode = option<int>(env, options, "verifyMode");
  settings.ssl_options = option<uint64_t>(env, options, "options");
  settings.no_delay = option<int>(env, options, "noDelay") != 0;
  return settings;
}

// Takes over `fd`, which is bound and listens.
uint64_t listen(Environment& env, int fd, Ref<SSL_CTX> ctx, binding::Object options) {
  SSL_CTX_up_ref(ctx.pointer);
  return Engine::of(env).listen(fd, ossl::SslCtxPointer(ctx.pointer), settings_of(env, options));
}

void set_context(Environment& env, uint64_t listener, Ref<SSL_CTX> ctx) {
  if (const auto found = Engine::of(env).listener(listener)) {
    SSL_CTX_up_ref(ctx.pointer);
    found->set_context(ossl::SslCtxPointer(ctx.pointer));
  }
}

void close_listener(Environment& env, uint64_t listener) {
  if (const auto found = Engine::of(env).listener(listener)) found->stop();
}

// The bytes stay where they are until JavaScript is told that they are written; it keeps the Buffers.
void write(Environment& env, uint64_t id, binding::Object array) {
  napi_value chunks = array.value;
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return;
  uint32_t count = 0;
  binding::check(napi_get_array_length(env.env(), chunks, &count));
  std::vector<Chunk> list;
  list.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value chunk = nullptr;
    binding::check(napi_get_element(env.env(), chunks, i, &chunk));
    const Bytes bytes = binding::FromJs<Bytes>::from(env, chunk, 1);
    list.push_back({bytes.data, bytes.size});
  }
  connection->write(std::move(list));
}

void consumed(Environment& env, uint64_t id, size_t bytes) {
  if (const auto connection = Engine::of(env).connection(id)) connection->consumed(bytes);
}

void finish(Environment& env, uint64_t id) {
  if (const auto connection = Engine::of(env).connection(id)) connection->finish();
}

void destroy(Environment& env, uint64_t id) {
  if (const auto connection = Engine::of(env).connection(id)) connection->destroy();
}

napi_value ssl_of(Environment& env, uint64_t id) {
  const auto connection = Engine::of(env).connection(id);
  return connection ? connection->object(env) : binding::null(env);
}

napi_value address_object(Environment& env, const sockaddr_storage& address) {
  napi_value object = nullptr;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    uv_ip6_name(v6, text.data(), text.size());
  } else if (address.ss_family == AF_INET) {
    uv_ip4_name(reinterpret_cast<const sockaddr_in*>(&address), text.data(), text.size());
  } else {
    return binding::null(env);
  }
  // The port stands in the same place in both.
  const int port = ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  binding::check(napi_create_object(env.env(), &object));
  binding::set(env, object, "address", static_cast<const char*>(text.data()));
  binding::set(env, object, "family", address.ss_family == AF_INET6 ? "IPv6" : "IPv4");
  binding::set(env, object, "port", port);
  return object;
}

using AddressOf = int (*)(int, sockaddr*, socklen_t*);

template <AddressOf Get>
napi_value address_of_descriptor(Environment& env, int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (fd < 0 || Get(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return binding::null(env);
  return address_object(env, storage);
}

template <AddressOf Get>
napi_value address_of_connection(Environment& env, uint64_t id) {
  const auto connection = Engine::of(env).connection(id);
  if (!connection) return binding::null(env);
  const std::lock_guard lock(connection->mutex());
  return address_of_descriptor<Get>(env, connection->descriptor());
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
    define<&start>("start"),
    define<&stop>("stop"),
    define<&keep_alive>("keepAlive"),
    define<&bind_tcp>("bindTcp"),
    define("bindPath", [](std::string path) { return bind_path(path); }),
    define<&take_descriptor>("takeDescriptor"),
    define<&listen_on>("listenOn"),
    define<&close_descriptor>("closeDescriptor"),
    define<&address_of_descriptor<getsockname>>("descriptorAddress"),
    define<&listen>("listen"),
    define<&set_context>("setContext"),
    define<&close_listener>("closeListener"),
    define<&write>("write"),
    define<&consumed>("consumed"),
    define<&finish>("finish"),
    define<&destroy>("destroy"),
    define<&ssl_of>("ssl"),
    define<&address_of_connection<getsockname>>("localAddress"),
    define<&address_of_connection<getpeername>>("remoteAddress"),
    define<&set_no_delay>("setNoDelay"),
    define<&set_keep_alive>("setKeepAlive"),
};

}  // namespace

std::span<const binding::Function> functions() { return kFunctions; }

}  // namespace engine
