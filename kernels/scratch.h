// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace mixgrad::kernels {

/// Working memory for `size` numbers of this thread, aligned to a cache line, with undefined values. It is valid until
/// the thread asks for the same `Use` again.
template <auto Use, typename T = float>
T* scratch(int64_t size) {
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  thread_local std::unique_ptr<T, Free> data;
  thread_local int64_t capacity = 0;
  if (capacity < size) {
    constexpr int64_t line = 64 / sizeof(T);
    capacity = (size + line - 1) / line * line;
    data.reset(static_cast<T*>(std::aligned_alloc(64, static_cast<size_t>(capacity) * sizeof(T))));
    if (!data) {
      capacity = 0;
      throw std::bad_alloc();
    }
  }
  return data.get();
}

}  // namespace mixgrad::kernels
