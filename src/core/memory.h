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

}  // namespace mixgrad
