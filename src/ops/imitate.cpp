// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/softmax.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

/// log Σ exp(row / temperature)
double log_sum_exp(std::span<const float> row, double temperature) {
  const double largest = std::ranges::max(row) / temperature;
  double sum = 0;
  for (const float v : row) sum += std::exp(v / temperature - largest);
  return largest + std::log(sum);
}

}  // namespace

Tensor imitate(const Tensor& logits, const Tensor& teacher, double temperature, double denominator) {
  const Shape& s = logits.shape();
  if (s.rank() != 2 || s != teacher.shape())
    bad_input("[imitate] logits {} and teacher {}: expected two of [N, classes]", s.str(), teacher.shape().str());
  if (denominator == 0) denominator = static_cast<double>(s[0]);
  Tensor student = Tensor::empty(s), target = Tensor::empty(s);
  kernels::softmax(s[0], s[1], static_cast<float>(temperature), logits.data(), student.data());
  kernels::softmax(s[0], s[1], static_cast<float>(temperature), teacher.data(), target.data());
  double divergence = 0;
  for (int64_t n = 0; n < s[0]; ++n) {
    const auto z = logits.rows(n, 1).data(), from = teacher.rows(n, 1).data(), t = target.rows(n, 1).data();
    const double offset = log_sum_exp(z, temperature) - log_sum_exp(from, temperature);
    for (size_t c = 0; c < t.size(); ++c)
      divergence += static_cast<double>(t[c]) * ((static_cast<double>(from[c]) - z[c]) / temperature + offset);
  }
  const Tensor y = Tensor::scalar(static_cast<float>(temperature * temperature * divergence / denominator));
  return record("imitate", y, {logits}, [student, target, factor = temperature / denominator](const Backward& b) {
    const auto g = static_cast<float>(factor) * b.grad_output()[0];
    const auto gx = b.grad(0);
    for (size_t i = 0; gx && i < student.data().size(); ++i)
      gx.put(static_cast<int64_t>(i), g * (student.data()[i] - target.data()[i]));
  });
}

}  // namespace mixgrad
