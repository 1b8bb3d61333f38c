// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/rng.h>
#include <mixgrad/tensor.h>

#include <cstdint>
#include <iterator>
#include <vector>

namespace mixgrad::test {

/// Random choices, the same for the same seed and purpose.
class Dice {
 public:
  Dice(uint64_t seed, const char* purpose) : rng_(seed, purpose) {}

  /// In [low, high].
  int64_t from(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(high - low + 1)));
  }
  bool chance(double probability) { return rng_.uniform() < probability; }
  template <typename T>
  const T& one_of(const std::vector<T>& all) {
    return all[static_cast<size_t>(from(0, std::ssize(all) - 1))];
  }
  /// A random, non-empty subset of `all`.
  std::vector<int> some_of(const std::vector<int>& all) {
    std::vector<int> out;
    while (out.empty()) {
      for (const int v : all) {
        if (chance(0.4)) out.push_back(v);
      }
    }
    return out;
  }
  void fill(const Tensor& t, double size, double offset = 0) {
    for (float& v : t.data()) v = static_cast<float>(rng_.normal() * size + offset);
  }
  void fill_between(const Tensor& t, double low, double high) {
    for (float& v : t.data()) v = static_cast<float>(rng_.uniform(low, high));
  }

 private:
  Rng rng_;
};

}  // namespace mixgrad::test
