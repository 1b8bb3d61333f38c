// SPDX-License-Identifier: Apache-2.0
// Sums of two tensors of codes that share a quantizer.
#include "c_runtime.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/memory_plan.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

namespace mixgrad {

void op::Add::lower(LoweringContext& c) const {
  const IntegerNode &a = c.input(0), &b = c.input(1);
  if (a.raw || b.raw || a.step != b.step)
    bad_input("'{}' adds '{}' and '{}', which must share a quantizer", c.node().name, a.name, b.name);
  if (c.out.raw) c.out.step = a.step;
  c.out.op = integer::Add{.ratio = fixed_points(Tensor::full({1}, a.step), c.out.step)[0]};
}

namespace integer {

void Add::count(DeviceBytes& bytes) const {
  bytes.multipliers += device::multiplier_bytes;
  bytes.shifts += device::shift_bytes;
}

void Add::codes(const RunContext& c, Codes out) const {
  const auto addend = [&](size_t i) { return kernels::Addend{c.codes(i), c.input(i).is_signed()}; };
  kernels::add_codes(addend(0), addend(1), ratio, c.node.low, c.node.high, out);
}

void Add::sums(const RunContext& c, std::span<int32_t> out) const {
  const std::span<const uint8_t> a = c.codes(0), b = c.codes(1);
  for (size_t k = 0; k < out.size(); ++k) out[k] = read(c.input(0), a[k]) + read(c.input(1), b[k]);
}

CText Add::c_text(const CContext& c) const {
  const IntegerNode& n = c.node();
  return {.functions = c.functions({Access::read, Access::write}, {c_runtime::rescale, c_runtime::run_add}),
          .table = "",
          .call = fmt::format("run_add({}, {}, {}, {}, {}, {}, {}, {}, {}, {});", c.x(0), c.input_kind(0), c.x(1),
                              c.input_kind(1), n.shape.size(), c_scale(ratio, c.largest_input(0) + c.largest_input(1)),
                              c_literal(n.low), n.high, c.results(), c.kind())};
}

std::string Add::onnx(const OnnxContext& c) const {
  return c.add.node("Add", {c.operand(0), c.operand(1)}, c.node.name + "/sum");
}

TfliteValue Add::tflite(const TfliteContext& c) const {
  c.check_sums(static_cast<double>(c.input().step) / static_cast<double>(c.node.step), 0x1p11);  // with more bits
  return c.rounded("ADD", 2, {c.operand(c.value(0)), c.operand(c.value(1))});
}

}  // namespace integer

}  // namespace mixgrad
