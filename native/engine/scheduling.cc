#include "engine/scheduling.h"

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace engine {

#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)

namespace {

// The kernel's struct sched_attr, which the C library does not declare.
struct Attributes {
  uint32_t size = sizeof(Attributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};

}  // namespace

uint64_t set_time_slice(uint64_t nanoseconds) noexcept {
  Attributes attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0) return 0;
  // Other policies have another idea of it, older kernels none.
  if (attributes.policy != SCHED_OTHER || attributes.runtime == 0) return 0;
  const uint64_t before = attributes.runtime;
  attributes.runtime = nanoseconds;
  return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 ? before : 0;
}

#else

uint64_t set_time_slice(uint64_t) noexcept { return 0; }

#endif

}  // namespace engine
