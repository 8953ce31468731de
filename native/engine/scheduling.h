// How soon a thread gets the processor while others compute. Only Linux 6.12 and newer can be told; elsewhere nothing
// happens.
#pragma once

#include <cstdint>

namespace engine {

// Sets the time slice of the calling thread, in nanoseconds. It changes no thread's share of the processor: one that
// wakes up with a shorter slice takes over sooner. Returns the slice before; 0 when nothing was changed.
// @see sched_setattr(2)
uint64_t set_time_slice(uint64_t nanoseconds) noexcept;

}  // namespace engine
