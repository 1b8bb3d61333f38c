// SPDX-License-Identifier: Apache-2.0
// From sums in 32 bits to bytes, in vectors: what kernels call while a row of sums is in the L1 cache.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>

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
  template <typename T>
  using Of = typename VectorOf<T, lanes>::Type;
  using Doubles = Of<double>;
  /// From as many numbers. (Written out, because GCC 12 converts vectors in halves.)
  template <typename T>
  MIXGRAD_INLINE static Doubles load(const T* from) {
    return [&]<size_t... L>(std::index_sequence<L...>) __attribute__((always_inline)) {
      return Doubles{static_cast<double>(from[L])...};
    }
    (std::make_index_sequence<lanes>());
  }
};

template <typename Half, typename Code, typename Integers>
MIXGRAD_INLINE void store_codes(Integers codes, Code* to) {
  const auto stored = __builtin_convertvector(codes, typename Half::template Of<Code>);
  std::memcpy(to, &stored, sizeof stored);
}
/// Codes have at most 8 bits and a sign: the upper halves of their floats are exact.
template <typename Half, typename Integers>
MIXGRAD_INLINE void store_codes(Integers codes, bfloat16* to) {
  const auto floats = __builtin_convertvector(codes, typename Half::template Of<float>);
  store_codes<Half>((typename Half::template Of<uint32_t>)floats >> 16, reinterpret_cast<uint16_t*>(to));
}

/// Codes of `size` sums, each with a scale of its own, in registers of `Width` 32-bit lanes; sums as int32_t and codes
/// as bytes, or sums as floats and codes as floats or bfloat16s. Doubles hold every step exactly up to 2^9 (see
/// fixed_point); what is larger is clamped. Counted from `low`, codes are positive, so truncation rounds them down.
template <int Width, typename Sum, typename Code>
MIXGRAD_INLINE void requantize_row(const Sum* sums, int64_t size, const CodeScale& scale, Code* codes) {
  using Half = HalfLanesOf<Width>;
  using Doubles = typename Half::Doubles;
  const double first = 0.5 - scale.low, last = scale.high - scale.low;
  int64_t c = 0;
  for (; c + Half::lanes <= size; c += Half::lanes) {
    const Doubles bottom = {}, top = bottom + last;
    Doubles place = (Half::load(sums + c) + Half::load(scale.bias + c)) * Half::load(scale.ratio + c) + first;
    place = place < bottom ? bottom : place;
    place = place > top ? top : place;
    store_codes<Half>(__builtin_convertvector(place, typename Half::template Of<int32_t>) + scale.low, codes + c);
  }
  for (; c < size; ++c) {
    const double place = (static_cast<double>(sums[c]) + scale.bias[c]) * scale.ratio[c] + first;
    const int code = static_cast<int>(place < 0 ? 0 : place > last ? last : place) + scale.low;
    if constexpr (std::is_integral_v<Code>)
      codes[c] = static_cast<Code>(code);
    else
      codes[c] = static_cast<Code>(static_cast<float>(code));
  }
}

}  // namespace mixgrad::kernels
