// SPDX-License-Identifier: Apache-2.0
// PReLU: a ratio for positive codes, and one for the negative codes of each channel.
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <src/internal/c_context.h>
#include <src/internal/coded.h>
#include <src/internal/lowering.h>
#include <src/internal/memory_plan.h>
#include <src/internal/names.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

#include <algorithm>

namespace mixgrad {

void op::PRelu::lower(LoweringContext& c) const {
  if (c.out.raw) bad_input("'{}' has no quantizer: a PReLU of codes needs one", c.node().name);
  const Tensor& slope = c.node().params[0];
  const PReluRatios ratios = prelu_ratios(slope, c.input().step, c.out.step);
  integer::PRelu out{.positive = ratios.positive};
  for (size_t k = 0; k < static_cast<size_t>(c.out.channels()); ++k) {
    const size_t at = slope.size() == 1 ? 0 : k;
    out.negative.push_back(ratios.negative[at]);
    out.slopes.push_back(slope.data()[at]);
  }
  c.out.op = std::move(out);
}

namespace integer {

void PRelu::count(DeviceBytes& bytes) const {
  bytes.multipliers += device::multiplier_bytes * (1 + std::ssize(negative));
  bytes.shifts += device::shift_bytes * (1 + std::ssize(negative));
}

void PRelu::codes(const RunContext& c, Codes out) const {
  const std::span<const uint8_t> x = c.codes();
  for (size_t k = 0; k < x.size(); ++k) {
    const int q = read(c.input(), x[k]);
    const int64_t code = (q >= 0 ? positive : negative[k % negative.size()]).apply(q);
    out[k] = static_cast<uint8_t>(std::clamp<int64_t>(code, c.node.low, c.node.high));
  }
}

CText PRelu::c_text(const CContext& c) const {
  const IntegerNode& n = c.node();
  std::vector<int32_t> multipliers;
  std::vector<int> shifts;
  for (const FixedPoint& f : negative) multipliers.push_back(f.multiplier), shifts.push_back(f.shift);
  return {
      .functions = c.functions({Access::read, Access::write}, {c_runtime::rescale, c_runtime::run_prelu}),
      .table = fmt::format("/* {} */\n", c_comment(n.name)) +
               c_array("int32_t", fmt::format("multiplier_{}", c.index), multipliers) +
               c_array("uint8_t", fmt::format("shift_{}", c.index), shifts) + "\n",
      .call = fmt::format("run_prelu({0}, {1}, {2}, {3}, {4}, {5}, multiplier_{6}, shift_{6}, {7}, {8}, {9}, {10});",
                          c.x(), c.input_kind(), n.shape.size(), n.channels(), positive.multiplier, positive.shift,
                          c.index, n.low, n.high, c.y(), c.kind())};
}

/// Of codes, whose halves round up: ONNX Runtime's PRelu of real values would round them to even, and a slope of 1/4
/// has many.
std::string PRelu::onnx(const OnnxContext& c) const {
  const std::string& name = c.node.name;
  std::vector<float> below;
  for (const FixedPoint& f : negative) below.push_back(static_cast<float>(f.value()));
  std::vector<int64_t> dims = {std::ssize(below)};
  if (c.node.shape.rank() == 3) dims.insert(dims.end(), {1, 1});
  const std::string ratios =
      c.add.constant(name + "/below_ratios", OnnxType::float32, dims, below.data(), below.size() * sizeof(float));
  const std::string ratio = c.add.number(name + "/above_ratio", static_cast<float>(positive.value()));
  const std::string counts = c.counts(), above = c.add.node("Relu", {counts}, name + "/above");
  const std::string rest = c.add.node("Sub", {counts, above}, name + "/below");
  const std::string first = c.add.node("Mul", {above, ratio}, name + "/first");
  const std::string second = c.add.node("Mul", {rest, ratios}, name + "/second");
  return c.halves_up(c.add.node("Add", {first, second}, name + "/sum"));
}

/// TFLite's PRELU rounds slopes to 8 bits, so that a table per channel gives the codes.
TfliteValue PRelu::tflite(const TfliteContext& c) const {
  std::vector<int> table;
  for (const FixedPoint& below : negative) {
    for (int stored = -128; stored < 128; ++stored) {
      const int q = stored - c.value().zero_point;
      table.push_back(
          static_cast<int>(std::clamp<int64_t>((q >= 0 ? positive : below).apply(q), c.node.low, c.node.high)));
    }
  }
  return c.looked_up(table);
}

}  // namespace integer

}  // namespace mixgrad
