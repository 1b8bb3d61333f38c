// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/function.h>
#include <src/internal/by_dtype.h>
#include <src/internal/coded.h>
#include <src/internal/shapes.h>

#include <algorithm>

namespace mixgrad {

Tensor prelu(const Tensor& x, const Tensor& slope) {
  const auto [rows, channels] = rows_channels(op::PRelu::name(), x.shape());
  check_vector(op::PRelu::name(), "slope", slope, slope.size() == 1 ? 1 : channels);
  return by_dtype(x.dtype(), [&, rows = rows, channels = channels]<typename T>() {
    Tensor y = Tensor::empty(x.shape(), x.dtype());
    kernels::prelu(rows, channels, std::span<const T>(x.data<T>()), slope.data(), y.data<T>());
    return record(op::PRelu(), y, {x, slope}, [rows, channels](const Backward& b) {
      kernels::prelu_grad(rows, channels, b.input<T>(0), b.input(1), b.grad_output<T>(), b.grad<T>(0), b.grad(1));
    });
  });
}

PReluRatios prelu_ratios(const Tensor& slope, float in_step, float out_step) {
  const Tensor positive = Tensor::full({1}, in_step);
  return {.positive = fixed_points(positive, out_step)[0],
          .negative = fixed_points(scale(slope.detach(), static_cast<double>(in_step)), out_step)};
}

Value op::PRelu::run(const RunContext& c) const {
  const Tensor& slope = c.binding.weight;
  const auto exact = [&] { return prelu(real(c.input()), slope); };
  if (!on_codes(c)) return {exact()};
  const ActivationSlot& out = *c.node.output_slot;
  const PReluRatios ratios = prelu_ratios(slope, c.input().codes_of->step(), out.step());
  const CodeRange range = out.range();
  const auto code = [&](int q, size_t i) {
    const FixedPoint& ratio = q >= 0 ? ratios.positive : ratios.negative[i % ratios.negative.size()];
    return std::clamp(ratio.apply(q), static_cast<int64_t>(range.low), static_cast<int64_t>(range.high));
  };
  return coded(c, code, exact);
}

}  // namespace mixgrad
