// SPDX-License-Identifier: Apache-2.0
// The counter behind conv_seconds(): wall time of convolution calls, summed over threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mixgrad::kernels {

class ConvClock {
 public:
  ConvClock() : counting_(enabled.load(std::memory_order_relaxed)) {
    if (counting_) start_ = std::chrono::steady_clock::now();
  }
  ~ConvClock() {
    if (counting_) nanoseconds += std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count();
  }
  ConvClock(const ConvClock&) = delete;
  ConvClock& operator=(const ConvClock&) = delete;

  static inline std::atomic<bool> enabled = false;
  static inline std::atomic<int64_t> nanoseconds = 0;

 private:
  bool counting_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace mixgrad::kernels
