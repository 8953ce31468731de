// JavaScript value <-> C value, one trait per C type. Knows nothing about TLS.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "bind/handle.h"

namespace binding {

// --- The types that C functions and the lambdas standing for macros use in their signatures -------------------------

// Input: the bytes of a Uint8Array.
struct Bytes {
  const unsigned char* data;
  size_t size;
};

// Output: a Uint8Array to fill.
struct MutableBytes {
  unsigned char* data;
  size_t size;
  napi_value array;
  // Fills it when JavaScript has run since the call began, which may have taken its memory away, or some of it.
  void fill(Environment& env, const unsigned char* from, size_t count) const;
};

// A string that may be null.
struct OptionalString {
  std::optional<std::string> text;
  const char* c_str() const { return text ? text->c_str() : nullptr; }
};

// A handle that may be null.
template <class T>
struct Nullable {
  T* pointer;
};

// A handle together with its bookkeeping, for the functions that change ownership.
template <class T>
struct Ref {
  T* pointer;
  std::shared_ptr<Handle> handle;
  T* get() const { return pointer; }
};

// A Ref that may be null.
template <class T>
struct NullableRef : Ref<T> {};

// An object or an array, read by the function itself.
struct Object {
  napi_value value;
};

// A function or null.
struct Callback {
  napi_value value;  // null pointer for JavaScript's null
};

// Result: a reference that now belongs to the application. Null becomes JavaScript's null.
template <class T>
struct Owned {
  T* pointer;
};

// Result: an object that is usable for as long as `lender` lives.
template <class T>
struct Borrowed {
  T* pointer;
  std::shared_ptr<Handle> lender;
};

// Result: an object that lives as long as the process.
template <class T>
struct Static {
  const T* pointer;
};

// Result: a copy of these bytes as a Buffer.
struct Copy {
  const void* data;
  size_t size;
};

// Result: these bytes as a Buffer.
using Octets = std::vector<unsigned char>;

// --- From JavaScript ------------------------------------------------------------------------------------------------

// from() yields a Holder, which lives until the call is over and converts to T.
template <class T>
struct FromJs;

template <class T>
requires std::is_integral_v<T>
struct FromJs<T> {
  using Holder = T;
  static T from(Environment& env, napi_value value, size_t position) {
    napi_valuetype type = napi_undefined;
    check(napi_typeof(env.env(), value, &type));
    if (type != napi_number) wrong_type(position, "a number");
    double number = 0;
    check(napi_get_value_double(env.env(), value, &number));
    constexpr double kSafe = 9007199254740991.0;
    constexpr double kLow =
        std::is_signed_v<T> ? std::max(-kSafe, static_cast<double>(std::numeric_limits<T>::min())) : 0;
    constexpr double kHigh = std::min(kSafe, static_cast<double>(std::numeric_limits<T>::max()));
    // A NaN fails every comparison.
    if (!(number >= kLow && number <= kHigh) || std::trunc(number) != number) {
      out_of_range(position, "an integer that fits C's type");
    }
    return static_cast<T>(number);
  }
};

template <>
struct FromJs<std::string> {
  using Holder = std::string;
  static std::string from(Environment& env, napi_value value, size_t position) {
    napi_valuetype type = napi_undefined;
    check(napi_typeof(env.env(), value, &type));
    if (type != napi_string) wrong_type(position, "a string");
    size_t length = 0;
    check(napi_get_value_string_utf8(env.env(), value, nullptr, 0, &length));
    std::string text(length, '\0');
    check(napi_get_value_string_utf8(env.env(), value, text.data(), length + 1, &length));
    if (text.find('\0') != std::string::npos) wrong_value(position, "a string without NUL");
    return text;
  }
};

template <>
struct FromJs<const char*> {
  struct Holder {
    std::string text;
    operator const char*() const { return text.c_str(); }
  };
  static Holder from(Environment& env, napi_value value, size_t position) {
    return {FromJs<std::string>::from(env, value, position)};
  }
};

inline bool is_null(Environment& env, napi_value value) {
  napi_valuetype type = napi_undefined;
  check(napi_typeof(env.env(), value, &type));
  return type == napi_null;
}

template <>
struct FromJs<OptionalString> {
  using Holder = OptionalString;
  static OptionalString from(Environment& env, napi_value value, size_t position) {
    if (is_null(env, value)) return {};
    return {FromJs<std::string>::from(env, value, position)};
  }
};

template <>
struct FromJs<MutableBytes> {
  using Holder = MutableBytes;
  static MutableBytes from(Environment& env, napi_value value, size_t position) {
    bool typed = false;
    check(napi_is_typedarray(env.env(), value, &typed));
    if (!typed) wrong_type(position, "a Uint8Array");
    napi_typedarray_type type = napi_int8_array;
    size_t size = 0;
    void* data = nullptr;
    check(napi_get_typedarray_info(env.env(), value, &type, &size, &data, nullptr, nullptr));
    if (type != napi_uint8_array) wrong_type(position, "a Uint8Array");
    // Empty and detached arrays have no address, and C code likes one.
    static unsigned char nothing;
    if (data == nullptr || size == 0) return {&nothing, 0, value};
    return {static_cast<unsigned char*>(data), size, value};
  }
};

inline void MutableBytes::fill(Environment& env, const unsigned char* from, size_t count) const {
  const MutableBytes now = FromJs<MutableBytes>::from(env, array, 0);
  std::copy_n(from, std::min(count, now.size), now.data);
}

template <>
struct FromJs<Bytes> {
  using Holder = Bytes;
  static Bytes from(Environment& env, napi_value value, size_t position) {
    const MutableBytes bytes = FromJs<MutableBytes>::from(env, value, position);
    return {bytes.data, bytes.size};
  }
};

template <>
struct FromJs<std::optional<Bytes>> {
  using Holder = std::optional<Bytes>;
  static Holder from(Environment& env, napi_value value, size_t position) {
    if (is_null(env, value)) return std::nullopt;
    return FromJs<Bytes>::from(env, value, position);
  }
};

template <class T>
struct FromJs<Ref<T>> {
  using Holder = Ref<T>;
  static Ref<T> from(Environment& env, napi_value value, size_t position) {
    const TypeInfo& type = TypeOf<T>::info();
    auto handle = Handle::from(env, type, value);
    if (!handle) wrong_type(position, type.name);
    T* const pointer = static_cast<T*>(handle->use());
    return {pointer, std::move(handle)};
  }
};

template <class T>
struct FromJs<NullableRef<T>> {
  using Holder = NullableRef<T>;
  static NullableRef<T> from(Environment& env, napi_value value, size_t position) {
    if (is_null(env, value)) return {};
    return {FromJs<Ref<T>>::from(env, value, position)};
  }
};

template <class T>
struct FromJs<Nullable<T>> {
  using Holder = Nullable<T>;
  static Nullable<T> from(Environment& env, napi_value value, size_t position) {
    return {FromJs<NullableRef<T>>::from(env, value, position).pointer};
  }
};

template <class T>
requires requires { TypeOf<std::remove_const_t<T>>::info(); }
struct FromJs<T*> {
  using Holder = T*;
  static T* from(Environment& env, napi_value value, size_t position) {
    return FromJs<Ref<std::remove_const_t<T>>>::from(env, value, position).pointer;
  }
};

template <>
struct FromJs<Object> {
  using Holder = Object;
  static Object from(Environment& env, napi_value value, size_t position) {
    napi_valuetype type = napi_undefined;
    check(napi_typeof(env.env(), value, &type));
    if (type != napi_object) wrong_type(position, "an object");
    return {value};
  }
};

template <>
struct FromJs<Callback> {
  using Holder = Callback;
  static Callback from(Environment& env, napi_value value, size_t position) {
    if (is_null(env, value)) return {nullptr};
    napi_valuetype type = napi_undefined;
    check(napi_typeof(env.env(), value, &type));
    if (type != napi_function) wrong_type(position, "a function or null");
    return {value};
  }
};

// --- To JavaScript --------------------------------------------------------------------------------------------------

template <class T>
requires std::is_integral_v<T> napi_value to_js(Environment& env, T number) {
  napi_value value = nullptr;
  if constexpr (sizeof(T) <= sizeof(int32_t) && std::is_signed_v<T>) {
    check(napi_create_int32(env.env(), number, &value));
  } else {
    check(napi_create_double(env.env(), static_cast<double>(number), &value));
  }
  return value;
}

inline napi_value null(Environment& env) {
  napi_value value = nullptr;
  check(napi_get_null(env.env(), &value));
  return value;
}

inline napi_value to_js(Environment&, napi_value value) { return value; }

inline napi_value to_js(Environment& env, const std::string& text) {
  napi_value value = nullptr;
  check(napi_create_string_utf8(env.env(), text.data(), text.size(), &value));
  return value;
}

inline napi_value to_js(Environment& env, const char* text) {
  return text == nullptr ? null(env) : to_js(env, std::string(text));
}

inline napi_value to_js(Environment& env, const Copy& bytes) {
  napi_value value = nullptr;
  check(napi_create_buffer_copy(env.env(), bytes.size, bytes.data, nullptr, &value));
  return value;
}

inline napi_value to_js(Environment& env, const Octets& bytes) { return to_js(env, Copy{bytes.data(), bytes.size()}); }

template <class T>
napi_value to_js(Environment& env, const std::optional<T>& value) {
  return value ? to_js(env, *value) : null(env);
}

// The handle of a reference that the application has just become the owner of; never loses that reference.
template <class T>
std::shared_ptr<Handle> adopt(Environment& env, T* pointer) {
  const TypeInfo& type = TypeOf<T>::info();
  try {
    auto handle = Handle::find_or_create(env, type, pointer);
    handle->own();
    return handle;
  } catch (...) {
    if (type.free != nullptr) type.free(pointer);
    throw;
  }
}

template <class T>
napi_value to_js(Environment& env, const Owned<T>& result) {
  return result.pointer == nullptr ? null(env) : adopt(env, result.pointer)->object();
}

template <class T>
napi_value to_js(Environment& env, const Static<T>& result) {
  if (result.pointer == nullptr) return null(env);
  // Handles of static objects are never written through: every C function that takes one takes it as const.
  void* const pointer = const_cast<T*>(result.pointer);
  return Handle::find_or_create(env, TypeOf<T>::info(), pointer)->object();
}

template <class T>
napi_value to_js(Environment& env, const Borrowed<T>& result) {
  if (result.pointer == nullptr) return null(env);
  auto handle = Handle::find_or_create(env, TypeOf<T>::info(), result.pointer);
  handle->borrow_from(*result.lender);
  return handle->object();
}

// A property of a result object.
template <class T>
void set(Environment& env, napi_value object, const char* name, const T& value) {
  check(napi_set_named_property(env.env(), object, name, to_js(env, value)));
}

}  // namespace binding
