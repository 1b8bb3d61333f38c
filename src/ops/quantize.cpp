// SPDX-License-Identifier: Apache-2.0
// Integer codes stored as floats, on which discrete networks are evaluated.
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <src/internal/shapes.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {

Tensor quantize_weight(const Tensor& w, const Tensor& magnitude, std::span<const int> bits) {
  const kernels::WeightSize s = quantized_weight_size(w, bits.size(), "magnitude", magnitude);
  Tensor y = Tensor::empty(w.shape());
  kernels::quantize_weight(s, bits, magnitude.data(), w.data(), y.data());
  std::vector<float> steps(bits.size());
  kernels::weight_scale(bits, magnitude.data(), steps);
  return record("quantize_weight", y, {w}, [s, steps, kept = std::vector(bits.begin(), bits.end())](const Backward& b) {
    kernels::quantize_weight_grad(s, kept, steps, b.grad_output(), b.grad(0));
  });
}

Tensor quantize_weight(const Tensor& w, const Tensor& scales, std::span<const CodeRange> ranges) {
  const kernels::WeightSize s = quantized_weight_size(w, ranges.size(), "scales", scales);
  Tensor y = Tensor::empty(w.shape());
  kernels::step_codes(s, ranges, scales.data(), w.data(), y.data());
  return record("quantize_weight", y, {w, scales},
                [s, kept = std::vector(ranges.begin(), ranges.end())](const Backward& b) {
                  kernels::step_codes_grad(s, kept, b.input(1), b.input(0), b.grad_output(), b.grad(0), b.grad(1));
                });
}

Tensor quantize_activation(const Tensor& x, const Tensor& clip, int bits, ActivationFormat format) {
  check_vector("quantize_activation", "clip", clip, 1);
  Tensor y = Tensor::empty(x.shape());
  kernels::quantize_activation(bits, format, clip.data()[0], x.data(), y.data());
  return record("quantize_activation", y, {x, clip}, [bits, format](const Backward& b) {
    kernels::quantize_activation_grad(bits, format, b.input(1)[0], b.input(0), b.grad_output(), b.grad(0), b.grad(1));
  });
}

Tensor rescale(const Tensor& acc, const Tensor& steps, const Tensor& bias) {
  const auto [rows, channels] = rows_channels("rescale", acc.shape());
  if (steps.size() != 1) check_vector("rescale", "scale", steps, channels);
  check_vector("rescale", "bias", bias, channels);
  Tensor y = Tensor::empty(acc.shape());
  kernels::rescale(rows, channels, acc.data(), steps.data(), bias.data(), y.data());
  return record("rescale", y, {acc, steps, bias}, [rows = rows, channels = channels](const Backward& b) {
    kernels::rescale_grad(rows, channels, b.input(1), b.grad_output(), b.grad(0), b.grad(2));
  });
}

Tensor quantize_bias(const Tensor& bias, const Tensor& steps) {
  if (!bias) return bias;
  const std::vector<int32_t> codes = bias_codes(bias, steps);
  Tensor y = Tensor::empty(bias.shape());
  for (int64_t c = 0; c < bias.size(); ++c) {
    y.data()[c] = static_cast<float>(static_cast<double>(steps.data()[c]) * codes[static_cast<size_t>(c)]);
  }
  return record("quantize_bias", y, {bias},
                [](const Backward& b) { kernels::pass_gradient(b.grad_output(), b.grad(0)); });
}

}  // namespace mixgrad
