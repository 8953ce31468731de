// A counted C object as a JavaScript object: what the application owns, what it only borrows, and what is gone.
// Knows nothing about the libraries whose objects it counts. Used on the environment's own thread only.
#pragma once

#include <memory>
#include <vector>

#include "bind/environment.h"

namespace binding {

// Describes one type of C object; one immutable instance per type.
struct TypeInfo {
  const char* name;
  size_t index;
  napi_type_tag tag;
  // Null for objects that live as long as the process.
  void (*up_ref)(void*);
  void (*free)(void*);
  // A number that no two objects of this type share in the life of the process, or null where the library offers none.
  uint64_t (*serial)(const void*);
};

// Specialised for every C type that has handles.
template <class T>
struct TypeOf;

// Every owned reference and every loan stands for exactly one reference of the C object, so the pointer is good for as
// long as the handle is alive, whatever else is freed meanwhile.
class Handle : public std::enable_shared_from_this<Handle> {
 public:
  Handle(Environment& env, const TypeInfo& type, void* pointer, uint64_t serial)
      : env_(env), type_(type), address_(pointer), pointer_(pointer), serial_(serial) {}
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // The handle of `pointer`: the one that exists, or a new one. It comes without a claim: follow with own() or
  // borrow().
  static std::shared_ptr<Handle> find_or_create(Environment& env, const TypeInfo& type, void* pointer);
  // A handle that is dead from the start, for an object that is already gone.
  static napi_value create_dead(Environment& env, const TypeInfo& type);
  // The handle that `value` wraps, or null when it wraps none of this type.
  static std::shared_ptr<Handle> from(Environment& env, const TypeInfo& type, napi_value value);
  // The living handle of `pointer`, or null.
  static std::shared_ptr<Handle> find(Environment& env, const void* pointer);

  bool alive() const { return pointer_ != nullptr; }
  // The pointer; throws ERR_HANDLE_FREED when the handle is dead.
  void* use() const;
  napi_value object() const;
  const TypeInfo& type() const { return type_; }

  // Takes over one reference that the library has already counted for the application.
  void own();
  // Gives one owned reference back; throws ERR_NOT_OWNED or ERR_HANDLE_FREED.
  void release();
  // Makes one owned reference the library's; throws like release(). The C object keeps its count.
  void give_away();
  bool owns() const { return owned_ > 0; }
  void require_owned() const;

  // Makes this usable until `lender` dies or ends its loans.
  void borrow_from(Handle& lender);
  // A loan for the duration of a scope, ended by end_loan().
  void begin_loan();
  void end_loan() noexcept;
  // Ends the loans of one type that this handle has given, once the current call has delivered its callbacks.
  void end_loans_given(const TypeInfo& type);

  // What the JavaScript object of a handle keeps alive besides itself: one object of each kind.
  enum class Edge : uint32_t { kLender, kContext, kCallbacks };
  void retain(Edge edge, napi_value object) const;
  // What retain() was last given, or null.
  napi_value retained(Edge edge) const;

  uint64_t serial() const { return serial_; }

 private:
  friend class Environment;

  // Makes the JavaScript object.
  void wrap();
  void die() noexcept;
  void collect() noexcept;
  void settle_claims() noexcept;

  Environment& env_;
  const TypeInfo& type_;
  void* const address_;
  void* pointer_;
  const uint64_t serial_;
  uint32_t owned_ = 0;
  uint32_t loans_ = 0;
  napi_ref object_ = nullptr;
  std::vector<std::shared_ptr<Handle>> lent_;
};

}  // namespace binding
