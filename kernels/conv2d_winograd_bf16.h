// SPDX-License-Identifier: Apache-2.0
// Winograd's algorithm on images in bfloat16, for CPUs with AVX512_BF16. Only for those: see has_avx512_bf16().
#pragma once

#include "winograd_tiles.h"

namespace mixgrad::kernels::winograd::avx512_bf16 {

inline constexpr int lanes = 16;

/// With products of bfloat16. `taps` are [9][from.c][to.c rounded up to whole vectors].
void convolve(const Pass& pass, const bfloat16* x, const float* taps, GradOf<bfloat16> to, const float* bias);

/// With products of floats: gradients of weights stay floats, and direct convolutions do not round their terms.
void convolve_grad_w(const Pass& pass, const bfloat16* x, const bfloat16* gy, Grad gw);

}  // namespace mixgrad::kernels::winograd::avx512_bf16
