// SPDX-License-Identifier: Apache-2.0
#include "c_runtime.h"

#include <kernels/move.h>
#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/shapes.h>
#include <src/internal/tflite_context.h>

namespace mixgrad {

void op::Pad2d::lower(LoweringContext& c) const { c.out.op = integer::Pad2d{.attrs = attrs}; }

namespace integer {

op::Sweep Pad2d::sweep(const Shape& input) const { return sweep_of(padded_size(name(), one_image(input), attrs)); }

/// The code of 0 is 0.
void Pad2d::codes(const RunContext& c, Codes out) const {
  const Shape& in = c.input().shape;
  kernels::pad2d(padded_size(name(), {c.batch, in[0], in[1], in[2]}, attrs), c.codes().data(), out.data());
}

CText Pad2d::c_text(const CContext& c) const {
  const Shape& in = c.input().shape;
  return {.functions = c.functions({Access::write, Access::copy}, {c_runtime::run_pad}),
          .table = "",
          .call = fmt::format("run_pad({}, {}, {}, {}, {}, {}, {}, {});", c.x(), c.input_kind(), in[1], in[2], in[0],
                              fmt::join(attrs.padding, ", "), c.y(), c.kind())};
}

std::string Pad2d::onnx(const OnnxContext& c) const {
  return c.padded(c.operand(), attrs.padding, c.node.name + "/value");
}

TfliteValue Pad2d::tflite(const TfliteContext& c) const {
  return c.around(c.value(), c.node.name, c.input().shape, attrs.padding);
}

}  // namespace integer

}  // namespace mixgrad
