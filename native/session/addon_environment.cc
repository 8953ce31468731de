#include "session/addon_environment.h"

#include "openssl/runtime.h"
#include "session/state.h"

namespace session {

AddonEnvironment::AddonEnvironment(napi_env env)
    : binding::Environment(env), mailbox_(std::make_shared<Mailbox>(*this)), async_(ossl::async_jobs()) {
  // Registered after the threadsafe function, so it runs before that one's own hook.
  binding::check(napi_add_env_cleanup_hook(env, close, this));
}

AddonEnvironment::~AddonEnvironment() { mailbox_->detach(); }

void AddonEnvironment::close(void* self) noexcept {
  auto* const environment = static_cast<AddonEnvironment*>(self);
  environment->extension.reset();
  environment->mailbox_->close();
}

void AddonEnvironment::lock(const binding::TypeInfo& type, const void* pointer, binding::Lock& lock) {
  if (&type != &binding::TypeOf<SSL>::info()) return;
  const auto driver = Connection::of(static_cast<const SSL*>(pointer))->driver();
  if (!driver) return;
  lock.held = std::unique_lock(driver->mutex());
  lock.owner = driver;
}

void AddonEnvironment::require_exclusive(const binding::TypeInfo& type, const void* pointer) {
  if (&type != &binding::TypeOf<SSL_CTX>::info()) return;
  if (Context::of(static_cast<const SSL_CTX*>(pointer))->users == 0) return;
  throw binding::Error(
      binding::ErrorKind::kError, "ERR_CONTEXT_IN_USE",
      "threads of the engine work with this SSL_CTX, and OpenSSL does not allow this change meanwhile: "
      "make it before, or use another context");
}

void AddonEnvironment::releasing(binding::Handle& handle) noexcept {
  if (&handle.type() != &binding::TypeOf<SSL>::info()) return;
  // The claim may throw only when the handle is dead, and it is not yet.
  Connection::of(static_cast<const SSL*>(handle.use()))->abandon(*this);
}

}  // namespace session
