// SPDX-License-Identifier: Apache-2.0
// Products of two tensors of codes.
#include "c_runtime.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/memory_plan.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

#include <array>

namespace mixgrad {

void op::Mul::lower(LoweringContext& c) const {
  const float step = c.input(0).step * c.input(1).step;
  if (c.out.raw) c.out.step = step;
  c.out.op = integer::Mul{.ratio = fixed_points(Tensor::full({1}, step), c.out.step)[0]};
}

namespace integer {

void Mul::count(DeviceBytes& bytes) const {
  bytes.multipliers += device::multiplier_bytes;
  bytes.shifts += device::shift_bytes;
}

void Mul::codes(const RunContext& c, Codes out) const { requantize_sums(*this, c, out); }

void Mul::sums(const RunContext& c, std::span<int32_t> out) const {
  const std::span<const uint8_t> a = c.codes(0), b = c.codes(1);
  const size_t channels = static_cast<size_t>(c.node.channels()), positions = a.size() / b.size();
  for (size_t k = 0; k < out.size(); ++k)
    out[k] = read(c.input(0), a[k]) * read(c.input(1), b[k / (channels * positions) * channels + k % channels]);
}

CText Mul::c_text(const CContext& c) const {
  const IntegerNode& n = c.node();
  return {.functions = c.functions({Access::read, Access::write}, {c_runtime::rescale, c_runtime::run_mul}),
          .table = "",
          .call = fmt::format("run_mul({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});", c.x(0), c.input_kind(0), c.x(1),
                              c.input_kind(1), n.shape.size(), c.input(1).shape.size(),
                              c_scale(ratio, c.largest_input(0) * c.largest_input(1)), c_literal(n.low), n.high,
                              c.results(), c.kind())};
}

/// Factors per channel get the two axes that ONNX broadcasts.
std::string Mul::onnx(const OnnxContext& c) const {
  std::string factor = c.operand(1);
  if (c.node.shape.rank() == 3 && c.input(1).shape.rank() == 1) {
    const std::array<int64_t, 2> axes{2, 3};
    const std::string constant = c.add.constant(c.node.name + "/axes", OnnxType::int64, {2}, axes.data(), sizeof axes);
    factor = c.add.node("Unsqueeze", {factor, constant}, c.node.name + "/factor");
  }
  return c.add.node("Mul", {c.operand(0), factor}, c.node.name + "/product");
}

TfliteValue Mul::tflite(const TfliteContext& c) const {
  const double step = static_cast<double>(c.input(0).step) * static_cast<double>(c.input(1).step);
  const double codes = step / static_cast<double>(c.node.step);
  c.check_sums(codes, 0x1p16);
  return c.rounded("MUL", codes >= 1 ? 3 : 2, {c.operand(c.value(0)), c.operand(c.value(1))});
}

}  // namespace integer

}  // namespace mixgrad
