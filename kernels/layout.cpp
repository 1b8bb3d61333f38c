// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

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

/// In blocks that read and write whole lines of the cache.
void transpose(const float* from, int64_t rows, int64_t columns, int64_t width, float* to) {
  constexpr int64_t block = 16;
  for (int64_t first = 0; first < width; first += block) {
    const int64_t last = std::min(first + block, width), filled = std::max(first, std::min(last, rows));
    for (int64_t c = 0; c < columns; ++c) {
      float* const row = to + c * width;
      for (int64_t r = first; r < filled; ++r) row[r] = from[r * columns + c];
      std::fill(row + filled, row + last, 0.0f);
    }
  }
}

}  // namespace mixgrad::kernels
