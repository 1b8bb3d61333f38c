// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/shapes.h>

namespace mixgrad {

namespace {

/// Whether there is a θ for each channel. Throws bad_input for other sizes than [candidates] and [candidates,
/// channels].
bool checked_per_channel(const Tensor& theta, int64_t candidates, int64_t channels) {
  const bool per_channel = theta.shape().rank() == 2;
  if (theta.dim(0) == candidates && (!per_channel || theta.dim(1) == channels)) return per_channel;
  bad_input("[weight_mixture] theta {} fits neither [{}] nor [{}, {}]", theta.shape().str(), candidates, candidates,
            channels);
}

}  // namespace

Tensor weight_mixture(const Tensor& w, const Tensor& theta, std::span<const int> bits) {
  const kernels::WeightSize s = weight_size(w.shape());
  const bool per_channel = checked_per_channel(theta, std::ssize(bits), s.channels);
  Tensor y = Tensor::empty(w.shape());
  kernels::weight_mixture(s, bits, per_channel, w.data(), theta.data(), y.data());
  return record("weight_mixture", y, {w, theta},
                [s, per_channel, kept = std::vector(bits.begin(), bits.end())](const Backward& b) {
                  kernels::weight_mixture_grad(s, kept, per_channel, b.input(0), b.input(1), b.grad_output(), b.grad(0),
                                               b.grad(1));
                });
}

Tensor weight_mixture(const Tensor& w, const Tensor& theta, const Tensor& scales, std::span<const CodeRange> ranges) {
  const kernels::WeightSize s = weight_size(w.shape());
  const bool per_channel = checked_per_channel(theta, std::ssize(ranges), s.channels);
  if (const Shape each{std::ssize(ranges), s.channels}; scales.shape() != each)
    bad_input("[weight_mixture] scales {}: expected {}", scales.shape().str(), each.str());
  Tensor y = Tensor::empty(w.shape());
  kernels::step_mixture(s, ranges, per_channel, w.data(), theta.data(), scales.data(), y.data());
  return record("weight_mixture", y, {w, theta, scales},
                [s, per_channel, kept = std::vector(ranges.begin(), ranges.end())](const Backward& b) {
                  kernels::step_mixture_grad(s, kept, per_channel, b.input(0), b.input(1), b.input(2), b.grad_output(),
                                             b.grad(0), b.grad(1), b.grad(2));
                });
}

}  // namespace mixgrad
