// SPDX-License-Identifier: Apache-2.0
// The product of two matrices, with a block of sums in registers. Every sum has a fixed order and no fused
// multiply-add, so any instruction set gives the same bytes.
#pragma once

#include "lanes.h"

namespace mixgrad::kernels {

/// The terms of every sum, outer · inner of them, and the steps of both factors from one to the next.
struct Terms {
  int64_t inner, left, right;
  int64_t outer = 1, left_outer = 0, right_outer = 0;
};

/// Where products are stored, row-major with rows `row` apart, and what they are added to: one row for all of them if
/// `start_row` is 0, nothing if `start` is null.
struct Products {
  float* data;
  int64_t row;
  const float* start = nullptr;
  int64_t start_row = 0;
};

/// sums + a * factors. Elements of another type than float have their own overload, and of `load`.
template <typename V>
MIXGRAD_INLINE V add_product(V sums, float a, V factors) {
  return sums + a * factors;
}

/// Rows [i, count) of the product, P at a time, the rest in fewer; V vectors of columns.
template <int W, int V, int P, typename Row, typename T>
MIXGRAD_INLINE void multiply_rows(int64_t i, int64_t count, const Terms& terms, const Row& row, const T* right,
                                  const Products& to) {
  for (; i + P <= count; i += P) {
    const T* const first = row(i);
    int64_t offsets[P];
    for (int p = 0; p < P; ++p) offsets[p] = row(i + p) - first;
    Lanes<W> sums[P][V] = {};
    if (to.start)
      for (int p = 0; p < P; ++p)
        for (int v = 0; v < V; ++v) sums[p][v] = load<Lanes<W>>(to.start + (i + p) * to.start_row + v * W);
    for (int64_t o = 0; o < terms.outer; ++o) {
      const T *a = first + o * terms.left_outer, *b = right + o * terms.right_outer;
      for (int64_t r = 0; r < terms.inner; ++r, a += terms.left, b += terms.right) {
        Lanes<W> factors[V];
        for (int v = 0; v < V; ++v) factors[v] = load<Lanes<W>>(b + v * W);
        for (int p = 0; p < P; ++p)
          for (int v = 0; v < V; ++v) sums[p][v] = add_product(sums[p][v], a[offsets[p]], factors[v]);
      }
    }
    for (int p = 0; p < P; ++p)
      for (int v = 0; v < V; ++v) store(to.data + (i + p) * to.row + v * W, sums[p][v]);
  }
  if constexpr (P > 1) multiply_rows<W, V, P / 2>(i, count, terms, row, right, to);
}

/// Sums that a product keeps in registers: enough for additions not to wait for each other, and few enough for the
/// addresses of their rows to stay in registers, too.
template <int W>
inline constexpr int sums_in_registers = W == 16 ? 8 : 12;

/// The first one or two vectors of the `columns` of a product: row i of the left factor begins at row(i), the right
/// factor at `right`; columns of the right factor are contiguous.
template <int W, typename Row, typename T>
MIXGRAD_INLINE void multiply(int64_t rows, int64_t columns, const Terms& terms, const Row& row, const T* right,
                             const Products& to) {
  if (columns > W)
    multiply_rows<W, 2, sums_in_registers<W> / 2>(0, rows, terms, row, right, to);
  else
    multiply_rows<W, 1, sums_in_registers<W>>(0, rows, terms, row, right, to);
}

}  // namespace mixgrad::kernels
