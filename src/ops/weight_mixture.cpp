// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/shapes.h>

namespace mixgrad {

Tensor weight_mixture(const Tensor& w, const Tensor& theta, std::span<const int> bits) {
  const kernels::WeightSize s = weight_size(w.shape());
  const bool per_channel = theta.shape().rank() == 2;
  if (theta.dim(0) != std::ssize(bits) || (per_channel && theta.dim(1) != s.channels)) {
    bad_input("[weight_mixture] theta has shape {}: expected [{}] or [{}, {}]", theta.shape().str(), bits.size(),
              bits.size(), s.channels);
  }
  Tensor y = Tensor::empty(w.shape());
  kernels::weight_mixture(s, bits, per_channel, w.data(), theta.data(), y.data());
  return record("weight_mixture", y, {w, theta},
                [s, per_channel, kept = std::vector(bits.begin(), bits.end())](const Backward& b) {
                  kernels::weight_mixture_grad(s, kept, per_channel, b.input(0), b.input(1), b.grad_output(), b.grad(0),
                                               b.grad(1));
                });
}

}  // namespace mixgrad
