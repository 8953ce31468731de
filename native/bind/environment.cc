#include "bind/environment.h"

#include "bind/handle.h"

namespace binding {

Environment::Environment(napi_env env) : env_(env) {
  napi_value description = nullptr;
  napi_value symbol = nullptr;
  napi_value holder = nullptr;
  check(napi_create_string_utf8(env, "retained", NAPI_AUTO_LENGTH, &description));
  check(napi_create_symbol(env, description, &symbol));
  // Node-API 9 has references to objects only, so the symbol travels in one.
  check(napi_create_object(env, &holder));
  check(napi_set_element(env, holder, 0, symbol));
  check(napi_create_reference(env, holder, 1, &retain_key_));
}

Environment::~Environment() {
  napi_delete_reference(env_, retain_key_);
  for (napi_ref reference : constructors_) {
    if (reference != nullptr) napi_delete_reference(env_, reference);
  }
}

Environment& Environment::of(napi_env env) {
  void* data = nullptr;
  check(napi_get_instance_data(env, &data));
  return *static_cast<Environment*>(data);
}

napi_value Environment::retain_key() const {
  napi_value holder = nullptr;
  napi_value symbol = nullptr;
  check(napi_get_reference_value(env_, retain_key_, &holder));
  check(napi_get_element(env_, holder, 0, &symbol));
  return symbol;
}

napi_value Environment::constructor(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    if (!of(env).constructing_) {
      throw Error(ErrorKind::kTypeError, "ERR_ILLEGAL_CONSTRUCTOR",
                  "Illegal constructor: handles come from the functions that create them");
    }
    napi_value self = nullptr;
    check(napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr));
    return self;
  });
}

void Environment::define_class(const TypeInfo& type, napi_value exports) {
  napi_value constructor_value = nullptr;
  check(napi_define_class(env_, type.name, NAPI_AUTO_LENGTH, &Environment::constructor, nullptr, 0, nullptr,
                          &constructor_value));
  check(napi_create_reference(env_, constructor_value, 1, &constructors_.at(type.index)));
  check(napi_set_named_property(env_, exports, type.name, constructor_value));
}

napi_value Environment::construct(const TypeInfo& type) {
  napi_value constructor_value = nullptr;
  napi_value object = nullptr;
  check(napi_get_reference_value(env_, constructors_.at(type.index), &constructor_value));
  constructing_ = true;
  const napi_status status = napi_new_instance(env_, constructor_value, 0, nullptr, &object);
  constructing_ = false;
  check(status);
  return object;
}

void Environment::end_loans() noexcept {
  // Ending a loan may end others in turn.
  while (!expiring.empty()) {
    std::vector<std::shared_ptr<Handle>> ending;
    ending.swap(expiring);
    for (const auto& handle : ending) handle->end_loan();
  }
}

}  // namespace binding
