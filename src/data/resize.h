// SPDX-License-Identifier: Apache-2.0
// Sampling of images at other positions and sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace mixgrad::data {

/// The source positions that contribute to one target position, and their weights: enlarging interpolates, shrinking
/// averages.
struct Taps {
  int64_t first;
  std::vector<float> weights;
};

/// For `to` target positions that cover `length` source positions from `begin` on, of the `from` that there are.
std::vector<Taps> taps(int64_t from, double begin, double length, int64_t to);

/// The sum of value(row, column) with the weights of both.
template <typename Value>
float weighted(const Taps& y, const Taps& x, const Value& value) {
  float sum = 0;
  for (size_t a = 0; a < y.weights.size(); ++a) {
    for (size_t b = 0; b < x.weights.size(); ++b) {
      sum += y.weights[a] * x.weights[b] * value(y.first + static_cast<int64_t>(a), x.first + static_cast<int64_t>(b));
    }
  }
  return sum;
}

inline uint8_t to_byte(float v) { return static_cast<uint8_t>(std::lround(std::clamp(v, 0.0F, 255.0F))); }

}  // namespace mixgrad::data
