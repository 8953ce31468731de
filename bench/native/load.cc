// The load of the benchmark: one thread, many TLS clients on the system's libssl. It gets ready (sessions to propose,
// warm-up, connections), prints {"ready":true}, waits for a line on its standard input, does what is to be measured,
// prints one JSON line about it and ends. Whatever goes wrong ends it with status 1, and so does waiting for 10 s.
//
//   load --port n --mode resumed|full|idle|bulk [--protocol 1.2|1.3] [--clients n] [--seconds s] [--warmup s]
//        [--direction up|down|both]
//
//   resumed  each client connects, shakes hands and says goodbye, again and again, and proposes its latest session
//   full     the same, proposing nothing
//   idle     opens all connections, has a little echoed on each and holds them; the line ends them
//   bulk     sends (up), asks for (down) or has echoed (both) data in writes of 64 KiB
//
// Clients say goodbye with close_notify and wait for the server's end, so that no session is withdrawn.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "common.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};
constexpr unsigned kSourceAddresses = 64;  // each has its own ports, which stay taken for a while after use
constexpr int kIdleWindow = 64;            // handshakes at once while opening idle connections
constexpr int kGreeting = 1024;            // bytes echoed on a connection before it is idle

enum class Mode { resumed, full, idle, bulk };
enum class Direction { up, down, both };
enum class Stage { closed, connecting, handshake, ticket, greeting, open, transfer, goodbye };

struct Client {
  Descriptor fd;
  Ssl ssl;
  Session session;
  Stage stage = Stage::closed;
  bool proposed = false;
  bool writing = false;  // a write has begun and must be repeated as it is
  uint32_t events = 0;
  unsigned long sent = 0;
  unsigned long received = 0;
};

struct Tally {
  unsigned long handshakes = 0;
  unsigned long resumed = 0;
};

int remember_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<Client*>(SSL_get_app_data(ssl))->session.reset(session);
  return 1;
}

Context make_context(int protocol) {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* ctx = context.get();
  // One choice only, so that every server does the same cryptography; P-256 is for certificates in TLS 1.2.
  if (SSL_CTX_set_min_proto_version(ctx, protocol) != 1 || SSL_CTX_set_max_proto_version(ctx, protocol) != 1 ||
      SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") != 1 ||
      SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1) {
    fail("libssl refuses the settings");
  }
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);  // concerns TLS 1.2: sessions are found by their ids
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, remember_session);
  return context;
}

class Load {
 public:
  Load(SSL_CTX* context, const Arguments& arguments)
      : context_(context),
        port_(static_cast<in_port_t>(arguments.integer("port"))),
        protocol_(arguments.protocol()),
        clients_(static_cast<size_t>(arguments.integer("clients"))),
        scratch_(kBlock) {
    const std::string& mode = arguments.text("mode");
    const std::string& direction = arguments.text("direction");
    mode_ = mode == "resumed" ? Mode::resumed : mode == "full" ? Mode::full : mode == "idle" ? Mode::idle : Mode::bulk;
    direction_ = direction == "up" ? Direction::up : direction == "down" ? Direction::down : Direction::both;
  }

  /** Shakes hands until the deadline, and at least once per client. */
  Tally shake_hands(Clock::time_point deadline) {
    tally_ = {};
    deadline_ = deadline;
    for (Client& client : clients_) start(client);
    wait_until([&] { return live_ == 0; });
    return tally_;
  }

  /** Opens every connection. */
  void open_all() {
    const size_t at_once = mode_ == Mode::idle ? std::min<size_t>(kIdleWindow, clients_.size()) : clients_.size();
    for (next_ = 0; next_ < at_once; ++next_) start(clients_[next_]);
    wait_until([&] { return open_ == clients_.size(); });
  }

  /** Ends every connection that open_all has opened; fails when one of them had been ended by the server. */
  void close_all() {
    for (Client& client : clients_) {
      if (client.stage != Stage::open) fail("a connection is not open any more");
      say_goodbye(client);
    }
    wait_until([&] { return live_ == 0; });
  }

  /** Moves data over the open connections until the deadline, then ends them. Returns the bytes moved before it. */
  unsigned long transfer(Clock::time_point deadline) {
    deadline_ = deadline;
    for (Client& client : clients_) {
      const unsigned char start_signal = 0;
      if (direction_ == Direction::down && SSL_write(client.ssl.get(), &start_signal, 1) != 1) fail("cannot ask");
      client.stage = Stage::transfer;
      watch(client);
    }
    wait_until([&] { return Clock::now() >= deadline_; });
    const unsigned long in_time = received();
    for (Client& client : clients_) advance(client);
    wait_until([&] { return live_ == 0; });
    return in_time;
  }

  unsigned long sent() const { return sum(&Client::sent); }
  unsigned long received() const { return sum(&Client::received); }

 private:
  unsigned long sum(unsigned long Client::*member) const {
    unsigned long total = 0;
    for (const Client& client : clients_) total += client.*member;
    return total;
  }

