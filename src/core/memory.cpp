// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>

#include <src/internal/memory.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace mixgrad {
namespace {

constexpr size_t alignment = 64;
constexpr size_t spare_bytes = size_t{64} << 20;  // per thread, for sizes that are not in use at the same time

/// One thread's freed blocks by size, reused while they are still in its core's cache. A block always returns to the
/// thread that allocated it. Otherwise blocks would drift between threads, and each thread would end up holding the
/// memory of all. Blocks in use and free ones together take no more than were ever in use at once, and the spare bytes:
/// returned to the system, they would have to be cleared by it before their next use, a third of a float step's time.
class Cache {
 public:
  Cache() = default;
  ~Cache() { keep(0); }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// Null if no free block has this size; the caller then allocates one.
  std::byte* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    used_bytes_ += bytes;
    most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
    const auto found = free_.find(bytes);
    if (found == free_.end()) {
      keep(most_used_bytes_ + spare_bytes - used_bytes_);
      return nullptr;
    }
    return remove(found);
  }

  void give(std::byte* block, size_t bytes) {
    const std::lock_guard lock(mutex_);
    used_bytes_ -= bytes;
    free_bytes_ += bytes;
    free_[bytes].push_back(block);
  }

 private:
  using Blocks = std::map<size_t, std::vector<std::byte*>>;  // no vector is empty

  std::byte* remove(Blocks::iterator at) {
    std::byte* block = at->second.back();
    at->second.pop_back();
    free_bytes_ -= at->first;
    if (at->second.empty()) free_.erase(at);
    return block;
  }

  /// Returns free blocks to the system, the largest first, until at most `bytes` are left.
  void keep(size_t bytes) {
    while (free_bytes_ > bytes) std::free(remove(std::prev(free_.end())));
  }

  std::mutex mutex_;  // rarely contended: most blocks are freed by the thread that allocated them
  Blocks free_;
  size_t free_bytes_ = 0, used_bytes_ = 0, most_used_bytes_ = 0;
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
