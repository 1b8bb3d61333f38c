// SPDX-License-Identifier: Apache-2.0
// Compiled once per instruction set: nothing here may be visible to the linker but MIXGRAD_ISA.
#include <immintrin.h>

#include "conv2d_int8_isas.h"

namespace mixgrad::kernels::int8 {
namespace {

#if defined(__AVX512VNNI__)

using Code = uint8_t;
constexpr int lanes = 16, most_vectors = 4;
typedef int32_t Sums __attribute__((vector_size(4 * lanes), may_alias));

MIXGRAD_INLINE Sums add_products(Sums sums, Sums x, Sums w) {
  return (Sums)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)x, (__m512i)w);
}
MIXGRAD_INLINE Sums one_a_word(const Code* x) {
  return (Sums)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

#elif defined(__AVXVNNI__)

using Code = uint8_t;
constexpr int lanes = 8, most_vectors = 2;
typedef int32_t Sums __attribute__((vector_size(4 * lanes), may_alias));

MIXGRAD_INLINE Sums add_products(Sums sums, Sums x, Sums w) {
  return (Sums)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)x, (__m256i)w);
}
MIXGRAD_INLINE Sums one_a_word(const Code* x) {
  return (Sums)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x)));
}

#else  // AVX2: its sums of pairs of bytes saturate, those of pairs of 16-bit numbers do not

using Code = int16_t;
constexpr int lanes = 8, most_vectors = 2;
typedef int32_t Sums __attribute__((vector_size(4 * lanes), may_alias));

MIXGRAD_INLINE Sums add_products(Sums sums, Sums x, Sums w) {
  return sums + (Sums)_mm256_madd_epi16((__m256i)x, (__m256i)w);
}
MIXGRAD_INLINE Sums one_a_word(const Code* x) {
  return (Sums)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

#endif

constexpr int codes_per_word = 4 / sizeof(Code);

MIXGRAD_INLINE Sums loaded(const void* from) {
  Sums v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

MIXGRAD_INLINE Sums repeated(const Code* x) {
  int32_t word = 0;
  std::memcpy(&word, x, sizeof word);
  return word - Sums{};
}

/// The output positions of a job, one after the other.
struct Positions {
  explicit Positions(const Job& of) : j(of), image(static_cast<const Code*>(j.x)), row(image), x(image) {}

  const Code* next() {
    const Code* at = x;
    x += j.column_step;
    if (++column == j.columns) {
      column = 0, x = row += j.row_step;
      if (++line == j.rows) line = 0, x = row = image += j.image_step;
    }
    return at;
  }

  const Job& j;
  const Code *image, *row, *x;
  int64_t column = 0, line = 0;
};

/// A block of weights and what it makes.
struct Block {
  const uint32_t* weights;
  int64_t channel;
};

template <int Count, int Vectors>
MIXGRAD_INLINE void put(const Job& j, const Block& b, int64_t position, const Sums (&sums)[Count][Vectors]) {
  const int64_t rest = j.channels - b.channel, channels = rest < Vectors * lanes ? rest : Vectors * lanes;
  alignas(64) int32_t row[Count][Vectors * lanes];
  std::memcpy(row, sums, sizeof row);
  for (int p = 0; p < Count; ++p) {
    const int64_t at = (position + p) * j.all_channels + b.channel;
    if (j.codes != nullptr)
      requantize_row<lanes>(row[p], channels, j.scale.from(b.channel), j.codes + at);
    else if (j.sums != nullptr)
      for (int64_t c = 0; c < channels; ++c) j.sums[at + c] = row[p][c];
    else
      for (int64_t c = 0; c < channels; ++c) j.floats[at + c] = static_cast<float>(row[p][c]);
  }
}

template <bool Depthwise, int Count, int Vectors>
MIXGRAD_INLINE void tile(const Job& j, const Block& b, int64_t position, Positions& positions) {
  const Code* x[Count];
  for (int p = 0; p < Count; ++p) x[p] = positions.next() + (Depthwise ? b.channel : 0);
  Sums sums[Count][Vectors];
  for (int v = 0; v < Vectors; ++v) {
    const Sums start = loaded(j.start + b.channel + v * lanes);
    for (int p = 0; p < Count; ++p) sums[p][v] = start;
  }
  const uint32_t* weights = b.weights;
  for (int64_t r = 0; r < j.runs; ++r) {
    const Code* run[Count];
    for (int p = 0; p < Count; ++p) run[p] = x[p] + j.offsets[r];
    for (int64_t k = 0; k < (Depthwise ? 1 : j.words); ++k, weights += Vectors * lanes) {
      Sums w[Vectors];
      for (int v = 0; v < Vectors; ++v) w[v] = loaded(weights + v * lanes);
      for (int p = 0; p < Count; ++p) {
        const Sums codes = Depthwise ? one_a_word(run[p]) : repeated(run[p] + k * codes_per_word);
        for (int v = 0; v < Vectors; ++v) sums[p][v] = add_products(sums[p][v], codes, w[v]);
      }
    }
  }
  put<Count, Vectors>(j, b, position, sums);
}

/// As many positions at once as registers hold sums for, then fewer.
template <bool Depthwise, int Count, int Vectors>
MIXGRAD_INLINE void tiles(const Job& j, const Block& b, int64_t position, int64_t end, Positions& positions) {
  for (; position + Count <= end; position += Count) tile<Depthwise, Count, Vectors>(j, b, position, positions);
  if constexpr (Count > 1) tiles<Depthwise, Count / 2, Vectors>(j, b, position, end, positions);
}

template <bool Depthwise, int Vectors>
void block(const Job& j, const Block& b) {
  constexpr int count = Vectors == 1 && lanes == 16 ? 12 : 6;
  Positions positions(j);
  tiles<Depthwise, count, Vectors>(j, b, 0, j.images * j.rows * j.columns, positions);
}

template <bool Depthwise, int Vectors>
void blocks(const Job& j, Block b) {
  constexpr int channels = Vectors * lanes;
  for (; j.channels - b.channel > channels - lanes; b.channel += channels) {
    block<Depthwise, Vectors>(j, b);
    b.weights += j.runs * j.words * channels;
  }
  if constexpr (Vectors > 1) blocks<Depthwise, Vectors - 1>(j, b);
}

void dense(const Job& j) { blocks<false, most_vectors>(j, {j.weights, 0}); }
void depthwise(const Job& j) { blocks<true, 1>(j, {j.weights, 0}); }

}  // namespace

#define MIXGRAD_NAME(isa) #isa
#define MIXGRAD_NAME_OF(isa) MIXGRAD_NAME(isa)
extern const Isa MIXGRAD_ISA;
const Isa MIXGRAD_ISA = {MIXGRAD_NAME_OF(MIXGRAD_ISA), sizeof(Code), lanes, most_vectors, dense, depthwise};

}  // namespace mixgrad::kernels::int8
