#include "session/trampolines.h"

#include <openssl/async.h>

#include <algorithm>

#include "session/events.h"

namespace session {

static bool has_id(const SSL_SESSION* session, const unsigned char* id, int length) noexcept {
  unsigned int size = 0;
  const unsigned char* const own = SSL_SESSION_get_id(session, &size);
  return std::equal(own, own + size, id, id + length);
}

int new_trampoline(SSL* ssl, SSL_SESSION* session) noexcept {
  const auto& connection = Connection::of(ssl);
  // The handshake is complete.
  connection->used.reset();
  const auto driver = connection->driver();
  if (!connection->context->has(Slot::kNew)) {
    if (driver && driver->stores()) driver->keep(session);
    return 0;
  }
  // Here, because only this thread works with the session now.
  seen_in_context(session, *connection->context);
  if (driver) driver->negotiated();
  connection->context->mailbox->push(std::make_unique<NewEvent>(connection, session));
  // The reference is the event's now, whatever JavaScript will answer.
  return 1;
}

void remove_trampoline(SSL_CTX* ctx, SSL_SESSION* session) noexcept {
  const auto& context = Context::of(ctx);
  if (!context->has(Slot::kRemove)) return;
  seen_in_context(session, *context);
  context->mailbox->push(std::make_unique<RemoveEvent>(context, session));
}

SSL_SESSION* get_trampoline(SSL* ssl, const unsigned char* id, int length, int* copy) noexcept {
  // A copy of the pointer: the connection's slot may go while the handshake is paused.
  const std::shared_ptr<Connection> connection = Connection::of(ssl);
  // Whatever JavaScript decided about its own reference, the one in the answer is for OpenSSL.
  *copy = 0;
  const auto driver = connection->driver();
  const bool has_callback = connection->context->has(Slot::kGet);
  if (connection->closing || (!has_callback && !(driver && driver->stores()))) return nullptr;

  // After a HelloRetryRequest the client proposes its session again, which nobody has any more.
  if (connection->used && has_id(connection->used.get(), id, length)) return connection->used.release();

  const auto lookup = std::make_shared<Lookup>();
  lookup->id.assign(id, id + length);
  lookup->synchronous = ASYNC_get_current_job() == nullptr && !connection->driven_elsewhere();
  connection->lookup = lookup;

  Mailbox& mailbox = *connection->context->mailbox;
  if (has_callback) {
    mailbox.push(std::make_unique<GetEvent>(connection, lookup));
  } else {
    // Sessions of TLS 1.3 are used once.
    driver->ask(lookup, SSL_version(ssl) == TLS1_3_VERSION);
  }
  if (lookup->synchronous) {
    // Not on a fibre and under no lock of OpenSSL's, on the thread of the JavaScript call that drives the handshake.
    napi_value exception = mailbox.deliver_now();
    if (exception != nullptr) connection->report(*mailbox.environment(), exception);
  } else if (ASYNC_get_current_job() == nullptr) {
    if (driver) driver->park(*lookup);
  } else {
    while (!lookup->answered && ASYNC_pause_job() == 1) {
    }
  }
  connection->lookup.reset();
  // Of another protocol version it cannot be resumed. OpenSSL sees that by itself in TLS 1.2, but fails in TLS 1.3.
  // The lookup itself may live on in a promise.
  ossl::SslSessionPointer answer = std::move(lookup->answer);
  if (answer && SSL_SESSION_get_protocol_version(answer.get()) != SSL_version(ssl)) return nullptr;
  const bool once = answer && SSL_version(ssl) == TLS1_3_VERSION && (!has_callback || ossl::is_taken(answer.get()));
  if (once && SSL_SESSION_up_ref(answer.get()) == 1) connection->used.reset(answer.get());
  return answer.release();
}

void keylog_trampoline(const SSL* ssl, const char* line) noexcept {
  const auto& connection = Connection::of(ssl);
  const auto& context = Context::of(SSL_get_SSL_CTX(ssl));
  if (!context->has(Slot::kKeylog)) return;
  context->mailbox->push(std::make_unique<KeylogEvent>(connection, context, line));
}

int cert_trampoline(SSL* ssl, void* context) noexcept {
  const auto& connection = Connection::of(ssl);
  if (!connection->certificate) {
    const auto& asked = *static_cast<std::shared_ptr<Context>*>(context);
    if (!asked->has(Slot::kCert)) return 1;
    connection->certificate = std::make_shared<CertQuestion>();
    connection->context->mailbox->push(std::make_unique<CertEvent>(connection, asked, connection->certificate));
  }
  // A negative answer suspends the handshake, without a fibre.
  if (!connection->certificate->answered) return -1;
  const bool accepted = connection->certificate->accepted;
  connection->certificate.reset();
  return accepted ? 1 : 0;
}

int alpn_trampoline(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned int offered_length, void* context) noexcept {
  const auto& own = Connection::of(ssl)->alpn_protocols;
  const auto& protocols = own ? own : (*static_cast<const std::shared_ptr<Context>*>(context))->alpn_protocols();
  if (!protocols) return SSL_TLSEXT_ERR_NOACK;
  unsigned char* selected = nullptr;
  const int result = SSL_select_next_proto(&selected, out_length, protocols->data(),
                                           static_cast<unsigned int>(protocols->size()), offered, offered_length);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

int ticket_key_trampoline(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          ossl::compat::TicketMac* mac, int seal) noexcept {
  const auto ring = Connection::of(ssl)->context->ticket_keys();
  if (seal != 0) return ring->seal(name, iv, cipher, mac);
  // As with the keys of an SSL_CTX: in TLS 1.3 every resumption gives the client a ticket to use next.
  return ring->open(name, iv, cipher, mac, SSL_version(ssl) == TLS1_3_VERSION);
}

}  // namespace session
