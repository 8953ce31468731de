#include "session/addon_environment.h"

#include "openssl/runtime.h"
#include "session/state.h"

namespace session {

AddonEnvironment::AddonEnvironment(napi_env env)
    : bind::Environment(env), mailbox_(std::make_shared<Mailbox>(*this)), async_(ossl::async_jobs()) {
  // Registered after the threadsafe function, so it runs before that one's own hook.
  bind::check(napi_add_env_cleanup_hook(env, close_mailbox, this));
}

AddonEnvironment::~AddonEnvironment() { mailbox_->detach(); }

void AddonEnvironment::close_mailbox(void* self) noexcept { static_cast<AddonEnvironment*>(self)->mailbox_->close(); }

void AddonEnvironment::releasing(bind::Handle& handle) noexcept {
  if (&handle.type() != &bind::TypeOf<SSL>::info()) return;
  // The claim may throw only when the handle is dead, and it is not yet.
  Connection::of(static_cast<const SSL*>(handle.use()))->unwind(*this);
}

}  // namespace session
