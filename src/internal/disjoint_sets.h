// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace mixgrad {

/// A partition of 0 .. size - 1 whose parts can be joined (union-find).
class DisjointSets {
 public:
  explicit DisjointSets(size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }

  /// The representative of i's set.
  size_t find(size_t i) const {
    while (parent_[i] != i) i = parent_[i];
    return i;
  }
  size_t find(int i) const { return find(static_cast<size_t>(i)); }
  void unite(size_t a, size_t b) { parent_[find(a)] = find(b); }
  void unite(int a, int b) { unite(static_cast<size_t>(a), static_cast<size_t>(b)); }
  size_t size_of_set(int i) const {
    size_t members = 0;
    for (size_t n = 0; n < parent_.size(); ++n) members += find(n) == find(i);
    return members;
  }

 private:
  std::vector<size_t> parent_;
};

}  // namespace mixgrad
