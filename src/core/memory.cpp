// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>

#include <src/internal/memory.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mixgrad {
namespace {

constexpr size_t alignment = 64;
constexpr size_t most_cached_bytes = size_t{64} << 20;  // per thread; more is returned to the system

/// One thread's freed blocks by size, reused while they are still in its core's cache. A block always returns to the
/// thread that allocated it. Otherwise blocks would drift between threads, and each thread would end up holding the
/// memory of all.
class Cache {
 public:
  Cache() = default;
  ~Cache() {
    for (auto& [bytes, blocks] : free_) {
      for (std::byte* block : blocks) std::free(block);
    }
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  std::byte* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto found = free_.find(bytes);
    if (found == free_.end() || found->second.empty()) return nullptr;
    std::byte* block = found->second.back();
    found->second.pop_back();
    cached_bytes_ -= bytes;
    return block;
  }

  void give(std::byte* block, size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (cached_bytes_ + bytes > most_cached_bytes) {
      std::free(block);
      return;
    }
    free_[bytes].push_back(block);
    cached_bytes_ += bytes;
  }

 private:
  std::mutex mutex_;  // rarely contended: most blocks are freed by the thread that allocated them
  std::unordered_map<size_t, std::vector<std::byte*>> free_;
  size_t cached_bytes_ = 0;
};

/// Lives until its thread has ended and all its blocks are freed.
const std::shared_ptr<Cache>& own_cache() {
  thread_local const auto instance = std::make_shared<Cache>();
  return instance;
}

thread_local int64_t allowed = std::numeric_limits<int64_t>::max();

}  // namespace

MemoryAllowance::MemoryAllowance(int64_t bytes) : outer_(std::exchange(allowed, bytes)) {}
MemoryAllowance::~MemoryAllowance() { allowed = outer_; }

std::shared_ptr<std::byte> allocate(int64_t wanted) {
  if (wanted > allowed)
    bad_input("too much memory: a tensor needs {} bytes, but {} are left for one image", wanted, allowed);
  if (allowed != std::numeric_limits<int64_t>::max()) allowed -= wanted;
  const size_t bytes = std::max(static_cast<size_t>(wanted) + alignment - 1, alignment) / alignment * alignment;
  const std::shared_ptr<Cache>& cache = own_cache();
  std::byte* block = cache->take(bytes);
  if (block == nullptr) block = static_cast<std::byte*>(std::aligned_alloc(alignment, bytes));
  if (block == nullptr) failed_run("out of memory: could not allocate {} bytes for a tensor", bytes);
  return {block, [cache, bytes](std::byte* freed) { cache->give(freed, bytes); }};
}

}  // namespace mixgrad
