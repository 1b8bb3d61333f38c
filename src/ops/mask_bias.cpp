// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/shapes.h>

#include <algorithm>

namespace mixgrad {

Tensor mask_bias(const Tensor& bias, const Tensor& theta, std::span<const int> bits) {
  const auto zero = std::ranges::find(bits, 0);
  if (zero == bits.end()) return bias;
  const int64_t channels = bias.size(), pruned = zero - bits.begin(), count = std::ssize(bits);
  if (theta.shape() != Shape{count, channels})
    bad_input("[mask_bias] theta has shape {}: expected [{}, {}]", theta.shape().str(), count, channels);
  const auto kept = [=](std::span<const float> t, int64_t c) {
    float total = 0;
    for (int64_t p = 0; p < count; ++p) total += p == pruned ? 0.0F : t[static_cast<size_t>(p * channels + c)];
    return total;
  };
  Tensor y = Tensor::empty(bias.shape());
  for (int64_t c = 0; c < channels; ++c) y.data()[c] = bias.data()[c] * kept(theta.data(), c);
  return record("mask_bias", y, {bias, theta}, [=](const Backward& b) {
    if (const auto gbias = b.grad(0)) {
      for (int64_t c = 0; c < channels; ++c) gbias.put(c, b.grad_output()[c] * kept(b.input(1), c));
    }
    if (const auto gtheta = b.grad(1)) {
      for (int64_t i = 0; i < count * channels; ++i) {
        gtheta.put(i, i / channels == pruned ? 0.0F : b.grad_output()[i % channels] * b.input(0)[i % channels]);
      }
    }
  });
}

}  // namespace mixgrad
