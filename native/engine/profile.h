// What a listener makes connections of: a context, and how they are treated. Connections keep theirs when the listener
// gets another one.
#pragma once

#include <memory>

#include "session/state.h"

namespace engine {

// How connections are treated. Times are in milliseconds, 0 is for ever.
struct ConnectionSettings {
  uint64_t handshake_timeout = 0;
  uint64_t lookup_timeout = 0;
  // SSL_VERIFY_* of a server, judged by JavaScript after the handshake.
  int verify_mode = 0;
  // SSL_OP_*, added to those of the context.
  uint64_t ssl_options = 0;
  bool no_delay = false;
  // SO_KEEPALIVE, and TCP_KEEPIDLE in seconds unless that is 0.
  bool keep_alive = false;
  int keep_alive_delay = 0;
  // At most so many of the engine's threads serve them.
  size_t threads = 1;
  // JavaScript is told of accepted connections before they begin.
  bool announce = false;
  // What TLS sends after a new session waits until JavaScript has heard of it and let it go.
  bool hold_sessions = false;
  // What is selected from, unless null.
  session::AlpnProtocols alpn_protocols;
  // JavaScript keeps and finds sessions in DER form, where no callback does.
  bool stores = false;
  // Bytes that a server takes before the end of the handshake, with a session that was taken out of a store.
  uint32_t max_early_data = 0;
};

class Engine;

class Profile {
 public:
  // On the environment's thread. Without a listener (0) nobody is told when it goes.
  Profile(std::weak_ptr<Engine> engine, uint64_t id, uint64_t listener, SSL_CTX* ctx,
          const ConnectionSettings& settings);
  // On any thread.
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  SSL_CTX* ctx() const { return ctx_.get(); }

  const uint64_t id;
  const uint64_t listener;
  const ConnectionSettings settings;

 private:
  const std::weak_ptr<Engine> engine_;
  const std::shared_ptr<session::Mailbox> mailbox_;
  const ossl::SslCtxPointer ctx_;
  const session::ContextUse use_;
};

}  // namespace engine
