// SPDX-License-Identifier: Apache-2.0
// What calibration keeps of the values that a tensor takes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mixgrad {

/// Sizes |x| > 0 that occur, ascending, and how often; sizes nearer to each other than 0.05% count as one.
struct Sizes {
  std::vector<float> values;
  std::vector<int64_t> counts;

  int64_t total() const;
};

/// Counts values in bins as wide as float32's 11 leading binary places tell them apart: tensors of any scale are seen
/// alike, and an outlier hides nothing.
class Histogram {
 public:
  /// Throws bad_input where one is NaN or infinite.
  void add(std::span<const float> x);

  float smallest() const { return smallest_; }
  /// Of |x|, zeros aside; without negative values where these will be cut to 0.
  Sizes sizes(bool with_negative = true) const;

 private:
  static constexpr int octaves = 255, bins = 1 << 11;
  using Octaves = std::vector<std::vector<int64_t>>;  // by exponent; empty where there is none of it

  Octaves positive_ = Octaves(octaves), negative_ = Octaves(octaves);
  float smallest_ = 0, largest_ = 0;
};

}  // namespace mixgrad
