// SPDX-License-Identifier: Apache-2.0
// The input, and operators that pass codes on one by one: ReLU and flattening.
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

#include <algorithm>

namespace mixgrad {

void op::Input::lower(LoweringContext& c) const { c.out.op = integer::Input{}; }

void op::Flatten::lower(LoweringContext& c) const { c.out.op = integer::Flatten{}; }

/// A ReLU6 is a ReLU with the code nearest to 6 as its largest.
void op::Activate::lower(LoweringContext& c) const {
  c.out.low = 0;
  if (function == Activation::relu6) {
    const Node& quantized = c.graph.nodes[static_cast<size_t>(c.graph.quantized_by(c.index))];
    c.out.high = std::min(c.out.high, static_cast<int>(quantized.output_slot->code_of(6)));
  }
  c.out.op = integer::Relu{};
}

void op::BatchNorm::lower(LoweringContext& c) const {
  bad_input("'{}' is a batch norm without a layer before it to fold it into", c.node().name);
}

namespace integer {

void Input::codes(const RunContext& c, Codes out) const { std::ranges::copy(c.values[0], out.begin()); }

CText Input::c_text(const CContext&) const { return {}; }

/// The network's input before normalization.
std::string Input::onnx(const OnnxContext& c) const {
  const Normalization& n = c.network.normalization;
  if (n.empty()) return "input";
  const std::string centred = c.add.node("Sub", {"input", c.add.channels("input/mean", n.mean)}, "input/centred");
  return c.add.node("Div", {centred, c.add.channels("input/std", n.std)}, "input/normalized");
}

TfliteValue Input::tflite(const TfliteContext& c) const {
  const Shape& s = c.node.shape;
  const std::vector<int64_t> dims = TfliteContext::dims(s);
  TfliteValue x = c.codes("input", s.rank() == 3 ? dims : std::vector<int64_t>{1, s[0]}, c.zero_point());
  if (s.rank() != 3) x = c.reshaped(x, "input/image", dims);
  return c.needs_cut() ? c.cut(x, "input/cut") : x;
}

void Relu::codes(const RunContext& c, Codes out) const {
  const std::span<const uint8_t> x = c.codes();
  for (size_t k = 0; k < x.size(); ++k)
    out[k] = static_cast<uint8_t>(std::clamp(read(c.input(), x[k]), 0, c.node.high));
}

CText Relu::c_text(const CContext& c) const {
  return {.functions = c.functions({Access::read, Access::write}, {c_runtime::run_relu}),
          .table = "",
          .call = fmt::format("run_relu({}, {}, {}, {}, {}, {});", c.x(), c.input_kind(), c.node().shape.size(),
                              c.node().high, c.y(), c.kind())};
}

std::string Relu::onnx(const OnnxContext& c) const {
  const std::string x = c.operand();
  return c.node.high < c.input().high ? c.clipped(x) : c.add.node("Relu", {x}, c.node.name + "/value");
}

/// Moves the highest code, which is lower than the input's after a ReLU6, to where INT8 ends.
TfliteValue Relu::tflite(const TfliteContext& c) const {
  const TfliteValue y = c.codes(c.node.name, TfliteContext::dims(c.node.shape), c.zero_point());
  c.add.node("RELU", 2, {c.value().tensor}, y.tensor);
  return y;
}

void Flatten::codes(const RunContext& c, Codes out) const {
  const std::span<const uint8_t> x = c.codes();
  const int64_t size = c.node.shape.size(), channels = c.input().channels(), positions = size / channels;
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t k = 0; k < size; ++k)
      out[static_cast<size_t>(n * size + k)] =
          x[static_cast<size_t>(n * size + k % positions * channels + k / positions)];
  }
}

CText Flatten::c_text(const CContext& c) const {
  const int64_t channels = c.input().channels();
  return {.functions = c.functions({Access::copy}, {c_runtime::run_flatten}),
          .table = "",
          .call = fmt::format("run_flatten({}, {}, {}, {}, {}, {});", c.x(), c.input_kind(),
                              c.node().shape.size() / channels, channels, c.y(), c.kind())};
}

std::string Flatten::onnx(const OnnxContext& c) const { return c.operand(); }

TfliteValue Flatten::tflite(const TfliteContext& c) const {
  const Shape& in = c.input().shape;
  const std::string& name = c.node.name;
  const TfliteValue moved = c.codes(name + "/moved", {1, in[0], in[1], in[2]}, c.value().zero_point);
  c.add.node("TRANSPOSE", 2, {c.value().tensor, c.add.integers(name + "/order", {0, 3, 1, 2})}, moved.tensor);
  return c.reshaped(moved, name, TfliteContext::dims(c.node.shape));
}

}  // namespace integer

}  // namespace mixgrad
