// SPDX-License-Identifier: Apache-2.0
#include "reduce.h"

#include <vector>

#include "lanes.h"

namespace mixgrad::kernels {
namespace {

// Four rows at a time, so that the dependency on `sums` does not limit the speed.
template <typename T>
MIXGRAD_INLINE void add_rows(const T* x, int64_t begin, int64_t end, int64_t channels, float* __restrict sums) {
  std::fill_n(sums, channels, 0.0f);
  int64_t r = begin;
  for (; r + 4 <= end; r += 4) {
    const T* row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c)
      sums[c] += (row[c] + row[c + channels]) + (row[c + 2 * channels] + row[c + 3 * channels]);
  }
  for (; r < end; ++r)
    for (int64_t c = 0; c < channels; ++c) sums[c] += x[r * channels + c];
}

MIXGRAD_CLONES void sum_rows(const float* x, int64_t begin, int64_t end, int64_t channels, float* sums) {
  add_rows(x, begin, end, channels, sums);
}
MIXGRAD_CLONES void sum_rows(const bfloat16* x, int64_t begin, int64_t end, int64_t channels, float* sums) {
  add_rows(x, begin, end, channels, sums);
}

template <typename T>
void sum_columns(int64_t rows, int64_t channels, std::span<const T> x, Grad out) {
  const int64_t chunks = (rows + rows_per_partial - 1) / rows_per_partial;
  std::vector<float> partials(static_cast<size_t>(chunks * channels));
  parallel_chunks(rows, rows_per_partial, [&](int64_t begin, int64_t end) {
    sum_rows(x.data(), begin, end, channels, partials.data() + begin / rows_per_partial * channels);
  });
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t k = 0; k < chunks; ++k) sum += partials[static_cast<size_t>(k * channels + c)];
    out.put(c, static_cast<float>(sum));
  }
}

}  // namespace

void column_sums(int64_t rows, int64_t channels, std::span<const float> x, Grad out) {
  sum_columns(rows, channels, x, out);
}
void column_sums(int64_t rows, int64_t channels, std::span<const bfloat16> x, Grad out) {
  sum_columns(rows, channels, x, out);
}

}  // namespace mixgrad::kernels
