// SPDX-License-Identifier: Apache-2.0
// From sums in 32 bits to bytes, in vectors: what kernels call while a row of sums is in the L1 cache.
#pragma once

#include <cstring>

#include "lanes.h"

namespace mixgrad::kernels {

/// Of every channel: code = clamp(⌊(sum + bias) · ratio + 1/2⌋, low, high).
struct CodeScale {
  const int32_t* bias;
  const double* ratio;
  int low, high;

  CodeScale from(int64_t channel) const { return {bias + channel, ratio + channel, low, high}; }
};

/// Vectors of as many lanes as a register of `Width` 32-bit lanes holds doubles.
template <int Width>
struct HalfLanesOf {
  static constexpr int lanes = Width / 2;
  typedef int32_t Sums __attribute__((vector_size(4 * lanes)));
  typedef double Doubles __attribute__((vector_size(8 * lanes)));
  typedef uint8_t Codes __attribute__((vector_size(lanes)));
};

/// Codes of `channels` sums, with registers of `Width` 32-bit lanes. Doubles hold every step exactly up to 2^9 (see
/// fixed_point); what is larger is clamped. Counted from `low`, codes are positive, so truncation rounds them down.
template <int Width>
MIXGRAD_INLINE void requantize_row(const int32_t* sums, int64_t channels, const CodeScale& scale, uint8_t* codes) {
  using Half = HalfLanesOf<Width>;
  using Sums = typename Half::Sums;
  using Doubles = typename Half::Doubles;
  const double first = 0.5 - scale.low, last = scale.high - scale.low;
  int64_t c = 0;
  for (; c + Half::lanes <= channels; c += Half::lanes) {
    Sums sum, bias;
    Doubles ratio;
    std::memcpy(&sum, sums + c, sizeof sum);
    std::memcpy(&bias, scale.bias + c, sizeof bias);
    std::memcpy(&ratio, scale.ratio + c, sizeof ratio);
    const Doubles bottom = {}, top = bottom + last;
    Doubles place = __builtin_convertvector(sum + bias, Doubles) * ratio + first;
    place = place < bottom ? bottom : place;
    place = place > top ? top : place;
    const auto code = __builtin_convertvector(__builtin_convertvector(place, Sums) + scale.low, typename Half::Codes);
    std::memcpy(codes + c, &code, sizeof code);
  }
  for (; c < channels; ++c) {
    const double place = (sums[c] + scale.bias[c]) * scale.ratio[c] + first;
    codes[c] = static_cast<uint8_t>(static_cast<int>(place < 0 ? 0 : place > last ? last : place) + scale.low);
  }
}

}  // namespace mixgrad::kernels
