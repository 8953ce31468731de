// The events that the trampolines send, and how each is told to JavaScript.
#pragma once

#include <memory>
#include <string>

#include "session/state.h"

namespace session {

// A session was negotiated. The reference that OpenSSL raised for the application travels in the event.
class NewEvent final : public Event {
 public:
  NewEvent(std::shared_ptr<Connection> connection, SSL_SESSION* session)
      : connection_(std::move(connection)), session_(session) {}
  void deliver(binding::Environment& env) override;

 private:
  std::shared_ptr<Connection> connection_;
  ossl::SslSessionPointer session_;
};

// A session left the cache. The event holds a reference of its own until it is delivered.
class RemoveEvent final : public Event {
 public:
  RemoveEvent(std::shared_ptr<Context> context, SSL_SESSION* session);
  void deliver(binding::Environment& env) override;

 private:
  std::shared_ptr<Context> context_;
  ossl::SslSessionPointer session_;
};

// A handshake waits for the session of this id.
class GetEvent final : public Event {
 public:
  GetEvent(std::shared_ptr<Connection> connection, std::shared_ptr<Lookup> lookup)
      : connection_(std::move(connection)), lookup_(std::move(lookup)) {}
  void deliver(binding::Environment& env) override;

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Lookup> lookup_;
};

// A line for the key log.
class KeylogEvent final : public Event {
 public:
  KeylogEvent(std::shared_ptr<Connection> connection, std::shared_ptr<Context> context, const char* line)
      : connection_(std::move(connection)), context_(std::move(context)), line_(line) {}
  void deliver(binding::Environment& env) override;

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Context> context_;
  std::string line_;
};

// A handshake waits for the application to choose certificates.
class CertEvent final : public Event {
 public:
  CertEvent(std::shared_ptr<Connection> connection, std::shared_ptr<Context> context,
            std::shared_ptr<CertQuestion> question)
      : connection_(std::move(connection)), context_(std::move(context)), question_(std::move(question)) {}
  void deliver(binding::Environment& env) override;

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Context> context_;
  std::shared_ptr<CertQuestion> question_;
};

// Throws ERR_WRONG_CONTEXT when the session belongs to another context; from then on it belongs to this one.
void bind_to_context(SSL_SESSION* session, const Context& context);
// A session that a connection or the cache of this context has shown: it belongs here unless it belongs elsewhere.
void seen_in_context(SSL_SESSION* session, const Context& context) noexcept;

}  // namespace session
