// SPDX-License-Identifier: Apache-2.0
// Integer accumulators to the codes of the next quantizer by a fixed-point multiplier (SPEC §7).
#pragma once

#include <mixgrad/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "requantize_row.h"

namespace mixgrad::kernels {

using mixgrad::bfloat16;
using mixgrad::FixedPoint;

/// The fixed-point number nearest to `ratio` >= 0. From 2^-14 on, the multiplier has 31 bits; smaller ratios get fewer,
/// since the shift is at most 44, so that x · multiplier < 2^53 if the result is below 2^9: a double holds it exactly.
FixedPoint fixed_point(double ratio);

/// codes[r, c] = clamp(ratios[c].apply(acc[r, c] + bias[c]), low, high). acc and codes are whole numbers held as
/// floats, or codes as bfloat16s; ratios has one element per channel or one for all; bias may be empty.
void requantize(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, float low, float high, std::span<float> codes);
void requantize(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, float low, float high, std::span<bfloat16> codes);

/// What turns the sums of every channel into bytes (two's complement); |sum + bias| < 2^31.
class Requantization {
 public:
  Requantization(int64_t channels, std::span<const int32_t> bias, std::span<const FixedPoint> ratios, int low,
                 int high);
  /// Of one or several rows: the channels are repeated until they fill registers.
  CodeScale scale() const { return {bias_.data(), ratios_.data(), low_, high_}; }
  int64_t size() const { return std::ssize(ratios_); }  ///< of whole rows

 private:
  std::vector<int32_t> bias_;
  std::vector<double> ratios_;
  int low_, high_;
};

/// The same as above from sums in 32 bits [rows, channels].
void requantize(int64_t rows, int64_t channels, std::span<const int32_t> sums, const Requantization& requantization,
                std::span<uint8_t> codes);

/// codes = clamp(ratio.apply(a + b), low, high) of bytes, each in two's complement if it is signed.
struct Addend {
  std::span<const uint8_t> codes;
  bool is_signed;
};
void add_codes(Addend a, Addend b, FixedPoint ratio, int low, int high, std::span<uint8_t> codes);

}  // namespace mixgrad::kernels
