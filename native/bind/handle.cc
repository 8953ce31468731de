#include "bind/handle.h"

#include <algorithm>
#include <cstdio>
#include <string>

namespace binding {

Handle::~Handle() {
  // The wrap's finalizer has given every claim back; what remains is the weak reference of a failed construction.
  if (object_ != nullptr) napi_delete_reference(env_.env(), object_);
}

napi_value Handle::object() const {
  napi_value value = nullptr;
  if (object_ != nullptr) napi_get_reference_value(env_.env(), object_, &value);
  return value;
}

std::shared_ptr<Handle> Handle::find(Environment& env, const void* pointer) {
  const auto found = env.handles.find(pointer);
  if (found == env.handles.end()) return nullptr;
  auto handle = found->second.lock();
  return handle && handle->alive() ? handle : nullptr;
}

// Another copy of this addon in the same process marks its handles with other tags, and lays them out as it likes.
static napi_type_tag tag_of(const TypeInfo& type) {
  static const char anchor = 0;
  return {type.tag.lower, type.tag.upper ^ reinterpret_cast<uintptr_t>(&anchor)};
}

void Handle::wrap() {
  napi_value object = env_.construct(type_);
  const napi_type_tag tag = tag_of(type_);
  check(napi_type_tag_object(env_.env(), object, &tag));
  auto owner = std::make_unique<std::shared_ptr<Handle>>(shared_from_this());
  check(napi_wrap(
      env_.env(), object, owner.get(),
      [](napi_env, void* data, void*) {
        const std::unique_ptr<std::shared_ptr<Handle>> handle(static_cast<std::shared_ptr<Handle>*>(data));
        (*handle)->collect();
      },
      nullptr, &object_));
  static_cast<void>(owner.release());
}

std::shared_ptr<Handle> Handle::find_or_create(Environment& env, const TypeInfo& type, void* pointer) {
  const uint64_t serial = type.serial != nullptr ? type.serial(pointer) : 0;
  const auto found = env.handles.find(pointer);
  if (found != env.handles.end()) {
    auto handle = found->second.lock();
    if (handle && &handle->type_ == &type && handle->object() != nullptr &&
        (handle->alive() || (type.serial != nullptr && handle->serial_ == serial))) {
      handle->pointer_ = pointer;
      return handle;
    }
  }
  auto handle = std::make_shared<Handle>(env, type, pointer, serial);
  handle->wrap();
  env.handles[pointer] = handle;
  return handle;
}

napi_value Handle::create_dead(Environment& env, const TypeInfo& type) {
  auto handle = std::make_shared<Handle>(env, type, nullptr, 0);
  handle->wrap();
  return handle->object();
}

std::shared_ptr<Handle> Handle::from(Environment& env, const TypeInfo& type, napi_value value) {
  napi_valuetype value_type = napi_undefined;
  check(napi_typeof(env.env(), value, &value_type));
  if (value_type != napi_object) return nullptr;
  bool tagged = false;
  const napi_type_tag tag = tag_of(type);
  check(napi_check_object_type_tag(env.env(), value, &tag, &tagged));
  if (!tagged) return nullptr;
  void* data = nullptr;
  check(napi_unwrap(env.env(), value, &data));
  auto handle = *static_cast<std::shared_ptr<Handle>*>(data);
  // The same copy may be initialised more than once in one environment.
  return &handle->env_ == &env ? handle : nullptr;
}

void* Handle::use() const {
  if (pointer_ == nullptr) {
    throw Error(ErrorKind::kError, "ERR_HANDLE_FREED",
                std::string("this ") + type_.name + " has been freed: nothing owns or lends it any more");
  }
  return pointer_;
}

void Handle::require_owned() const {
  use();
  if (owned_ == 0) {
    throw Error(
        ErrorKind::kError, "ERR_NOT_OWNED",
        std::string("this ") + type_.name + " is only borrowed: take a reference of your own before giving one back");
  }
}

void Handle::own() {
  if (type_.free == nullptr) return;
  owned_++;
  env_.owned.at(type_.index)++;
}

void Handle::release() {
  require_owned();
  if (owned_ + loans_ == 1) env_.releasing(*this);
  void* const pointer = pointer_;
  owned_--;
  env_.owned.at(type_.index)--;
  settle_claims();
  type_.free(pointer);
}

void Handle::give_away() {
  require_owned();
  owned_--;
  env_.owned.at(type_.index)--;
  settle_claims();
}

void Handle::begin_loan() {
  if (type_.free == nullptr) return;
  type_.up_ref(pointer_);
  loans_++;
}

void Handle::end_loan() noexcept {
  if (loans_ == 0) return;
  if (owned_ + loans_ == 1) env_.releasing(*this);
  void* const pointer = pointer_;
  loans_--;
  settle_claims();
  type_.free(pointer);
}

void Handle::borrow_from(Handle& lender) {
  if (type_.free == nullptr) return;
  const auto self = shared_from_this();
  // Comes first: without a claim it must not be usable, whatever happens.
  if (std::find(lender.lent_.begin(), lender.lent_.end(), self) == lender.lent_.end()) {
    lender.lent_.push_back(self);
    begin_loan();
  }
  retain(Edge::kLender, lender.object());
}

void Handle::end_loans_given(const TypeInfo& type) {
  const auto ending = std::stable_partition(
      lent_.begin(), lent_.end(), [&](const std::shared_ptr<Handle>& handle) { return &handle->type_ != &type; });
  env_.expiring.insert(env_.expiring.end(), ending, lent_.end());
  lent_.erase(ending, lent_.end());
}

// The array of retained objects, by edge; null before the first one.
static napi_value edges_of(Environment& env, napi_value object) {
  napi_value edges = nullptr;
  napi_valuetype type = napi_undefined;
  check(napi_get_property(env.env(), object, env.retain_key(), &edges));
  check(napi_typeof(env.env(), edges, &type));
  return type == napi_object ? edges : nullptr;
}

void Handle::retain(Edge edge, napi_value object) const {
  napi_value self = this->object();
  napi_value edges = edges_of(env_, self);
  if (edges == nullptr) {
    check(napi_create_array(env_.env(), &edges));
    const napi_property_descriptor property = {nullptr, env_.retain_key(), nullptr, nullptr, nullptr,
                                               edges,   napi_default,      nullptr};
    const napi_status status = napi_define_properties(env_.env(), self, 1, &property);
    if (status == napi_pending_exception) check(status);
    if (status != napi_ok) {
      throw Error(ErrorKind::kTypeError, "ERR_INVALID_STATE",
                  std::string("this ") + type_.name + " is frozen: it cannot keep what it depends on");
    }
  }
  check(napi_set_element(env_.env(), edges, static_cast<uint32_t>(edge), object));
}

napi_value Handle::retained(Edge edge) const {
  napi_value edges = edges_of(env_, object());
  if (edges == nullptr) return nullptr;
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;
  check(napi_get_element(env_.env(), edges, static_cast<uint32_t>(edge), &value));
  check(napi_typeof(env_.env(), value, &type));
  return type == napi_object ? value : nullptr;
}

void Handle::settle_claims() noexcept {
  if (owned_ + loans_ == 0) die();
}

void Handle::die() noexcept {
  pointer_ = nullptr;
  // Loans outlast the callbacks that this death gives rise to, so that these see the same objects.
  env_.expiring.insert(env_.expiring.end(), lent_.begin(), lent_.end());
  lent_.clear();
  if (!env_.in_call()) env_.end_loans();
  if (type_.serial != nullptr) return;
  // The address may be another's by now, who has another object.
  const auto found = env_.handles.find(address_);
  if (found != env_.handles.end() && found->second.lock().get() == this) env_.handles.erase(found);
}

void Handle::collect() noexcept {
  napi_delete_reference(env_.env(), object_);
  object_ = nullptr;
  const auto found = env_.handles.find(address_);
  if (found != env_.handles.end()) {
    const auto current = found->second.lock();
    if (!current || current.get() == this) env_.handles.erase(found);
  }
  const uint32_t claims = owned_ + loans_;
  if (claims == 0 || type_.free == nullptr) return;
  if (owned_ > 0) {
    env_.collected.at(type_.index) += owned_;
    env_.owned.at(type_.index) -= owned_;
    if (env_.trace) {
      std::fprintf(stderr, "openssl-session: a forgotten %s was collected, %u reference(s) given back\n", type_.name,
                   owned_);
    }
  }
  env_.releasing(*this);
  void* const pointer = pointer_;
  owned_ = 0;
  loans_ = 0;
  die();
  for (uint32_t i = 0; i < claims; i++) type_.free(pointer);
}

}  // namespace binding
