// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <mixgrad/error.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>
#include <vector>

namespace mixgrad {
namespace {

constexpr size_t alignment = 64;
constexpr size_t most_cached_bytes = size_t{64} << 20;  // per thread; beyond it memory goes back to the system

class Cache {
 public:
  Cache() { alive() = true; }
  ~Cache() {
    alive() = false;
    for (auto& [bytes, blocks] : free_) {
      for (std::byte* block : blocks) std::free(block);
    }
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  std::byte* take(size_t bytes) {
    auto found = free_.find(bytes);
    if (found == free_.end() || found->second.empty()) return nullptr;
    std::byte* block = found->second.back();
    found->second.pop_back();
    cached_bytes_ -= bytes;
    return block;
  }

  bool give(std::byte* block, size_t bytes) {
    if (cached_bytes_ + bytes > most_cached_bytes) return false;
    free_[bytes].push_back(block);
    cached_bytes_ += bytes;
    return true;
  }

  /// Whether this thread's cache exists: tensors with static lifetime may be freed after it.
  static bool& alive() {
    thread_local bool value = false;
    return value;
  }

 private:
  std::unordered_map<size_t, std::vector<std::byte*>> free_;
  size_t cached_bytes_ = 0;
};

Cache& cache() {
  thread_local Cache instance;
  return instance;
}

}  // namespace

std::shared_ptr<std::byte> allocate(int64_t wanted) {
  const size_t bytes = std::max(static_cast<size_t>(wanted) + alignment - 1, alignment) / alignment * alignment;
  std::byte* block = cache().take(bytes);
  if (block == nullptr) block = static_cast<std::byte*>(std::aligned_alloc(alignment, bytes));
  if (block == nullptr) failed_run("out of memory: could not allocate {} bytes for a tensor", bytes);
  return {block, [bytes](std::byte* freed) {
            if (!Cache::alive() || !cache().give(freed, bytes)) std::free(freed);
          }};
}

}  // namespace mixgrad
