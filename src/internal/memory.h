// SPDX-License-Identifier: Apache-2.0
// A caching allocator: in steady state, a training step makes no system allocations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace mixgrad {

/// `bytes` uninitialised bytes, aligned to 64. Freed memory is kept for the next request of the same size by the
/// allocating thread, so a micro-batch finds its buffers still in its core's cache.
std::shared_ptr<std::byte> allocate(int64_t bytes);

/// During its lifetime, limits the total size of tensors allocated on this thread, including freed ones; a request that
/// exceeds the limit throws bad_input. A tiny file can describe a huge network, so its first run has a limit.
class MemoryAllowance {
 public:
  explicit MemoryAllowance(int64_t bytes);
  ~MemoryAllowance();
  MemoryAllowance(const MemoryAllowance&) = delete;
  MemoryAllowance& operator=(const MemoryAllowance&) = delete;

 private:
  int64_t outer_;
};

/// The limit for one image.
constexpr int64_t bytes_of_one_image = int64_t{1} << 28;

}  // namespace mixgrad
