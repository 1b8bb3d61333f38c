// SPDX-License-Identifier: Apache-2.0
// Vectors of bfloat16 and their products on CPUs with AVX512_BF16. Only for files that are compiled for them; to be
// included before templates that use these functions.
#pragma once

#include <immintrin.h>

#include "lanes.h"

namespace mixgrad::kernels {

/// Two terms of a sum: an instruction multiplies them by two others and adds both products.
struct Pair {
  static constexpr int64_t terms = 2;
  bfloat16 first, second;
};

using V16 = Lanes<16>;

MIXGRAD_INLINE __m256i narrowed(V16 v) { return (__m256i)_mm512_cvtneps_pbh((__m512)v); }

template <typename V>
MIXGRAD_INLINE V load(const bfloat16* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return (V)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}
MIXGRAD_INLINE void store(bfloat16* to, V16 v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrowed(v)); }

template <typename V>
MIXGRAD_INLINE V load(const Pair* from) {
  return (V)_mm512_loadu_si512(from);
}

/// Pairs that are neighbours in v.
MIXGRAD_INLINE void store_in_row(Pair* to, V16 v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrowed(v)); }

/// The first or the second terms of pairs. The first ones clear the second ones.
MIXGRAD_INLINE void store_term(Pair* to, V16 v, int64_t term) {
  const __m512i words = _mm512_cvtepu16_epi32(narrowed(v));
  _mm512_storeu_si512(to, term == 0 ? words : _mm512_or_si512(_mm512_loadu_si512(to), _mm512_slli_epi32(words, 16)));
}

MIXGRAD_INLINE V16 add_product(V16 sums, Pair a, V16 factors) {
  const __m512i pairs = _mm512_set1_epi32(std::bit_cast<int32_t>(a));
  return (V16)_mm512_dpbf16_ps((__m512)sums, (__m512bh)pairs, (__m512bh)(__m512)factors);
}

}  // namespace mixgrad::kernels