  template <typename Condition>
  void wait_until(Condition condition) {
    std::array<epoll_event, 256> events;
    Clock::time_point heard = Clock::now();
    while (!condition()) {
      const auto now = Clock::now();
      if (now - heard > kPatience) fail("nothing has come for 10 s, %zu connections wait", live_);
      auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
      if (deadline_ > now) {
        patience = std::min(patience, std::chrono::ceil<std::chrono::milliseconds>(deadline_ - now));
      }
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(patience.count()));
      if (count > 0) heard = Clock::now();
      for (int i = 0; i < count; ++i) advance(*static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr));
    }
  }

  void start(Client& client) {
    client.fd = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = client.fd.get();
    if (fd < 0) fail_errno("socket");
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x100 + source_++ % kSourceAddresses);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fail_errno("bind");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 && errno != EINPROGRESS) {
      fail_errno("connect");
    }
    client.stage = Stage::connecting;
    ++live_;
    client.events = EPOLLOUT;
    epoll_event event{.events = EPOLLOUT, .data = {.ptr = &client}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail_errno("epoll_ctl");
  }

  void watch(Client& client, uint32_t events) {
    if (client.events == events) return;
    client.events = events;
    epoll_event event{.events = events, .data = {.ptr = &client}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.fd.get(), &event) != 0) fail_errno("epoll_ctl");
  }

  /** Watches for what the stage waits for. */
  void watch(Client& client) {
    const bool wants_room = client.stage == Stage::transfer && (client.writing || wants_to_send(client));
    watch(client, wants_room ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  bool wants_to_send(const Client& client) const {
    return client.writing || (direction_ != Direction::down && Clock::now() < deadline_);
  }

  /** Does what can be done on a connection. */
  void advance(Client& client) {
    ERR_clear_error();
    switch (client.stage) {
      case Stage::closed:
        return;
      case Stage::connecting:
        begin_handshake(client);
        [[fallthrough]];
      case Stage::handshake:
        if (!finished(client, SSL_do_handshake(client.ssl.get()))) return;
        established(client);
        return;
      case Stage::greeting:
        while (receive(client)) {
        }
        if (client.received == kGreeting) opened(client);
        return;
      case Stage::ticket:
      case Stage::open:
        if (receive(client)) fail("the server has sent what nobody asked for, or ended a connection");
        if (client.stage == Stage::ticket && client.session) say_goodbye(client);
        return;
      case Stage::transfer:
        exchange(client);
        return;
      case Stage::goodbye:
        while (receive(client)) {
        }
        return;
    }
  }

  /** Whether an operation is done; if not, watches for what it waits for. */
  bool finished(Client& client, int result) {
    if (result > 0) return true;
    const int error = SSL_get_error(client.ssl.get(), result);
    if (error == SSL_ERROR_WANT_READ) {
      watch(client, EPOLLIN);
    } else if (error == SSL_ERROR_WANT_WRITE) {
      watch(client, EPOLLIN | EPOLLOUT);
    } else {
      fail("a connection failed in stage %d, libssl's error %d", static_cast<int>(client.stage), error);
    }
    return false;
  }

  void begin_handshake(Client& client) {
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(client.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) fail("connect: %s", std::strerror(error));
    client.ssl.reset(SSL_new(context_));
    SSL* ssl = client.ssl.get();
    SSL_set_fd(ssl, client.fd.get());
    SSL_set_app_data(ssl, &client);
    SSL_set_connect_state(ssl);
    client.proposed = mode_ == Mode::resumed && client.session;
    if (client.proposed && SSL_set_session(ssl, client.session.get()) != 1) fail("cannot propose a session");
    if (protocol_ == TLS1_3_VERSION) client.session.reset();  // to be used once
    client.stage = Stage::handshake;
  }

  void established(Client& client) {
    SSL* ssl = client.ssl.get();
    if (SSL_version(ssl) != protocol_) fail("the server has chosen %s", SSL_get_version(ssl));
    ++tally_.handshakes;
    if (SSL_session_reused(ssl) == 1) ++tally_.resumed;
    if (mode_ == Mode::idle) {
      if (SSL_write(ssl, pattern_.data(), kGreeting) != kGreeting) fail("cannot send a greeting");
      client.stage = Stage::greeting;
      watch(client, EPOLLIN);
    } else if (mode_ == Mode::bulk) {
      opened(client);
    } else if (mode_ == Mode::resumed && !client.session) {
      client.stage = Stage::ticket;  // TLS 1.3 brings it after the handshake
      watch(client, EPOLLIN);
      advance(client);
    } else {
      say_goodbye(client);
    }
  }

  void opened(Client& client) {
    client.stage = Stage::open;
    watch(client, EPOLLIN);
    ++open_;
    if (next_ < clients_.size()) start(clients_[next_++]);
  }

  void say_goodbye(Client& client) {
    if (SSL_shutdown(client.ssl.get()) < 0) fail("cannot say goodbye");
    shutdown(client.fd.get(), SHUT_WR);
    client.stage = Stage::goodbye;
    watch(client, EPOLLIN);
  }

  /** Reads once. True when there was data, or at the end of a connection that was to end. */
  bool receive(Client& client) {
    const int length = SSL_read(client.ssl.get(), scratch_.data(), static_cast<int>(scratch_.size()));
    if (length > 0) {
      if (std::memcmp(scratch_.data(), &pattern_[client.received % kBlock], static_cast<size_t>(length)) != 0) {
        fail("the server has sent something else than it should");
      }
      client.received += static_cast<unsigned long>(length);
      return true;
    }
    const int error = SSL_get_error(client.ssl.get(), length);
    if (error == SSL_ERROR_WANT_READ) return false;
    if (error != SSL_ERROR_ZERO_RETURN) fail("reading failed, libssl's error %d", error);
    if (client.stage != Stage::goodbye) fail("the server has ended a connection");
    ended(client);
    return false;
  }

  void ended(Client& client) {
    client.ssl.reset();
    client.fd = Descriptor();
    client.stage = Stage::closed;
    --live_;
    if (mode_ != Mode::resumed && mode_ != Mode::full) return;
    if (Clock::now() < deadline_) start(client);
  }

  /** One write and a few reads of the bulk transfer; its end, when all is back. */
  void exchange(Client& client) {
    for (int i = 0; i < 4 && receive(client); ++i) {
    }
    if (wants_to_send(client)) {
      const size_t place = client.sent % kBlock;
      const int length = SSL_write(client.ssl.get(), &pattern_[place], static_cast<int>(kBlock - place));
      client.writing = !finished(client, length);
      if (!client.writing) client.sent += static_cast<unsigned long>(length);
    }
    const bool over = Clock::now() >= deadline_ && !client.writing &&
                      (direction_ != Direction::both || client.received == client.sent);
    if (over) {
      say_goodbye(client);
    } else {
      watch(client);
    }
  }

  SSL_CTX* context_;
  in_port_t port_;
  int protocol_;
  Mode mode_;
  Direction direction_;
  std::vector<Client> clients_;
  std::vector<unsigned char> scratch_;
  const std::vector<unsigned char> pattern_ = bulk_pattern();
  Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  Clock::time_point deadline_ = Clock::now();
  Tally tally_;
  unsigned source_ = 0;
  size_t next_ = 0;  // the next client to start
  size_t live_ = 0;
  size_t open_ = 0;
};

void wait_for_line() {
  std::puts("{\"ready\":true}");
  std::fflush(stdout);
  for (char byte = 0; byte != '\n';) {
    if (read(STDIN_FILENO, &byte, 1) != 1) std::exit(0);  // nobody wants to know any more
  }
}

Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

double seconds_since(Clock::time_point moment) { return std::chrono::duration<double>(Clock::now() - moment).count(); }

void measure_handshakes(Load& load, const Arguments& arguments) {
  load.shake_hands(Clock::now());
  load.shake_hands(Clock::now() + seconds(arguments.number("warmup")));
  wait_for_line();
  const auto began = Clock::now();
  const Tally tally = load.shake_hands(began + seconds(arguments.number("seconds")));
  // With those that were under way at the deadline, which have kept the server busy to the end.
  std::printf("{\"handshakes\":%lu,\"resumed\":%lu,\"perSecond\":%.1f}\n", tally.handshakes, tally.resumed,
              static_cast<double>(tally.handshakes) / seconds_since(began));
}

void measure_idle(Load& load) {
  load.open_all();
  wait_for_line();
  load.close_all();
  std::puts("{\"closed\":true}");
}

void measure_bulk(Load& load, const Arguments& arguments) {
  load.open_all();
  wait_for_line();
  const double duration = arguments.number("seconds");
  const auto began = Clock::now();
  const unsigned long in_time = load.transfer(began + seconds(duration));
  // What goes up has arrived when the server has answered the goodbye.
  const bool up = arguments.text("direction") == "up";
  const double rate =
      up ? static_cast<double>(load.sent()) / seconds_since(began) : static_cast<double>(in_time) / duration;
  std::printf("{\"sent\":%lu,\"received\":%lu,\"bytesPerSecond\":%.0f}\n", load.sent(), load.received(), rate);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {{"port", "0"},
                             {"mode", "resumed"},
                             {"protocol", "1.3"},
                             {"clients", "64"},
                             {"seconds", "1"},
                             {"warmup", "0"},
                             {"direction", "both"}});
  prepare_process();
  const Context context = make_context(arguments.protocol());
  Load load(context.get(), arguments);
  const std::string& mode = arguments.text("mode");
  if (mode == "resumed" || mode == "full") {
    measure_handshakes(load, arguments);
  } else if (mode == "idle") {
    measure_idle(load);
  } else if (mode == "bulk") {
    measure_bulk(load, arguments);
  } else {
    fail("--mode is resumed, full, idle or bulk");
  }
}
