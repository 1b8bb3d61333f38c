// SPDX-License-Identifier: Apache-2.0
// Batch normalization over rows: x [rows, channels], where a row is one position of one image (NHWC).
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

/// Mean and biased variance of every channel.
void channel_moments(int64_t rows, int64_t channels, std::span<const float> x, std::span<float> mean,
                     std::span<float> variance);
/// y = gamma (x - mean) inv_std + beta
void batch_norm(int64_t rows, int64_t channels, std::span<const float> x, std::span<const float> mean,
                std::span<const float> inv_std, std::span<const float> gamma, std::span<const float> beta,
                std::span<float> y);
/// Gradients through the batch's own mean and variance (Ioffe and Szegedy 2015, §3). If `fixed` (evaluation), both are
/// constants.
void batch_norm_grad(int64_t rows, int64_t channels, bool fixed, std::span<const float> x, std::span<const float> mean,
                     std::span<const float> inv_std, std::span<const float> gamma, std::span<const float> gy, Grad gx,
                     Grad ggamma, Grad gbeta);

namespace reference {
void channel_moments(int64_t rows, int64_t channels, std::span<const float> x, std::span<float> mean,
                     std::span<float> variance);
void batch_norm_grad(int64_t rows, int64_t channels, bool fixed, std::span<const float> x, std::span<const float> mean,
                     std::span<const float> inv_std, std::span<const float> gamma, std::span<const float> gy, Grad gx,
                     Grad ggamma, Grad gbeta);
}  // namespace reference

}  // namespace mixgrad::kernels
