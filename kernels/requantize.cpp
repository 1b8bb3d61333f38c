// SPDX-License-Identifier: Apache-2.0
#include "requantize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "lanes.h"
#include "parallel.h"

namespace mixgrad::kernels {
namespace {

constexpr int most_shift = 44;

/// The formula of FixedPoint::apply in double, exact below 2^9 (fixed_point) and clamped above.
MIXGRAD_CLONES void requantize_rows(const float* acc, int64_t rows, int64_t channels, const double* bias, const double* ratio,
                                    double low, double high, float* __restrict codes) {
  for (int64_t r = 0; r < rows; ++r, acc += channels, codes += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const double code = std::floor((static_cast<double>(acc[c]) + bias[c]) * ratio[c] + 0.5);
      codes[c] = static_cast<float>(code < low ? low : code > high ? high : code);
    }
  }
}

}  // namespace

double FixedPoint::value() const { return std::ldexp(multiplier, -shift); }

FixedPoint fixed_point(double ratio) {
  constexpr int64_t top = std::numeric_limits<int32_t>::max();
  int exponent = 0;
  std::frexp(ratio, &exponent);  // ratio < 2^exponent
  const int shift = std::clamp(31 - exponent, 0, most_shift);
  const double multiplier = std::min(std::nearbyint(std::ldexp(ratio, shift)), static_cast<double>(top));
  return {.multiplier = static_cast<int32_t>(multiplier), .shift = shift};
}

void requantize(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, float low, float high, std::span<float> codes) {
  const auto n = static_cast<size_t>(channels);
  std::vector<double> ratio(n), offset(n);
  for (size_t c = 0; c < n; ++c) {
    ratio[c] = ratios[ratios.size() == 1 ? 0 : c].value();
    offset[c] = bias.empty() ? 0 : bias[c];
  }
  const int64_t rows_per_chunk = std::max<int64_t>(1, elementwise_grain / std::max<int64_t>(1, channels));
  parallel_chunks(rows, rows_per_chunk, [&](int64_t b, int64_t e) {
    requantize_rows(acc.data() + b * channels, e - b, channels, offset.data(), ratio.data(), static_cast<double>(low),
                    static_cast<double>(high), codes.data() + b * channels);
  });
}

}  // namespace mixgrad::kernels
