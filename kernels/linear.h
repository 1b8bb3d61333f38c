// SPDX-License-Identifier: Apache-2.0
// The matrix products of a linear layer, row-major: x [n, k], w [m, k], y [n, m].
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

/// y = x wᵀ + bias (bias [m] or empty).
void linear(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> w,
            std::span<const float> bias, std::span<float> y);
/// gx = gy w
void linear_grad_x(int64_t n, int64_t k, int64_t m, std::span<const float> gy, std::span<const float> w, Grad gx);
/// gw = gyᵀ x, gbias = Σ_n gy
void linear_grad_w(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> gy, Grad gw,
                   Grad gbias);

}  // namespace mixgrad::kernels
