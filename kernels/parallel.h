// SPDX-License-Identifier: Apache-2.0
// Threads and instruction sets for the loops in this folder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>

#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

// One binary for several instruction sets: the loader picks the newest that the CPU supports.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(MIXGRAD_NO_CLONES)
#define MIXGRAD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MIXGRAD_CLONES
#endif

namespace mixgrad::kernels {

/// Size of a core's L2 cache in bytes.
inline int64_t cache_bytes() {
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : 1 << 20;
}

/// Whether this thread runs in a parallel region, so that what it calls must not start more threads.
inline bool in_parallel() {
#ifdef _OPENMP
  return omp_get_level() > 0;
#else
  return true;
#endif
}

/// Calls `body(begin, end)` on chunks of `grain` elements of [0, n), distributed over the threads; inside a parallel
/// region (a micro-batch has one thread), in order on one thread. The chunks do not depend on the number of threads, so
/// a reduction that adds one partial result per chunk, in order, does not either.
template <typename Body>
void parallel_chunks(int64_t n, int64_t grain, const Body& body) {
  const int64_t chunks = (n + grain - 1) / grain;
#ifdef _OPENMP
  if (chunks > 1 && !in_parallel()) {
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < chunks; ++c) body(c * grain, std::min(n, (c + 1) * grain));
    return;
  }
#endif
  for (int64_t c = 0; c < chunks; ++c) body(c * grain, std::min(n, (c + 1) * grain));
}

/// Calls body(i) for i in [0, count), each on one thread; rethrows the first exception.
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

}  // namespace mixgrad::kernels
