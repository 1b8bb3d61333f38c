// SPDX-License-Identifier: Apache-2.0
// Vectors of floats in the compiler's own extension: they have + - * and comparisons, and `mask ? a : b` picks lane
// by lane. A kernel is a template over the vector type, made once per instruction set (MIXGRAD_MULTIVERSION), each
// time with the width of that set's registers: GCC 12 turns comparisons of wider vectors into scalar code.
#pragma once

#include <bit>
#include <cstdint>

// Functions that differ only in their target are one function; the loader picks the newest that the CPU has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(MIXGRAD_NO_CLONES)
#define MIXGRAD_MULTIVERSION 1
#define MIXGRAD_TARGET(isa) [[gnu::target(isa)]]
#else
#define MIXGRAD_MULTIVERSION 0
#define MIXGRAD_TARGET(isa)
#endif
#define MIXGRAD_INLINE [[gnu::always_inline]] inline

namespace mixgrad::kernels {

template <int Width>
struct LanesOf {
  typedef float Type __attribute__((vector_size(4 * Width)));
  typedef float Unaligned __attribute__((vector_size(4 * Width), aligned(4), may_alias));
  typedef int32_t Bits __attribute__((vector_size(4 * Width)));
};

template <int Width>
using Lanes = typename LanesOf<Width>::Type;

template <typename V>
inline constexpr int lane_count = static_cast<int>(sizeof(V) / sizeof(float));

#if defined(__AVX512F__)
inline constexpr int native_width = 16;
#elif defined(__AVX__)
inline constexpr int native_width = 8;
#else
inline constexpr int native_width = 4;
#endif

template <typename V>
MIXGRAD_INLINE V load(const float* from) {
  return *reinterpret_cast<const typename LanesOf<lane_count<V>>::Unaligned*>(from);
}

template <typename V>
MIXGRAD_INLINE void store(float* to, V value) {
  *reinterpret_cast<typename LanesOf<lane_count<V>>::Unaligned*>(to) = value;
}

template <typename V>
MIXGRAD_INLINE V broadcast(float value) {
  return value - V{};
}

/// The smaller of `bound` and v, and v where v is NaN: the order that minps has too.
template <typename V>
MIXGRAD_INLINE V at_most(V bound, V v) {
  return bound < v ? bound : v;
}

/// max(v, 0), and NaN where v is NaN.
template <typename V>
MIXGRAD_INLINE V positive_part(V v) {
  return V{} > v ? V{} : v;
}

/// v with its sign flipped in the lanes where `sign` is negative.
template <typename V>
MIXGRAD_INLINE V flip(V v, V sign) {
  using Bits = typename LanesOf<lane_count<V>>::Bits;
  return (V)((Bits)v ^ ((Bits)sign & std::bit_cast<int32_t>(0x80000000u)));
}

/// To the nearest integer, half to even, for |v| < 2^22: adding 1.5 * 2^23 pushes the fraction out of the mantissa.
template <typename V>
MIXGRAD_INLINE V round_even(V v) {
  constexpr float shift = 0x1.8p23f;
  return (v + shift) - shift;
}

template <typename V>
MIXGRAD_INLINE double sum(V v) {
  double total = 0;
  for (int l = 0; l < lane_count<V>; ++l) total += static_cast<double>(v[l]);
  return total;
}

}  // namespace mixgrad::kernels
