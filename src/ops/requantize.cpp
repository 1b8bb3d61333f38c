// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <kernels/quantize.h>
#include <kernels/requantize.h>
#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace mixgrad {

std::vector<int32_t> bias_codes(const Tensor& bias, const Tensor& steps) {
  std::vector<int32_t> codes(bias ? static_cast<size_t>(bias.size()) : 0);
  for (size_t c = 0; c < codes.size(); ++c) {
    const double code = std::nearbyint(bias.data()[c] / steps.data()[c]);
    codes[c] = static_cast<int32_t>(std::clamp(code, -0x1p31, 0x1p31 - 1));
  }
  return codes;
}

std::vector<FixedPoint> fixed_points(const Tensor& steps, float out_step) {
  std::vector<FixedPoint> out;
  for (const float step : steps.data())
    out.push_back(kernels::fixed_point(static_cast<double>(step) / static_cast<double>(out_step)));
  return out;
}

namespace {

/// The gradient of codes as floats; that of bfloat16 codes is converted into `buffer`.
template <typename T>
std::span<const float> gradient_of_codes(const Backward& b, std::span<float> buffer) {
  if constexpr (std::is_same_v<T, float>) {
    return b.grad_output();
  } else {
    kernels::to_float(b.grad_output<T>(), buffer);
    return buffer;
  }
}

}  // namespace

Tensor requantize(const Tensor& acc, const Tensor& steps, const Tensor& bias, const Tensor& clip, int bits,
                  ActivationFormat format, DType dtype) {
  const auto [rows, channels] = rows_channels("requantize", acc.shape());
  if (bias || steps.size() != 1) check_vector("requantize", "scale", steps, channels);
  check_vector("requantize", "bias", bias, channels);
  check_vector("requantize", "clip", clip, 1);
  const float levels = kernels::activation_levels(bits, format.is_signed),
              low = format.is_signed && !format.relu ? -levels : 0;
  const std::vector<int32_t> offsets = bias_codes(bias, steps);
  return by_dtype(dtype, [&, rows = rows, channels = channels]<typename T>() {
    Tensor y = Tensor::empty(acc.shape(), dtype);
    kernels::requantize(rows, channels, acc.data(), offsets, fixed_points(steps, clip.data()[0] / levels), low, levels,
                        y.data<T>());
    return record("requantize", y, {acc, steps, bias, clip}, [=](const Backward& b) {
      // The gradients of rescale and quantize_activation at the real values, which are recomputed, not kept.
      const Tensor x = Tensor::empty({rows, channels}), gx = Tensor::empty({rows, channels});
      std::vector<float> quantized(offsets.begin(), offsets.end());
      for (size_t c = 0; c < quantized.size(); ++c) quantized[c] *= b.input(1)[c];
      kernels::rescale(rows, channels, b.input(0), b.input(1), quantized, x.data());
      kernels::quantize_activation_grad(bits, format, b.input(3)[0], x.data(), gradient_of_codes<T>(b, gx.data()),
                                        {.data = gx.data().data()}, b.grad(3));
      kernels::rescale_grad(rows, channels, b.input(1), gx.data(), b.grad(0), b.grad(2));
    });
  });
}

}  // namespace mixgrad
