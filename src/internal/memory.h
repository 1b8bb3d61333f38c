// SPDX-License-Identifier: Apache-2.0
// Caching allocator: a steady training step asks the system for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace mixgrad {

/// `bytes` uninitialised bytes, aligned to 64. Freed memory waits for the next request of the same size by
/// the thread that asked for it first, so a micro-batch finds its buffers still in its core's cache.
std::shared_ptr<std::byte> allocate(int64_t bytes);

/// What tensors made on this thread may take together while it lives, freed ones included; whatever asks for more
/// throws bad_input. A file of few bytes can describe a network of any size: so it is run once within an allowance.
class MemoryAllowance {
 public:
  explicit MemoryAllowance(int64_t bytes);
  ~MemoryAllowance();
  MemoryAllowance(const MemoryAllowance&) = delete;
  MemoryAllowance& operator=(const MemoryAllowance&) = delete;

 private:
  int64_t outer_;
};

/// For the values of one image.
constexpr int64_t bytes_of_one_image = int64_t{1} << 28;

}  // namespace mixgrad
