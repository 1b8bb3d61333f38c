// SPDX-License-Identifier: Apache-2.0
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <kernels/move.h>
#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

#include <algorithm>

namespace mixgrad {

void op::Concat::lower(LoweringContext& c) const {
  for (size_t i = 0; i < c.out.inputs.size(); ++i) {
    const IntegerNode &first = c.input(), &x = c.input(i);
    if (first.raw || x.raw || x.step != first.step)
      bad_input("'{}' joins '{}' and '{}', which must share a quantizer", c.node().name, first.name, x.name);
    c.out.low = std::min(c.out.low, x.low);
    c.out.high = std::max(c.out.high, x.high);
  }
  c.out.op = integer::Concat{};
}

namespace integer {

void Concat::codes(const RunContext& c, Codes out) const {
  const int64_t all = c.node.channels(), rows = std::ssize(out) / all;
  int64_t at = 0;
  for (size_t i = 0; i < c.node.inputs.size(); ++i) {
    kernels::put_channels(rows, c.input(i).channels(), c.codes(i).data(), all, at, out.data());
    at += c.input(i).channels();
  }
}

CText Concat::c_text(const CContext& c) const {
  const int64_t all = c.node().channels(), rows = c.node().shape.size() / all;
  std::vector<std::string> calls;
  int64_t at = 0;
  for (size_t i = 0; i < c.node().inputs.size(); ++i) {
    const int64_t channels = c.input(i).channels();
    calls.push_back(fmt::format("put_channels({}, {}, {}, {}, {}, {}, {}, {});", c.x(i), c.input_kind(i), rows,
                                channels, all, at, c.y(), c.kind()));
    at += channels;
  }
  return {.functions = c.functions({Access::copy}, {c_runtime::put_channels}),
          .table = "",
          .call = fmt::format("{}", fmt::join(calls, "\n  "))};
}

std::string Concat::onnx(const OnnxContext& c) const {
  std::vector<std::string> inputs;
  for (size_t i = 0; i < c.node.inputs.size(); ++i) inputs.push_back(c.operand(i));
  return c.add.node("Concat", inputs, c.node.name + "/value", {{"axis", {1}}});
}

/// CONCATENATION wants one zero point, and the codes after a ReLU6 may have another than the rest.
TfliteValue Concat::tflite(const TfliteContext& c) const {
  std::vector<int> inputs;
  for (size_t i = 0; i < c.node.inputs.size(); ++i) {
    TfliteValue x = c.value(i);
    if (x.zero_point != c.zero_point()) {
      x = c.codes(fmt::format("{}/input/{}", c.node.name, i), TfliteContext::dims(c.input(i).shape), c.zero_point());
      c.add.node("QUANTIZE", 1, {c.value(i).tensor}, x.tensor);
    }
    inputs.push_back(x.tensor);
  }
  const TfliteValue y = c.codes(c.node.name, TfliteContext::dims(c.node.shape), c.zero_point());
  c.add.node("CONCATENATION", 2, inputs, y.tensor, {.axis = 3});
  return y;
}

}  // namespace integer

}  // namespace mixgrad
