// SPDX-License-Identifier: Apache-2.0
// Sums over rows, the same for any number of threads.
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

/// Rows per partial sum of a reduction; partial sums are added in row order.
inline constexpr int64_t rows_per_partial = 256;

/// out[c] = Σ_r x[r, c], x [rows, channels].
void column_sums(int64_t rows, int64_t channels, std::span<const float> x, Grad out);
void column_sums(int64_t rows, int64_t channels, std::span<const bfloat16> x, Grad out);

}  // namespace mixgrad::kernels
