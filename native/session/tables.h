// The functions of the session layer, ready to be registered: everything whose call may fire or set a callback, drive a
// handshake, or tie a session to a context.
#pragma once

#include <span>

#include "bind/function.h"

namespace session {

// SSL_CTX_new and the setters and getters of callbacks.
std::span<const binding::Function> callback_functions();
// The keys of stateless tickets, for lib/ticket-keys.ts: libssl has a callback in their place.
std::span<const binding::Function> ticket_functions();
// Inline connections: SSL_new, the handshake, records, and the sessions of a connection.
std::span<const binding::Function> inline_functions();
// Not part of libssl: lib/early-data.ts uses them.
std::span<const binding::Function> early_data_functions();

}  // namespace session
