// SPDX-License-Identifier: Apache-2.0
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <kernels/move.h>
#include <src/internal/c_context.h>
#include <src/internal/lowering.h>
#include <src/internal/names.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

#include <limits>

namespace mixgrad {

void op::SelectChannels::lower(LoweringContext& c) const {
  constexpr int64_t most = std::numeric_limits<uint16_t>::max() + int64_t{1};  // devices index channels by 16 bits
  if (c.input().channels() > most) {
    bad_input("'{}' selects from {} channels: expected at most {}", c.node().name, c.input().channels(), most);
  }
  c.out.op = integer::SelectChannels{.index = attrs.channels};
}

namespace integer {
namespace {

bool is_slice(const std::vector<int64_t>& index) {
  for (size_t k = 1; k < index.size(); ++k) {
    if (index[k] != index[0] + static_cast<int64_t>(k)) return false;
  }
  return true;
}

std::string numbers(const OnnxContext& c, const std::string& name, const std::vector<int64_t>& v) {
  return c.add.constant(c.node.name + name, OnnxType::int64, {std::ssize(v)}, v.data(), v.size() * sizeof(int64_t));
}

}  // namespace

void SelectChannels::count(DeviceBytes& bytes) const {
  bytes.tables += op::SelectChannels::constant_bytes.per_channel * std::ssize(index);
}

void SelectChannels::codes(const RunContext& c, Codes out) const {
  kernels::select_channels(std::ssize(out) / c.node.channels(), c.input().channels(), index, c.codes().data(),
                           out.data());
}

CText SelectChannels::c_text(const CContext& c) const {
  const int64_t count = std::ssize(index);
  return {.functions = c.functions({Access::copy}, {c_runtime::select_channels}),
          .table = fmt::format("/* {} */\n", c_comment(c.node().name)) +
                   c_array("uint16_t", fmt::format("index_{}", c.index), index) + "\n",
          .call = fmt::format("select_channels({}, {}, {}, {}, index_{}, {}, {}, {});", c.x(), c.input_kind(),
                              c.node().shape.size() / count, c.input().channels(), c.index, count, c.y(), c.kind())};
}

/// A shuffle may have lost channels, so it is a Gather.
std::string SelectChannels::onnx(const OnnxContext& c) const {
  const std::string name = c.node.name + "/value";
  if (!is_slice(index)) return c.add.node("Gather", {c.operand(), numbers(c, "/index", index)}, name, {{"axis", {1}}});
  return c.add.node("Slice",
                    {c.operand(), numbers(c, "/start", {index.front()}), numbers(c, "/end", {index.back() + 1}),
                     numbers(c, "/axis", {1})},
                    name);
}

TfliteValue SelectChannels::tflite(const TfliteContext& c) const {
  const std::string& name = c.node.name;
  if (is_slice(index)) return c.part(c.value(), name, {0, 0, 0, index.front()}, TfliteContext::dims(c.node.shape));
  const TfliteValue y = c.passed();
  c.add.node("GATHER", 2, {c.value().tensor, c.add.integers(name + "/index", index)}, y.tensor, {.axis = 3});
  return y;
}

}  // namespace integer

}  // namespace mixgrad
