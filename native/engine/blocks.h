// Memory for bytes on their way between JavaScript and a thread: blocks of one size, some of which are kept for the
// next ones, because fresh pages from the kernel cost more than what is done with them.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace engine {

using Block = std::shared_ptr<unsigned char[]>;

class Blocks : public std::enable_shared_from_this<Blocks> {
 public:
  // Four records of plain text.
  static constexpr size_t kSize = size_t{64} * 1024;

  // From any thread, which may give the block back on another one, also when all others have forgotten the blocks.
  Block take();

 private:
  // How many are kept at most.
  static constexpr size_t kKept = 128;

  void give_back(std::unique_ptr<unsigned char[]> memory) noexcept;

  std::mutex mutex_;
  std::vector<std::unique_ptr<unsigned char[]>> kept_;
};

}  // namespace engine
