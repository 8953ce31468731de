// What the binding keeps for each JavaScript environment: the handle classes, the identity map and the counts.
// Nothing here knows what the handles stand for. Used on the environment's own thread only.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "bind/error.h"

namespace binding {

class Handle;
struct TypeInfo;

// How many different handle classes there can be.
inline constexpr size_t kMaxTypes = 16;

// Keeps another thread out of an object, and the owner of the mutex alive; does nothing unless it was given one.
struct Lock {
  std::shared_ptr<void> owner;
  std::unique_lock<std::mutex> held;
};

class Environment {
 public:
  explicit Environment(napi_env env);
  virtual ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(napi_env env);

  napi_env env() const { return env_; }

  // Called when a C function that JavaScript called has returned: delivers the callbacks it gave rise to.
  virtual void settle() = 0;
  // Called instead when that call throws: the callbacks come later.
  virtual void postpone() noexcept = 0;
  // Called for each handle that a C function is about to be given: locks those that other threads work with.
  virtual void lock(const TypeInfo& type, const void* pointer, Lock& lock) = 0;
  // Called before a function changes settings of an object: throws when other threads read them.
  virtual void require_exclusive(const TypeInfo& type, const void* pointer) = 0;
  // Called before the application's last claim on a handle is given back, while its pointer is still good.
  virtual void releasing(Handle& handle) noexcept = 0;

  // Defines the class of `type` on `exports`.
  void define_class(const TypeInfo& type, napi_value exports);
  napi_value construct(const TypeInfo& type);

  // A symbol under which handles keep alive, as a property, the JavaScript objects they depend on.
  napi_value retain_key() const;

  bool in_call() const { return depth_ > 0; }

  // Handles by address. A dead handle stays while its JavaScript object lives, so that it can be found again.
  std::unordered_map<const void*, std::weak_ptr<Handle>> handles;
  // Loans that end when the current call has delivered its callbacks.
  std::vector<std::shared_ptr<Handle>> expiring;

  // References the application owns, and those that the garbage collector had to give back, by type index.
  std::array<uint64_t, kMaxTypes> owned{};
  std::array<uint64_t, kMaxTypes> collected{};
  bool trace = false;

 private:
  friend class CallScope;
  friend class Handle;

  napi_env env_;
  napi_ref retain_key_ = nullptr;
  std::array<napi_ref, kMaxTypes> constructors_{};
  bool constructing_ = false;
  int depth_ = 0;

  void end_loans() noexcept;
  static napi_value constructor(napi_env env, napi_callback_info info);
};

// Surrounds one call of a C function made by JavaScript.
class CallScope {
 public:
  explicit CallScope(Environment& env) : env_(env) { env_.depth_++; }
  ~CallScope() {
    if (!settled_) env_.postpone();
    env_.depth_--;
    if (env_.depth_ == 0) env_.end_loans();
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  // Delivers the callbacks that the call gave rise to; throws what they throw.
  void settle() {
    settled_ = true;
    env_.settle();
  }

 private:
  Environment& env_;
  bool settled_ = false;
};

}  // namespace binding
