// SPDX-License-Identifier: Apache-2.0
#include "requantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "lanes.h"
#include "parallel.h"

namespace mixgrad::kernels {
namespace {

constexpr int most_shift = 44;

/// Codes of whole rows, as many of them at once as `requantization` has scales for.
template <typename Sum, typename Code>
void codes_of(const Sum* sums, int64_t size, const Requantization& requantization, Code* codes) {
  const CodeScale scale = requantization.scale();
  widest([&]<int Width>() __attribute__((always_inline)) {
    for (int64_t at = 0; at < size; at += requantization.size())
      requantize_row<Width>(sums + at, std::min(requantization.size(), size - at), scale, codes + at);
  });
}

template <typename Code>
void requantize_all(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                    std::span<const FixedPoint> ratios, float low, float high, std::span<Code> codes) {
  const Requantization requantization(channels, bias, ratios, static_cast<int>(low), static_cast<int>(high));
  const int64_t rows_per_chunk = std::max<int64_t>(1, elementwise_grain / std::max<int64_t>(1, channels));
  parallel_chunks(rows, rows_per_chunk, [&](int64_t b, int64_t e) {
    codes_of(acc.data() + b * channels, (e - b) * channels, requantization, codes.data() + b * channels);
  });
}

/// Rows that together fill whole registers: handled as one row, they leave no lanes empty.
int64_t rows_at_once(int64_t channels) {
  constexpr int64_t most_lanes = 8, many_channels = 64;
  return channels > many_channels ? 1 : most_lanes / std::gcd(most_lanes, channels);
}

}  // namespace

FixedPoint fixed_point(double ratio) {
  constexpr int64_t top = std::numeric_limits<int32_t>::max();
  int exponent = 0;
  std::frexp(ratio, &exponent);  // |ratio| < 2^exponent
  const int shift = std::clamp(31 - exponent, 0, most_shift);
  const double multiplier =
      std::clamp(std::nearbyint(std::ldexp(ratio, shift)), static_cast<double>(-top), static_cast<double>(top));
  return {.multiplier = static_cast<int32_t>(multiplier), .shift = shift};
}

void requantize(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, float low, float high, std::span<float> codes) {
  requantize_all(rows, channels, acc, bias, ratios, low, high, codes);
}

void requantize(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, float low, float high, std::span<bfloat16> codes) {
  requantize_all(rows, channels, acc, bias, ratios, low, high, codes);
}

Requantization::Requantization(int64_t channels, std::span<const int32_t> bias, std::span<const FixedPoint> ratios,
                               int low, int high)
    : low_(low), high_(high) {
  for (int64_t row = 0; row < rows_at_once(channels); ++row) {
    for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
      bias_.push_back(bias.empty() ? 0 : bias[c]);
      ratios_.push_back(ratios[ratios.size() == 1 ? 0 : c].value());
    }
  }
}

void requantize(int64_t rows, int64_t channels, std::span<const int32_t> sums, const Requantization& requantization,
                std::span<uint8_t> codes) {
  codes_of(sums.data(), rows * channels, requantization, codes.data());
}

namespace {

MIXGRAD_INLINE int value(uint8_t code, int sign) { return (code ^ sign) - sign; }

}  // namespace

void add_codes(Addend a, Addend b, FixedPoint ratio, int low, int high, std::span<uint8_t> codes) {
  constexpr int64_t at_once = 256;
  const Requantization requantization(at_once, {}, {&ratio, 1}, low, high);
  const CodeScale scale = requantization.scale();
  const int sign_a = a.is_signed ? 0x80 : 0, sign_b = b.is_signed ? 0x80 : 0;
  widest([&]<int Width>() __attribute__((always_inline)) {
    alignas(64) std::array<int32_t, at_once> sums;
    for (int64_t k = 0; k < std::ssize(codes); k += at_once) {
      const int64_t count = std::min(at_once, std::ssize(codes) - k);
      const uint8_t *from_a = a.codes.data() + k, *from_b = b.codes.data() + k;
      int32_t* sum = sums.data();
      for (int64_t i = 0; i < count; ++i) sum[i] = value(from_a[i], sign_a) + value(from_b[i], sign_b);
      requantize_row<Width>(sum, count, scale, codes.data() + k);
    }
  });
}

}  // namespace mixgrad::kernels
