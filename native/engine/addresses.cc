#include "engine/addresses.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "bind/convert.h"
#include "engine/descriptor.h"

namespace engine {

int system_error() { return -errno; }

napi_value address_object(binding::Environment& env, const sockaddr_storage& address) {
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
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    // A folder that is not there: libuv says the same.
    return errno == ENOENT ? -EACCES : system_error();
  }
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

}  // namespace engine
