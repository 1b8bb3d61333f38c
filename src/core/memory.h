// SPDX-License-Identifier: Apache-2.0
// Caching allocator: a steady training step asks the system for nothing.
#pragma once

#include <cstdint>
#include <memory>

namespace mixgrad {

/// `count` uninitialised floats, aligned to 64 bytes. Freed memory waits in a list of the freeing thread for the
/// next request of the same size, so a micro-batch finds its buffers still in its core's cache.
std::shared_ptr<float> allocate_floats(int64_t count);

}  // namespace mixgrad
