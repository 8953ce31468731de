// What the two programs of the benchmark share: arguments, ownership, the bytes of the bulk transfer and giving up.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/** A figure taken while something failed is worth nothing: say what it was, and end. */
[[noreturn, gnu::format(printf, 1, 2)]] inline void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

[[noreturn]] inline void fail_errno(const char* what) { fail("%s: %s", what, std::strerror(errno)); }

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freer<SSL_free>>;
using Session = std::unique_ptr<SSL_SESSION, Freer<SSL_SESSION_free>>;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/** The arguments of a program: `--name value`, each with the value that holds when it is not given. */
class Arguments {
 public:
  Arguments(int argc, char** argv, std::map<std::string, std::string> defaults) : values_(std::move(defaults)) {
    for (int i = 1; i < argc; i += 2) {
      const std::string_view name = argv[i];
      const auto found = name.starts_with("--") ? values_.find(std::string(name.substr(2))) : values_.end();
      if (found == values_.end() || i + 1 == argc) fail("%s: unknown, or without a value", argv[i]);
      found->second = argv[i + 1];
    }
  }
  const std::string& text(const char* name) const { return values_.at(name); }
  int integer(const char* name) const { return std::atoi(text(name).c_str()); }
  double number(const char* name) const { return std::atof(text(name).c_str()); }
  int protocol() const {
    if (text("protocol") == "1.2") return TLS1_2_VERSION;
    if (text("protocol") == "1.3") return TLS1_3_VERSION;
    fail("--protocol is 1.2 or 1.3");
  }

 private:
  std::map<std::string, std::string> values_;
};

constexpr size_t kBlock = size_t{64} * 1024;

/** A stream of the bulk transfer repeats the first 64 KiB of this; they are here twice, for comparing across the end.
 */
inline std::vector<unsigned char> bulk_pattern() {
  std::vector<unsigned char> bytes(2 * kBlock);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t place = i % kBlock;
    bytes[i] = static_cast<unsigned char>(place * 31 + (place >> 8) * 7);
  }
  return bytes;
}

/** What both programs need of their process: broken pipes as errors, and as many descriptors as the system gives. */
inline void prepare_process() {
  ::signal(SIGPIPE, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}
