// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace mixgrad::kernels {

/// Working memory for `size` floats of this thread, aligned to a cache line, with undefined values. It is valid until
/// the thread asks for the same `Use` again.
template <auto Use>
float* scratch(int64_t size) {
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  thread_local std::unique_ptr<float, Free> data;
  thread_local int64_t capacity = 0;
  if (capacity < size) {
    constexpr int64_t line = 64 / sizeof(float);
    capacity = (size + line - 1) / line * line;
    data.reset(static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>(capacity) * sizeof(float))));
    if (!data) {
      capacity = 0;
      throw std::bad_alloc();
    }
  }
  return data.get();
}

}  // namespace mixgrad::kernels
