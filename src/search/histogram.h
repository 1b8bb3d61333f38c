// SPDX-License-Identifier: Apache-2.0
// The distribution of a tensor's values, for calibration.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mixgrad {

/// The distinct sizes |x| > 0, ascending, and their counts; sizes within 0.05% of each other count as one.
struct Sizes {
  std::vector<float> values;
  std::vector<int64_t> counts;

  int64_t total() const;
};

/// Counts values in bins that share float32's exponent and 11 leading bits of the mantissa, so tensors of any scale are
/// resolved equally, and an outlier hides nothing.
class Histogram {
 public:
  /// Throws bad_input if a value is NaN or infinite.
  void add(std::span<const float> x);

  float smallest() const { return smallest_; }
  /// Of all non-zero |x|; leave out negative values if the quantizer cuts them to 0.
  Sizes sizes(bool with_negative = true) const;

 private:
  static constexpr int octaves = 255, bins = 1 << 11;
  using Octaves = std::vector<std::vector<int64_t>>;  // by exponent; empty without values

  Octaves positive_ = Octaves(octaves), negative_ = Octaves(octaves);
  float smallest_ = 0, largest_ = 0;
};

}  // namespace mixgrad
