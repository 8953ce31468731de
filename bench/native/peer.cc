// The peer "C" of the benchmark: what a bare single-threaded epoll server on the system's libssl costs when its
// sessions live outside OpenSSL, behind the three session callbacks. It echoes what it gets. It listens on a free port
// of 127.0.0.1, prints one JSON line with it, answers every line on its standard input with one JSON line of figures,
// and ends with its input.
//
//   c-peer --cert cert.pem --key key.pem

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <unordered_map>

#include "common.h"

namespace {

std::unordered_map<std::string, std::string> sessions;  // id -> DER

struct {
  unsigned long handshakes, resumed, errors, received, sent;
} counters;

struct Connection {
  Descriptor fd;
  Ssl ssl;
  bool established = false;
  bool awaits_room = false;
  size_t unsent = 0;  // how much of `bytes` is still to be echoed
  std::vector<unsigned char> bytes;
};

std::string id_of(SSL_SESSION* session) {
  unsigned length = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &length);
  return {reinterpret_cast<const char*>(id), length};
}

int new_session(SSL*, SSL_SESSION* session) {
  std::string der(static_cast<size_t>(i2d_SSL_SESSION(session, nullptr)), '\0');
  auto* end = reinterpret_cast<unsigned char*>(der.data());
  i2d_SSL_SESSION(session, &end);
  sessions.insert_or_assign(id_of(session), std::move(der));
  return 0;
}

void remove_session(SSL_CTX*, SSL_SESSION* session) { sessions.erase(id_of(session)); }

SSL_SESSION* get_session(SSL* ssl, const unsigned char* id, int length, int* copy) {
  *copy = 0;
  const auto found = sessions.find({reinterpret_cast<const char*>(id), static_cast<size_t>(length)});
  if (found == sessions.end()) return nullptr;
  const auto* der = reinterpret_cast<const unsigned char*>(found->second.data());
  SSL_SESSION* session = d2i_SSL_SESSION(nullptr, &der, static_cast<long>(found->second.size()));
  if (SSL_version(ssl) == TLS1_3_VERSION) sessions.erase(found);  // to be used once
  return session;
}

Context make_context(const Arguments& arguments) {
  Context context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* ctx = context.get();
  if (SSL_CTX_use_certificate_chain_file(ctx, arguments.text("cert").c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, arguments.text("key").c_str(), SSL_FILETYPE_PEM) != 1) {
    fail("cannot use the certificate and its key");
  }
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_session_id_context(ctx, reinterpret_cast<const unsigned char*>("bench"), 5);
  SSL_CTX_sess_set_new_cb(ctx, new_session);
  SSL_CTX_sess_set_remove_cb(ctx, remove_session);
  SSL_CTX_sess_set_get_cb(ctx, get_session);
  return context;
}

Descriptor start_listening(in_port_t& port) {
  Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), name, length) != 0 || listen(listener.get(), 4096) != 0) fail_errno("listening");
  getsockname(listener.get(), name, &length);
  port = ntohs(address.sin_port);
  return listener;
}

void print_figures() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto microseconds = [](const timeval& time) { return time.tv_sec * 1'000'000L + time.tv_usec; };
  long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  std::printf(
      "{\"cpu\":%ld,\"switches\":%ld,\"rss\":%ld,\"handshakes\":%lu,\"resumed\":%lu,\"errors\":%lu,\"received\":%lu,"
      "\"sent\":%lu}\n",
      microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_nvcsw, pages * sysconf(_SC_PAGESIZE),
      counters.handshakes, counters.resumed, counters.errors, counters.received, counters.sent);
  std::fflush(stdout);
}

class Server {
 public:
  Server(SSL_CTX* context, int listener) : context_(context), listener_(listener) {
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN);
  }

  void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_) {
          accept_all();
        } else if (fd == STDIN_FILENO) {
          if (!answer()) return;
        } else if (Connection& connection = *connections_[static_cast<size_t>(fd)]; !step(connection)) {
          connections_[static_cast<size_t>(fd)].reset();
        }
      }
    }
  }

 private:
  void watch(int operation, int fd, uint32_t events) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) fail_errno("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      auto connection = std::make_unique<Connection>();
      connection->fd = Descriptor(fd);
      connection->ssl.reset(SSL_new(context_));
      SSL_set_fd(connection->ssl.get(), fd);
      SSL_set_accept_state(connection->ssl.get());
      if (connections_.size() <= static_cast<size_t>(fd)) connections_.resize(static_cast<size_t>(fd) * 2 + 1);
      connections_[static_cast<size_t>(fd)] = std::move(connection);
      watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
  }

  static bool answer() {
    std::array<char, 256> line;
    const ssize_t length = read(STDIN_FILENO, line.data(), line.size());
    if (length <= 0) return false;
    print_figures();
    return true;
  }

  /** Does what can be done. False when the connection is over. */
  bool step(Connection& connection) {
    SSL* ssl = connection.ssl.get();
    ERR_clear_error();
    if (!connection.established) {
      const int result = SSL_do_handshake(ssl);
      if (result <= 0) return waits(connection, result);
      connection.established = true;
      ++counters.handshakes;
      if (SSL_session_reused(ssl) == 1) ++counters.resumed;
    }
    for (;;) {
      if (connection.unsent > 0) {
        const int written = SSL_write(ssl, connection.bytes.data(), static_cast<int>(connection.unsent));
        if (written <= 0) return waits(connection, written);
        counters.sent += connection.unsent;
        connection.unsent = 0;
      }
      const int length = SSL_read(ssl, scratch_.data(), static_cast<int>(scratch_.size()));
      if (length <= 0) return waits(connection, length);
      counters.received += static_cast<unsigned long>(length);
      connection.bytes.assign(scratch_.data(), scratch_.data() + length);
      connection.unsent = connection.bytes.size();
    }
  }

  bool waits(Connection& connection, int result) {
    SSL* ssl = connection.ssl.get();
    const int error = SSL_get_error(ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      const bool awaits_room = error == SSL_ERROR_WANT_WRITE;
      if (awaits_room != connection.awaits_room) {
        connection.awaits_room = awaits_room;
        watch(EPOLL_CTL_MOD, connection.fd.get(), awaits_room ? EPOLLOUT : EPOLLIN);
      }
      return true;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
      SSL_shutdown(ssl);
    } else {
      ++counters.errors;
    }
    return false;
  }

  SSL_CTX* context_;
  int listener_;
  Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::array<unsigned char, SSL3_RT_MAX_PLAIN_LENGTH> scratch_;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, {{"cert", "cert.pem"}, {"key", "key.pem"}});
  prepare_process();
  const Context context = make_context(arguments);
  in_port_t port = 0;
  const Descriptor listener = start_listening(port);
  std::printf("{\"port\":%d,\"library\":\"%s\"}\n", port, OpenSSL_version(OPENSSL_VERSION));
  std::fflush(stdout);
  Server(context.get(), listener.get()).run();
}
