// SPDX-License-Identifier: Apache-2.0
// Softmax and cross entropy over the rows of x [rows, columns].
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

/// y = softmax(x / temperature) along each row.
void softmax(int64_t rows, int64_t columns, float temperature, std::span<const float> x, std::span<float> y);
void softmax_grad(int64_t rows, int64_t columns, float temperature, std::span<const float> y, std::span<const float> g,
                  Grad gx);

/// Sum over rows of -log softmax(x)[label]; `probabilities` [rows, columns] is kept for the gradient.
double cross_entropy(int64_t rows, int64_t columns, std::span<const float> x, std::span<const int32_t> labels,
                     std::span<float> probabilities);
/// g (probabilities - one_hot(label))
void cross_entropy_grad(int64_t rows, int64_t columns, std::span<const float> probabilities,
                        std::span<const int32_t> labels, float g, Grad gx);

}  // namespace mixgrad::kernels
