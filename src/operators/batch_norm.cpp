// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/norm.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

#include <cmath>

namespace mixgrad {
namespace {

/// running += momentum (batch - running); as usual, the running variance is the unbiased one.
void blend(std::span<float> running, std::span<const float> batch, float momentum, float correction) {
  for (size_t c = 0; c < running.size(); ++c) running[c] += momentum * (batch[c] * correction - running[c]);
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormAttrs& attrs) {
  const auto [rows, channels] = rows_channels(op::BatchNorm::name(), x.shape());
  for (const Tensor* t : {&gamma, &beta, &running_mean, &running_var}) {
    check_vector(op::BatchNorm::name(), "a parameter", *t, channels);
  }
  if (attrs.training && rows < 2)
    bad_input("[batch_norm] training needs more than one value per channel: input {}", x.shape().str());

  Tensor mean = running_mean, inv_std = Tensor::empty({channels});
  Tensor variance = running_var;
  if (attrs.training) {
    mean = Tensor::empty({channels});
    variance = Tensor::empty({channels});
    kernels::channel_moments(rows, channels, x.data(), mean.data(), variance.data());
    blend(running_mean.data(), mean.data(), attrs.momentum, 1.0F);
    blend(running_var.data(), variance.data(), attrs.momentum, static_cast<float>(rows) / static_cast<float>(rows - 1));
  }
  for (size_t c = 0; c < inv_std.data().size(); ++c)
    inv_std.data()[c] = 1.0F / std::sqrt(variance.data()[c] + attrs.eps);

  Tensor y = Tensor::empty(x.shape());
  kernels::batch_norm(rows, channels, x.data(), mean.data(), inv_std.data(), gamma.data(), beta.data(), y.data());
  const bool fixed = !attrs.training;
  return record(op::BatchNorm{attrs}, y, {x, gamma, beta, running_mean, running_var},
                [rows = rows, channels = channels, fixed, mean, inv_std](const Backward& b) {
                  kernels::batch_norm_grad(rows, channels, fixed, b.input(0), mean.data(), inv_std.data(), b.input(1),
                                           b.grad_output(), b.grad(0), b.grad(1), b.grad(2));
                });
}

Value op::BatchNorm::run(const RunContext& c) const {
  const std::vector<Tensor>& p = c.node.params;
  return {batch_norm(real(c.input()), p[0], p[1], p[2], p[3], attrs)};
}

}  // namespace mixgrad
