// Wraps a C function, or a lambda standing for a macro, as a JavaScript function: its signature tells the conversions.
#pragma once

#include <array>
#include <tuple>
#include <utility>

#include "bind/convert.h"

namespace binding {

// One row of a table of functions.
struct Function {
  const char* name;
  napi_callback callback;
};

// One row of a table of constants.
struct Constant {
  const char* name;
  int64_t value;
};

namespace detail {

template <class T>
struct Argument {
  using Holder = typename FromJs<T>::Holder;
  static Holder from(Environment& env, const napi_value* values, size_t position) {
    return FromJs<T>::from(env, values[position], position);
  }
};

// The lock of an argument that another thread may be working with.
template <class T>
void lock_argument(Environment&, const T&, Lock&) {}

template <class T>
requires requires { TypeOf<std::remove_const_t<T>>::info(); }
void lock_argument(Environment& env, T* const& pointer, Lock& lock) {
  if (pointer != nullptr) env.lock(TypeOf<std::remove_const_t<T>>::info(), pointer, lock);
}

template <class T>
void lock_argument(Environment& env, const Ref<T>& reference, Lock& lock) {
  lock_argument(env, reference.pointer, lock);
}

// What a setting of an object needs of it: that no other thread is reading it.
template <class T>
void require_exclusive(Environment&, const T&) {}

template <class T>
requires requires { TypeOf<std::remove_const_t<T>>::info(); }
void require_exclusive(Environment& env, T* const& pointer) {
  if (pointer != nullptr) env.require_exclusive(TypeOf<std::remove_const_t<T>>::info(), pointer);
}

template <class T>
void require_exclusive(Environment& env, const Ref<T>& reference) {
  require_exclusive(env, reference.pointer);
}

// An Environment& in front of the parameters is supplied, not converted.
template <class R, class F, class Holders, size_t... I>
napi_value invoke_and_convert(Environment& env, F& function, Holders& holders, std::index_sequence<I...>,
                              Environment* leading) {
  Lock lock;
  (lock_argument(env, std::get<I>(holders), lock), ...);
  const auto call = [&]() -> R {
    if constexpr (std::is_invocable_v<F&, Environment&, decltype(std::get<I>(holders))...>) {
      return function(*leading, std::get<I>(holders)...);
    } else {
      return function(std::get<I>(holders)...);
    }
  };
  napi_value result = nullptr;
  if constexpr (std::is_void_v<R>) {
    call();
    check(napi_get_undefined(env.env(), &result));
  } else {
    result = to_js(env, call());
  }
  return result;
}

template <bool Exclusive, class R, class... Args, class F>
napi_value call_from_js(napi_env raw, napi_callback_info info, F function) {
  return guarded(raw, [&]() -> napi_value {
    Environment& env = Environment::of(raw);
    constexpr size_t kCount = sizeof...(Args);
    size_t given = kCount;
    // Node-API fills what was not given with undefined.
    std::array<napi_value, kCount + 1> values{};
    check(napi_get_cb_info(raw, info, &given, values.data(), nullptr, nullptr));
    return [&]<size_t... I>(std::index_sequence<I...> positions) {
      // Braces: converted left to right, so the first wrong argument is the one reported.
      std::tuple<typename FromJs<Args>::Holder...> holders{Argument<Args>::from(env, values.data(), I)...};
      CallScope scope(env);
      if constexpr (Exclusive) require_exclusive(env, std::get<0>(holders));
      napi_value result = invoke_and_convert<R>(env, function, holders, positions, &env);
      scope.settle();
      return result;
    }
    (std::index_sequence_for<Args...>{});
  });
}

template <bool Exclusive, class R, class... Args, class F>
napi_value dispatch(napi_env env, napi_callback_info info, F function, R (*)(Args...)) {
  return call_from_js<Exclusive, R, Args...>(env, info, function);
}

template <bool Exclusive, class R, class... Args, class F>
napi_value dispatch(napi_env env, napi_callback_info info, F function, R (*)(Environment&, Args...)) {
  return call_from_js<Exclusive, R, Args...>(env, info, function);
}

}  // namespace detail

// A C function whose signature says everything.
template <auto F, bool Exclusive = false>
constexpr Function define(const char* name) {
  return {name, [](napi_env env, napi_callback_info info) -> napi_value {
            return detail::dispatch<Exclusive>(env, info, F, F);
          }};
}

// A lambda without captures.
template <bool Exclusive = false, class L>
constexpr Function define(const char* name, L) {
  return {name, [](napi_env env, napi_callback_info info) -> napi_value {
            return detail::dispatch<Exclusive>(env, info, L{}, +L{});
          }};
}

// Those that change settings of their first argument which other threads, if they work with it, read without a lock.
template <auto F>
constexpr Function define_setting(const char* name) {
  return define<F, true>(name);
}
template <class L>
constexpr Function define_setting(const char* name, L lambda) {
  return define<true>(name, lambda);
}

namespace detail {

template <auto F>
struct Returning;

template <class R, class... Args, R* (*F)(Args...)>
struct Returning<F> {
  static Owned<R> owned(Args... args) { return {F(args...)}; }
  static Static<std::remove_const_t<R>> immortal(Args... args) { return {F(args...)}; }
};

template <auto F>
struct ReturningFrom;

template <class R, class L, class... Args, R* (*F)(L*, Args...)>
struct ReturningFrom<F> {
  static Borrowed<R> borrowed(Ref<std::remove_const_t<L>> lender, Args... args) {
    return {F(lender.pointer, args...), lender.handle};
  }
};

}  // namespace detail

// A C function that returns a reference which the application owns.
template <auto F>
constexpr Function define_owned(const char* name) {
  return define<&detail::Returning<F>::owned>(name);
}

// A C function that returns an object which its first argument keeps.
template <auto F>
constexpr Function define_borrowed(const char* name) {
  return define<&detail::ReturningFrom<F>::borrowed>(name);
}

// A C function that returns an object which lives as long as the process.
template <auto F>
constexpr Function define_static(const char* name) {
  return define<&detail::Returning<F>::immortal>(name);
}

}  // namespace binding
