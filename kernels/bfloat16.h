// SPDX-License-Identifier: Apache-2.0
// bfloat16, the upper half of a float: how activations and their gradients may be stored. Arithmetic stays in float.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace mixgrad::kernels {

struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  /// To the nearest, half to even; too large becomes infinity, NaN stays NaN.
  constexpr explicit bfloat16(float value) : bits(rounded(value)) {}
  /// Exact.
  constexpr operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }

 private:
  static constexpr uint16_t rounded(float value) {
    const auto whole = std::bit_cast<uint32_t>(value);
    const uint32_t quiet = whole | 0x00400000;  // a NaN must not lose its last bit, nor be carried into the sign
    return static_cast<uint16_t>((value == value ? whole + 0x7fff + (whole >> 16 & 1) : quiet) >> 16);
  }
};

void to_float(std::span<const bfloat16> x, std::span<float> y);
void from_float(std::span<const float> x, std::span<bfloat16> y);

}  // namespace mixgrad::kernels
