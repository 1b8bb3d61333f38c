// SPDX-License-Identifier: Apache-2.0
// Float vectors, using the compiler's vector extension: they support + - * and comparisons, and `mask ? a : b` selects
// per lane. A kernel is a template over the vector type, compiled once per instruction set (widest) with the width of
// its registers, because GCC 12 turns comparisons of wider vectors into scalar code.
#pragma once

#include <bit>
#include <cstdint>

#include "bfloat16.h"
#include "parallel.h"

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
  typedef uint32_t Words __attribute__((vector_size(4 * Width)));
  typedef uint32_t UnalignedWords __attribute__((vector_size(4 * Width), aligned(2), may_alias));
};

template <int Width>
using Lanes = typename LanesOf<Width>::Type;

template <typename T, int Width>
struct VectorOf {
  typedef T Type __attribute__((vector_size(sizeof(T) * Width)));
};

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

// Loads and stores handle two vectors at a time. For floats, the first vector (Part 0) holds the first half of the
// elements; for bfloat16, those at even indices, because one instruction each splits them without a shuffle.
template <int Part, typename V>
MIXGRAD_INLINE V load_part(const float* from) {
  return load<V>(from + Part * lane_count<V>);
}

template <int Part, typename V>
MIXGRAD_INLINE V load_part(const bfloat16* from) {
  using L = LanesOf<lane_count<V>>;
  const typename L::Words both = *reinterpret_cast<const typename L::UnalignedWords*>(from);
  return (V)(Part == 0 ? both << 16 : both & 0xffff0000u);
}

template <typename V>
MIXGRAD_INLINE void store_parts(float* to, V first, V second) {
  store(to, first);
  store(to + lane_count<V>, second);
}

/// The bits of v, with the upper half rounded as bfloat16(float) rounds. v comes from arithmetic, so a NaN is quiet and
/// remains a NaN without its lower half.
template <typename V>
MIXGRAD_INLINE typename LanesOf<lane_count<V>>::Words rounded(V v) {
  const auto whole = (typename LanesOf<lane_count<V>>::Words)v;
  return v == v ? whole + 0x7fff + (whole >> 16 & 1) : whole;
}

template <typename V>
MIXGRAD_INLINE void store_parts(bfloat16* to, V first, V second) {
  const auto both = (rounded(first) >> 16) | (rounded(second) & 0xffff0000u);
  *reinterpret_cast<typename LanesOf<lane_count<V>>::UnalignedWords*>(to) = both;
}

template <typename V>
MIXGRAD_INLINE V broadcast(float value) {
  return value - V{};
}

/// min(bound, v), or NaN if v is NaN. The operands are in the order of minps.
template <typename V>
MIXGRAD_INLINE V at_most(V bound, V v) {
  return bound < v ? bound : v;
}

/// max(v, 0), or NaN if v is NaN.
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

/// Rounds to the nearest integer, ties to even, for |v| < 2^22: adding 1.5 * 2^23 shifts the fraction out.
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

constexpr int64_t rounded_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

// Calls `body.template operator()<lanes>()`, an always_inline lambda, compiled for the newest instruction set of the
// CPU, with as many lanes as its registers have.
#if MIXGRAD_MULTIVERSION
template <typename Body>
MIXGRAD_TARGET("arch=x86-64-v4")
void run_v4(const Body& body) {
  body.template operator()<16>();
}
template <typename Body>
MIXGRAD_TARGET("arch=x86-64-v3")
void run_v3(const Body& body) {
  body.template operator()<8>();
}
#endif
template <typename Body>
void widest(const Body& body) {
#if MIXGRAD_MULTIVERSION
  if (__builtin_cpu_supports("x86-64-v4")) return run_v4(body);
  if (__builtin_cpu_supports("x86-64-v3")) return run_v3(body);
#endif
  body.template operator()<native_width>();
}

/// The number of lanes that `widest` passes.
inline int widest_lanes() {
  int lanes = 0;
  widest([&]<int Width>() __attribute__((always_inline)) { lanes = Width; });
  return lanes;
}

inline constexpr int64_t elementwise_grain = 16384;  // elements per chunk; the L2 cache holds several chunks

/// Calls `body(i)` for every element; `body` must be always inlined.
template <typename Body>
void for_each_index(size_t n, const Body& body) {
  parallel_chunks(static_cast<int64_t>(n), elementwise_grain, [&](int64_t begin, int64_t end) {
    widest([&]<int>() __attribute__((always_inline)) {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) body(i);
    });
  });
}

}  // namespace mixgrad::kernels
