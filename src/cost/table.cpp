// SPDX-License-Identifier: Apache-2.0
// Costs from a look-up table: supporting another chip takes a file (table_file.cpp), not code.
#include <mixgrad/cost.h>
#include <mixgrad/error.h>

namespace mixgrad::cost {
namespace {

/// Costs per MAC at one weight precision, for every candidate of the layer's input.
std::vector<double> column(const Table& table, const Layer& layer, int weight_bits) {
  std::vector<double> costs;
  for (int input_bits : layer.input.bits) {
    const auto found = table.per_mac.find({layer.kind, input_bits, weight_bits});
    if (found == table.per_mac.end()) {
      bad_input("{}: no cost for {} with {}-bit inputs and {}-bit weights, which layer '{}' may use", table.name,
                name_of(layer.kind), input_bits, weight_bits, layer.name);
    }
    costs.push_back(found->second);
  }
  return costs;
}

Value by_rates(const Table& table, std::string_view op, const Counts& counts) {
  const auto found = table.operators.find(std::string(op));
  if (found == table.operators.end()) return 0;
  const Table::Rates& rates = found->second;
  const std::vector<Value> terms = {scale(counts.outputs, rates.per_output), scale(counts.inputs, rates.per_input),
                                    scale(counts.rows, rates.per_row)};
  return sum(terms);
}

Value by_macs(const Table& table, const Layer& layer) {
  std::vector<Value> terms;
  for (size_t p = 0; p < layer.weights.bits.size(); ++p) {
    if (layer.weights.bits[p] == 0) continue;
    Value channels = layer.channels_at(p);
    if (table.tile > 1)
      channels = scale(ceil_div(channels, static_cast<double>(table.tile)), static_cast<double>(table.tile));
    terms.push_back(product(layer.input.expected(column(table, layer, layer.weights.bits[p])), channels));
  }
  return product(sum(terms), layer.live_inputs,
                 static_cast<double>(layer.output_positions() * layer.kernel_positions()));
}

}  // namespace

Counts counts_of(const Layer& layer) {
  const auto positions = static_cast<double>(layer.output_positions());
  const Value outputs = layer.live_outputs();
  const Value groups = layer.kind == LayerKind::depthwise ? outputs : static_cast<double>(layer.groups);
  return {.outputs = scale(outputs, positions),
          .inputs = product(groups, layer.live_inputs, positions * static_cast<double>(layer.kernel_positions())),
          .rows = scale(groups, positions * static_cast<double>(layer.kernel[0]))};
}

Counts counts_of(const Activation& input, const Activation& output) {
  return {.outputs = scale(output.live_channels, static_cast<double>(output.positions)),
          .inputs = scale(input.live_channels, static_cast<double>(input.positions)),
          .rows = 0};
}

Model look_up(Table table, std::string help) {
  CostOfOther of_other;
  if (!table.operators.empty()) {
    of_other = [table](const Node& node, const Activation& input, const Activation& output) {
      return by_rates(table, node.op_name(), counts_of(input, output));
    };
  }
  const auto of_layer = [table](const Layer& layer) {
    const std::vector<Value> terms = {by_macs(table, layer), by_rates(table, name_of(layer.kind), counts_of(layer))};
    return sum(terms);
  };
  return sum_over_layers(table.name, table.unit, std::move(help), of_layer, of_other);
}

}  // namespace mixgrad::cost
