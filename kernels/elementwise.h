// SPDX-License-Identifier: Apache-2.0
// Elementwise loops. All spans of a call have the same size unless stated otherwise.
#pragma once

#include <limits>

#include "grad.h"

namespace mixgrad::kernels {

inline constexpr float endless = std::numeric_limits<float>::infinity();

void fill(std::span<float> y, float value);
/// y += x
void accumulate(std::span<const float> x, std::span<float> y);
void accumulate(std::span<const bfloat16> x, std::span<bfloat16> y);
/// gx ← g (overwrite or add)
void pass_gradient(std::span<const float> g, Grad gx);
void pass_gradient(std::span<const bfloat16> g, GradOf<bfloat16> gx);
void pass_gradient(std::span<const float> g, GradOf<bfloat16> gx);
void pass_gradient(std::span<const bfloat16> g, Grad gx);

void add(std::span<const float> a, std::span<const float> b, std::span<float> y);
void add(std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<bfloat16> y);
void add(std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<float> y);
/// min(max(x, 0), top)
void relu(std::span<const float> x, std::span<float> y, float top = endless);
void relu(std::span<const bfloat16> x, std::span<bfloat16> y, float top = endless);
/// g where 0 < y = relu(x) < top, else 0.
void relu_grad(std::span<const float> y, std::span<const float> g, Grad gx, float top = endless);
void relu_grad(std::span<const bfloat16> y, std::span<const bfloat16> g, GradOf<bfloat16> gx, float top = endless);

/// Integer accumulators to real values: y[r, c] = acc[r, c] · scale[c] + bias[c], acc [rows, channels]
/// (scale and bias may have one element for all channels; bias may be empty).
void rescale(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const float> scale,
             std::span<const float> bias, std::span<float> y);
/// gacc = g · scale, gbias[c] = Σ_r g[r, c]
void rescale_grad(int64_t rows, int64_t channels, std::span<const float> scale, std::span<const float> g, Grad gacc,
                  Grad gbias);

/// Whether all values are finite.
bool all_finite(std::span<const float> x);
bool all_finite(std::span<const bfloat16> x);

/// codes = 16 high + low with 0 <= low < 16, so that the sums of a convolution of each half stay below 2^24.
void split_codes(std::span<const float> codes, std::span<float> high, std::span<float> low);

}  // namespace mixgrad::kernels
