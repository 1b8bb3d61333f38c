// SPDX-License-Identifier: Apache-2.0
// Conversion between channels-last memory (float or bfloat16) and row-major order (float), and transposition.
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

/// x [n, positions, c] to y [n, c, positions].
void channels_last_to_rows(int64_t n, int64_t c, int64_t positions, std::span<const float> x, std::span<float> y);
void channels_last_to_rows(int64_t n, int64_t c, int64_t positions, std::span<const bfloat16> x, std::span<float> y);
/// The reverse, for gradients.
void rows_to_channels_last(int64_t n, int64_t c, int64_t positions, std::span<const float> gy, Grad gx);
void rows_to_channels_last(int64_t n, int64_t c, int64_t positions, std::span<const float> gy, GradOf<bfloat16> gx);

/// to [columns, width] = from [rows, columns] transposed: its first `width` rows, with zeros for those that it lacks.
void transpose(const float* from, int64_t rows, int64_t columns, int64_t width, float* to);
void transpose(const uint32_t* from, int64_t rows, int64_t columns, int64_t width, uint32_t* to);

}  // namespace mixgrad::kernels
