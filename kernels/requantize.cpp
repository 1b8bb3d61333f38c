// SPDX-License-Identifier: Apache-2.0
#include "requantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "bfloat16.h"
#include "lanes.h"
#include "parallel.h"

namespace mixgrad::kernels {
namespace {

constexpr int most_shift = 44;

void rows_of(const float* acc, int64_t rows, int64_t channels, const CodeScale& scale, float* codes) {
  widest([&]<int Width>() __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r) requantize_row<Width>(acc + r * channels, channels, scale, codes + r * channels);
  });
}

/// By way of floats in the L1 cache: a loop that narrows doubles to 16 bits would vectorize badly.
void rows_of(const float* acc, int64_t rows, int64_t channels, const CodeScale& scale, bfloat16* codes) {
  const int64_t most = std::max<int64_t>(1, 2048 / channels);
  std::vector<float> block(static_cast<size_t>(std::min(rows, most) * channels));
  for (int64_t r = 0; r < rows; r += most) {
    const int64_t count = std::min(most, rows - r), size = count * channels;
    rows_of(acc + r * channels, count, channels, scale, block.data());
    from_float({block.data(), static_cast<size_t>(size)}, {codes + r * channels, static_cast<size_t>(size)});
  }
}

template <typename Code>
void requantize_all(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                    std::span<const FixedPoint> ratios, float low, float high, std::span<Code> codes) {
  const Requantization requantization(channels, bias, ratios, static_cast<int>(low), static_cast<int>(high));
  const CodeScale scale = requantization.scale();
  const int64_t rows_per_chunk = std::max<int64_t>(1, elementwise_grain / std::max<int64_t>(1, channels));
  parallel_chunks(rows, rows_per_chunk, [&](int64_t b, int64_t e) {
    rows_of(acc.data() + b * channels, e - b, channels, scale, codes.data() + b * channels);
  });
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
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    bias_.push_back(bias.empty() ? 0 : bias[c]);
    ratios_.push_back(ratios[ratios.size() == 1 ? 0 : c].value());
  }
}

void requantize(int64_t rows, int64_t channels, std::span<const int32_t> sums, const Requantization& requantization,
                std::span<uint8_t> codes) {
  const CodeScale scale = requantization.scale();
  widest([&]<int Width>() __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r)
      requantize_row<Width>(sums.data() + r * channels, channels, scale, codes.data() + r * channels);
  });
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
