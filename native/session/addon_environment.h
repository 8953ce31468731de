// The per-environment state of the addon: the binding's tables and the mailbox.
#pragma once

#include <memory>

#include "session/mailbox.h"

namespace session {

// What a layer above this one keeps for each environment; destroyed before the mailbox closes.
class Extension {
 public:
  Extension() = default;
  virtual ~Extension() = default;
  Extension(const Extension&) = delete;
  Extension& operator=(const Extension&) = delete;
};

class AddonEnvironment final : public binding::Environment {
 public:
  explicit AddonEnvironment(napi_env env);
  ~AddonEnvironment() override;

  static AddonEnvironment& of(binding::Environment& env) { return static_cast<AddonEnvironment&>(env); }

  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  // Handshakes can be paused: the platform has fibres and they are not switched off.
  bool async() const { return async_; }

  std::shared_ptr<Extension> extension;

  void settle() override { mailbox_->settle(); }
  void postpone() noexcept override { mailbox_->postpone(); }
  void lock(const binding::TypeInfo& type, const void* pointer, binding::Lock& lock) override;
  void require_exclusive(const binding::TypeInfo& type, const void* pointer) override;
  void releasing(binding::Handle& handle) noexcept override;

 private:
  static void close(void* self) noexcept;

  std::shared_ptr<Mailbox> mailbox_;
  const bool async_;
};

}  // namespace session
