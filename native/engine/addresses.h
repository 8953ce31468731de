// Socket addresses, as JavaScript has them.
#pragma once

#include <sys/socket.h>

#include "bind/environment.h"

namespace engine {

using AddressOf = int (*)(int, sockaddr*, socklen_t*);

// What getsockname or getpeername says of a descriptor; of the family AF_UNSPEC when that fails.
template <AddressOf Get>
sockaddr_storage address_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (fd < 0 || Get(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) address.ss_family = AF_UNSPEC;
  return address;
}

// { address, family, port } of an Internet address, null for any other.
napi_value address_object(binding::Environment& env, const sockaddr_storage& address);

// Descriptors of listening sockets that are bound and do not listen yet, or a negative error number.
// `address` is numeric; an IPv6 one is also for IPv4 unless `v6_only`.
int bind_tcp(const char* address, int port, int v6_only, int reuse_port);
int bind_path(const std::string& path);
// A descriptor of our own, which does not block, for what `fd` stands for.
int take_descriptor(int fd);

// A system call's error as Node's system errors have it: negative.
int system_error();

}  // namespace engine
