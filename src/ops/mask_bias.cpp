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
  const std::span<const float> values = bias.data(), shares = theta.data();
  const std::span<float> out = y.data();
  for (int64_t c = 0; c < channels; ++c) out[c] = values[c] * kept(shares, c);
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

Tensor pruned_and_kept(const Tensor& theta, std::span<const int> bits) {
  const int64_t pruned = std::ranges::find(bits, 0) - bits.begin(), count = std::ssize(bits);
  if (pruned == count || theta.shape().rank() != 2 || theta.dim(0) != count)
    bad_input("[pruned_and_kept] theta {} does not fit {} bit-widths, one of them 0", theta.shape().str(), count);
  const int64_t channels = theta.dim(1);
  const auto row = [=](int64_t p) { return p == pruned ? 0 : 1; };
  Tensor y = Tensor::zeros({2, channels});
  const std::span<const float> t = theta.data();
  const std::span<float> out = y.data();
  for (int64_t i = 0; i < count * channels; ++i)
    out[static_cast<size_t>(row(i / channels) * channels + i % channels)] += t[static_cast<size_t>(i)];
  return record("pruned_and_kept", y, {theta}, [=](const Backward& b) {
    const auto gtheta = b.grad(0);
    for (int64_t i = 0; gtheta && i < count * channels; ++i)
      gtheta.put(i, b.grad_output()[static_cast<size_t>(row(i / channels) * channels + i % channels)]);
  });
}

}  // namespace mixgrad
