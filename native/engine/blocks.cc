#include "engine/blocks.h"

#include <utility>

namespace engine {

Block Blocks::take() {
  std::unique_ptr<unsigned char[]> memory;
  {
    const std::lock_guard lock(mutex_);
    if (!kept_.empty()) {
      memory = std::move(kept_.back());
      kept_.pop_back();
    }
    kept_.reserve(kKept);
  }
  if (!memory) memory.reset(new unsigned char[kSize]);
  return Block(memory.release(), [self = shared_from_this()](unsigned char* bytes) {
    self->give_back(std::unique_ptr<unsigned char[]>(bytes));
  });
}

void Blocks::give_back(std::unique_ptr<unsigned char[]> memory) noexcept {
  const std::lock_guard lock(mutex_);
  if (kept_.size() < kKept) kept_.push_back(std::move(memory));
}

}  // namespace engine
