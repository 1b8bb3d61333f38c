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

void op::Upsample2d::lower(LoweringContext& c) const { c.out.op = integer::Upsample2d{.attrs = attrs}; }

namespace integer {

op::Sweep Upsample2d::sweep(const Shape& input) const {
  return sweep_of(upsampled_size(name(), one_image(input), attrs));
}

void Upsample2d::codes(const RunContext& c, Codes out) const {
  const Shape& in = c.input().shape;
  kernels::upsample2d(upsampled_size(name(), {c.batch, in[0], in[1], in[2]}, attrs), c.codes().data(), out.data());
}

CText Upsample2d::c_text(const CContext& c) const {
  const Shape& in = c.input().shape;
  return {.functions = c.functions({Access::copy}, {c_runtime::run_upsample}),
          .table = "",
          .call = fmt::format("run_upsample({}, {}, {}, {}, {}, {}, {}, {});", c.x(), c.input_kind(), in[1], in[2],
                              in[0], fmt::join(attrs.factor, ", "), c.y(), c.kind())};
}

/// Resize's defaults (nearest, half_pixel, round_prefer_floor) repeat positions where factors are whole.
std::string Upsample2d::onnx(const OnnxContext& c) const {
  const std::vector<float> scales = {1, 1, static_cast<float>(attrs.factor[0]), static_cast<float>(attrs.factor[1])};
  return c.add.node("Resize", {c.operand(), "", c.add.floats(c.node.name + "/scales", scales)}, c.node.name + "/value");
}

/// Positions are exact with half_pixel_centers, which the exporter sets.
TfliteValue Upsample2d::tflite(const TfliteContext& c) const {
  const TfliteValue y = c.passed();
  const int size = c.add.integers(c.node.name + "/size", {c.node.shape[1], c.node.shape[2]});
  c.add.node("RESIZE_NEAREST_NEIGHBOR", 3, {c.value().tensor, size}, y.tensor);
  return y;
}

}  // namespace integer

}  // namespace mixgrad
