// SPDX-License-Identifier: Apache-2.0
// Integer accumulators to the codes of the next quantizer by a fixed-point multiplier (SPEC §7).
#pragma once

#include <mixgrad/types.h>

#include <cstdint>
#include <span>

namespace mixgrad::kernels {

using mixgrad::FixedPoint;

/// The nearest to `ratio` >= 0. From 2^-14 on with 31 bits of multiplier; smaller ones with the bits that 44 places
/// leave, so that x · multiplier stays below 2^53 wherever the result is below 2^9: double holds it exactly.
FixedPoint fixed_point(double ratio);

/// codes[r, c] = clamp(ratios[c].apply(acc[r, c] + bias[c]), low, high). acc and codes are whole numbers held as
/// floats; ratios has one element per channel or one for all; bias may be empty.
void requantize(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, float low, float high, std::span<float> codes);

/// The same of 32-bit accumulators to bytes (two's complement); |acc + bias| < 2^31.
void requantize(int64_t rows, int64_t channels, std::span<const int32_t> acc, std::span<const int32_t> bias,
                std::span<const FixedPoint> ratios, int low, int high, std::span<uint8_t> codes);

}  // namespace mixgrad::kernels
