// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"

#include <mixgrad/error.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace mixgrad {

int64_t Sizes::total() const { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

void Histogram::add(std::span<const float> x) {
  for (const float v : x) {
    if (v == 0) continue;
    const uint32_t pattern = std::bit_cast<uint32_t>(std::abs(v)) >> 12;
    const uint32_t exponent = pattern / bins;
    if (exponent == octaves) bad_input("calibration: the float network's activations are not finite");
    std::vector<int64_t>& octave = (v < 0 ? negative_ : positive_)[exponent];
    if (octave.empty()) octave.resize(bins, 0);
    ++octave[pattern % bins];
    smallest_ = std::min(smallest_, v);
    largest_ = std::max(largest_, v);
  }
}

Sizes Histogram::sizes(bool with_negative) const {
  const float largest = with_negative ? std::max(largest_, -smallest_) : largest_;
  Sizes out;
  for (uint32_t i = 0; i < octaves * bins; ++i) {
    const auto count = [&](const Octaves& all) { return all[i / bins].empty() ? 0 : all[i / bins][i % bins]; };
    const int64_t n = count(positive_) + (with_negative ? count(negative_) : 0);
    if (n == 0) continue;
    const float middle = std::bit_cast<float>(i << 12 | 1U << 11);
    out.values.push_back(std::min(middle, largest));
    out.counts.push_back(n);
  }
  if (!out.values.empty()) out.values.back() = largest;
  return out;
}

}  // namespace mixgrad
