// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "layout.h"

namespace mixgrad::kernels {
namespace {

template <typename T>
void to_rows(int64_t n, int64_t c, int64_t positions, const T* x, float* y) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t p = 0; p < positions; ++p) {
      for (int64_t k = 0; k < c; ++k) y[(i * c + k) * positions + p] = x[(i * positions + p) * c + k];
    }
  }
}

template <typename T>
void to_channels_last(int64_t n, int64_t c, int64_t positions, const float* gy, GradOf<T> gx) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t p = 0; p < positions; ++p) {
      for (int64_t k = 0; k < c; ++k) gx.put((i * positions + p) * c + k, gy[(i * c + k) * positions + p]);
    }
  }
}

}  // namespace

void channels_last_to_rows(int64_t n, int64_t c, int64_t positions, std::span<const float> x, std::span<float> y) {
  to_rows(n, c, positions, x.data(), y.data());
}
void channels_last_to_rows(int64_t n, int64_t c, int64_t positions, std::span<const bfloat16> x, std::span<float> y) {
  to_rows(n, c, positions, x.data(), y.data());
}

void rows_to_channels_last(int64_t n, int64_t c, int64_t positions, std::span<const float> gy, Grad gx) {
  to_channels_last(n, c, positions, gy.data(), gx);
}
void rows_to_channels_last(int64_t n, int64_t c, int64_t positions, std::span<const float> gy, GradOf<bfloat16> gx) {
  to_channels_last(n, c, positions, gy.data(), gx);
}

namespace {

/// 4 rows and 4 columns.
template <typename T>
void transpose_block(const T* from, int64_t columns, int64_t width, T* to) {
  typedef T V __attribute__((vector_size(4 * sizeof(T))));
  const auto row = [=](int64_t r) {
    V v;
    std::memcpy(&v, from + r * columns, sizeof v);
    return v;
  };
  const auto put = [=](int64_t c, V v) { std::memcpy(to + c * width, &v, sizeof v); };
  const V a = row(0), b = row(1), c = row(2), d = row(3);
  const V left_ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), right_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const V left_cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), right_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  put(0, __builtin_shufflevector(left_ab, left_cd, 0, 1, 4, 5));
  put(1, __builtin_shufflevector(left_ab, left_cd, 2, 3, 6, 7));
  put(2, __builtin_shufflevector(right_ab, right_cd, 0, 1, 4, 5));
  put(3, __builtin_shufflevector(right_ab, right_cd, 2, 3, 6, 7));
}

template <typename T>
void transpose_all(const T* from, int64_t rows, int64_t columns, int64_t width, T* to) {
  constexpr int64_t block = 4;
  rows = std::min(rows, width);
  for (int64_t first = 0; first < columns; first += block) {
    const int64_t last = std::min(first + block, columns);
    const int64_t whole = last - first == block ? rows / block * block : 0;
    for (int64_t r = 0; r < whole; r += block)
      transpose_block(from + r * columns + first, columns, width, to + first * width + r);
    for (int64_t c = first; c < last; ++c) {
      for (int64_t r = whole; r < rows; ++r) to[c * width + r] = from[r * columns + c];
      std::fill(to + c * width + rows, to + (c + 1) * width, T{});
    }
  }
}

}  // namespace

void transpose(const float* from, int64_t rows, int64_t columns, int64_t width, float* to) {
  transpose_all(from, rows, columns, width, to);
}
void transpose(const uint32_t* from, int64_t rows, int64_t columns, int64_t width, uint32_t* to) {
  transpose_all(from, rows, columns, width, to);
}

}  // namespace mixgrad::kernels
