// SPDX-License-Identifier: Apache-2.0
// Elementwise functions as tables: each code of the input has its output code.
#include "c_runtime.h"

#include <mixgrad/error.h>

#include <src/internal/c_context.h>
#include <src/internal/coded.h>
#include <src/internal/lowering.h>
#include <src/internal/names.h>
#include <src/internal/onnx_context.h>
#include <src/internal/run_context.h>
#include <src/internal/tflite_context.h>

#include <algorithm>

namespace mixgrad {

void op::Function::lower(LoweringContext& c) const {
  if (c.out.raw) bad_input("'{}' has no quantizer: a function of codes needs one", c.node().name);
  const FunctionTable table = function_table(attrs, *c.graph.input_slot(c.node()), *c.node().output_slot);
  c.out.op = integer::Table{.first = table.first, .outputs = table.outputs};
}

namespace integer {

void Table::count(DeviceBytes& bytes) const { bytes.tables += std::ssize(outputs); }

void Table::codes(const RunContext& c, Codes out) const {
  const std::span<const uint8_t> x = c.codes();
  for (size_t k = 0; k < x.size(); ++k)
    out[k] = static_cast<uint8_t>(outputs[static_cast<size_t>(read(c.input(), x[k]) - first)]);
}

CText Table::c_text(const CContext& c) const {
  std::vector<int> bytes;
  for (const int code : outputs) bytes.push_back(static_cast<uint8_t>(code));
  return {.functions = c.functions({Access::read, Access::write}, {c_runtime::run_table}),
          .table = fmt::format("/* {} */\n", c_comment(c.node().name)) +
                   c_array("uint8_t", fmt::format("table_{}", c.index), bytes) + "\n",
          .call = fmt::format("run_table({}, {}, {}, table_{}, {}, {}, {});", c.x(), c.input_kind(),
                              c.node().shape.size(), c.index, -first, c.y(), c.kind())};
}

/// A look-up of real values by code: runtimes compute functions to within some units in the last place, which next to
/// a tie is another code.
std::string Table::onnx(const OnnxContext& c) const {
  const std::string& name = c.node.name;
  std::vector<float> values;
  for (const int code : outputs) values.push_back(static_cast<float>(code) * c.node.step);
  const std::string places =
      c.add.node("Sub", {c.counts(), c.add.number(name + "/first", static_cast<float>(first))}, name + "/places");
  const std::string indices =
      c.add.node("Cast", {places}, name + "/indices", {{"to", {static_cast<int64_t>(OnnxType::int64)}}});
  return c.add.node("Gather", {c.add.floats(name + "/table", values), indices}, name + "/looked_up");
}

TfliteValue Table::tflite(const TfliteContext& c) const {
  std::vector<int> table;
  for (int stored = -128; stored < 128; ++stored) {
    const int64_t at = stored - c.value().zero_point - first;
    table.push_back(outputs[static_cast<size_t>(std::clamp<int64_t>(at, 0, std::ssize(outputs) - 1))]);
  }
  return c.looked_up(table);
}

}  // namespace integer

}  // namespace mixgrad
