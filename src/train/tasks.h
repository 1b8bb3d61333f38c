// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tensor.h>

#include <cstdint>
#include <exception>
#include <mutex>
#include <span>

namespace mixgrad::train {

/// Images whose largest logit stands at their label; logits [N, classes].
int64_t count_correct(const Tensor& logits, std::span<const int32_t> labels);

/// Calls body(i) for i in [0, count), each on one thread; passes on the first exception.
template <typename Body>
void parallel_tasks(int64_t count, const Body& body) {
  std::exception_ptr error;
  std::mutex mutex;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace mixgrad::train
