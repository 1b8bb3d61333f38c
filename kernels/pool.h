// SPDX-License-Identifier: Apache-2.0
// Pooling, NHWC. Positions outside the image are ignored. An average divides by the number of positions that it counts.
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

using mixgrad::Pool2dSize;

/// The number of positions that the average of window (oy, ox) counts: those in the image or, with `count_padding`, in
/// the padded image.
int64_t pool2d_count(const Pool2dSize& s, int64_t oy, int64_t ox);

void max_pool2d(const Pool2dSize& s, std::span<const float> x, std::span<float> y);
void max_pool2d(const Pool2dSize& s, std::span<const bfloat16> x, std::span<bfloat16> y);
void max_pool2d(const Pool2dSize& s, std::span<const uint8_t> x, std::span<uint8_t> y);
void max_pool2d(const Pool2dSize& s, std::span<const int8_t> x, std::span<int8_t> y);
/// The gradient goes to the first maximum of each window in row-major order (SPEC §5).
void max_pool2d_grad(const Pool2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gx);
void max_pool2d_grad(const Pool2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy,
                     GradOf<bfloat16> gx);

/// With `codes`, x holds integer codes and the mean is rounded to a code, ties up: ⌊(2 Σq + n) / (2n)⌋ (SPEC §5) with
/// n = pool2d_count.
void avg_pool2d(const Pool2dSize& s, bool codes, std::span<const float> x, std::span<float> y);
void avg_pool2d(const Pool2dSize& s, bool codes, std::span<const bfloat16> x, std::span<bfloat16> y);
void avg_pool2d(const Pool2dSize& s, std::span<const uint8_t> x, std::span<uint8_t> y);  // bytes are codes
void avg_pool2d(const Pool2dSize& s, std::span<const int8_t> x, std::span<int8_t> y);
/// Adds gy / n to every element of its window (straight-through for the rounding of codes).
void avg_pool2d_grad(const Pool2dSize& s, std::span<const float> gy, Grad gx);
void avg_pool2d_grad(const Pool2dSize& s, std::span<const bfloat16> gy, GradOf<bfloat16> gx);

}  // namespace mixgrad::kernels
