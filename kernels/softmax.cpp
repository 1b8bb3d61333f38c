// SPDX-License-Identifier: Apache-2.0
// Rows are short (classes, candidate precisions): double precision costs nothing here.
#include "softmax.h"

#include <algorithm>
#include <cmath>

namespace mixgrad::kernels {
namespace {

/// y = exp(x / temperature - max) / Σ; returns log Σ exp(x / temperature).
double softmax_row(const float* x, int64_t columns, double temperature, float* y) {
  const double largest = *std::max_element(x, x + columns) / temperature;
  double sum = 0;
  for (int64_t c = 0; c < columns; ++c) sum += std::exp(x[c] / temperature - largest);
  for (int64_t c = 0; c < columns; ++c) y[c] = static_cast<float>(std::exp(x[c] / temperature - largest) / sum);
  return largest + std::log(sum);
}

}  // namespace

void softmax(int64_t rows, int64_t columns, float temperature, std::span<const float> x, std::span<float> y) {
  for (int64_t r = 0; r < rows; ++r)
    softmax_row(x.data() + r * columns, columns, double{temperature}, y.data() + r * columns);
}

void softmax_grad(int64_t rows, int64_t columns, float temperature, std::span<const float> y, std::span<const float> g,
                  Grad gx) {
  if (!gx) return;
  for (int64_t r = 0; r < rows; ++r) {
    const float *p = y.data() + r * columns, *up = g.data() + r * columns;
    double mean = 0;
    for (int64_t c = 0; c < columns; ++c) mean += double{p[c]} * up[c];
    for (int64_t c = 0; c < columns; ++c)
      gx.put(r * columns + c, static_cast<float>(p[c] * (up[c] - mean) / temperature));
  }
}

double cross_entropy(int64_t rows, int64_t columns, std::span<const float> x, std::span<const int32_t> labels,
                     std::span<float> probabilities) {
  double loss = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * columns;
    const double log_sum = softmax_row(row, columns, 1.0, probabilities.data() + r * columns);
    loss += log_sum - row[labels[static_cast<size_t>(r)]];
  }
  return loss;
}

void cross_entropy_grad(int64_t rows, int64_t columns, std::span<const float> probabilities,
                        std::span<const int32_t> labels, float g, Grad gx) {
  if (!gx) return;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t i = r * columns + c;
      const float target = labels[static_cast<size_t>(r)] == c ? 1.0f : 0.0f;
      gx.put(i, g * (probabilities[static_cast<size_t>(i)] - target));
    }
}

}  // namespace mixgrad::kernels
