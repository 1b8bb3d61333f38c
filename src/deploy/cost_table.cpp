// SPDX-License-Identifier: Apache-2.0
// A table of costs for searches, fitted to what the operators of C packages take.
#include "probe.h"

#include <mixgrad/deploy.h>
#include <mixgrad/profile.h>

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

constexpr std::array stored{1, 2, 4, 8};  ///< bits of weights

/// The rates that are fitted: first those of multiply-accumulates by the bits that store their weights (per_mac_at),
/// then those of Table::Rates.
enum Rate : size_t { per_output = stored.size(), per_input, per_row, rates };

size_t per_mac_at(int weight_bits) {
  return static_cast<size_t>(std::ranges::find(stored, storage_bits(weight_bits)) - stored.begin());
}

/// An operator as it was measured, and how often it counts each rate.
struct Sample {
  std::array<double, rates> counts = {};
  double measured = 0;
};
using Samples = std::map<std::string, std::vector<Sample>>;  // by kind of layer or name of another operator

Sample sample_of(const cost::Counts& counts) {
  Sample s;
  s.counts[per_output] = counts.outputs.item();
  s.counts[per_input] = counts.inputs.item();
  s.counts[per_row] = counts.rows.item();
  return s;
}

Sample sample_of(const cost::Layer& layer, int bits) {
  Sample s = sample_of(counts_of(layer));
  s.counts[per_mac_at(bits)] =
      layer.live_inputs.item() * static_cast<double>(layer.kernel_positions()) * s.counts[per_output];
  // A depthwise layer reads as many inputs as it multiplies, so their costs can't be told apart.
  if (layer.kind == cost::LayerKind::depthwise) s.counts[per_input] = s.counts[per_row] = 0;
  return s;
}

/// Adds the samples of a probe: its layers, whose weights have `bits`, or with 0 its other operators.
void measure(const Graph& graph, const Profile& profile, int bits, Samples& samples) {
  std::map<std::string, double> measured;
  for (const Profile::Operator& o : profile.operators) measured[o.name] = static_cast<double>(o.time);
  const auto add = [&](const std::string& op, const std::string& node, Sample s) {
    const auto found = measured.find(node);
    if (found == measured.end()) return;  // takes no time
    s.measured = found->second;
    samples[op].push_back(s);
  };
  const auto look = [&](const cost::Network& network) -> cost::Value {
    if (bits > 0) {
      for (const cost::Layer& layer : network.layers) add(name_of(layer.kind), layer.name, sample_of(layer, bits));
      return 0;
    }
    for (size_t i = 1; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (node.is_layer()) continue;
      const cost::Activation& input = network.activations[static_cast<size_t>(node.inputs[0])];
      add(std::string(node.op_name()), node.name, sample_of(counts_of(input, network.activations[i])));
    }
    return 0;
  };
  cost::discrete(graph, {.name = "probe", .unit = "", .help = "", .of_network = look});
}

/// The rates with the least sum of squared relative errors, none of them negative: as long as one is, the most negative
/// is left out.
std::vector<double> fitted(const std::vector<Sample>& samples) {
  const auto rows = std::ssize(samples);
  std::vector<size_t> used;
  for (size_t k = 0; k < rates; ++k) {
    if (std::ranges::any_of(samples, [&](const Sample& s) { return s.counts[k] > 0; })) used.push_back(k);
  }
  while (true) {
    Eigen::MatrixXd a(rows, std::ssize(used));
    for (Eigen::Index i = 0; i < rows; ++i) {
      const Sample& s = samples[static_cast<size_t>(i)];
      for (size_t k = 0; k < used.size(); ++k) a(i, static_cast<Eigen::Index>(k)) = s.counts[used[k]] / s.measured;
    }
    const Eigen::VectorXd x = a.colPivHouseholderQr().solve(Eigen::VectorXd::Ones(rows));
    Eigen::Index least = 0;
    if (x.minCoeff(&least) < 0) {
      used.erase(used.begin() + least);
      continue;
    }
    std::vector<double> out(rates);
    for (size_t k = 0; k < used.size(); ++k) out[used[k]] = x[static_cast<Eigen::Index>(k)];
    return out;
  }
}

/// To four digits.
double rounded(double rate) {
  if (rate == 0) return 0;
  const double unit = std::pow(10, std::floor(std::log10(rate)) - 3);
  return std::round(rate / unit) * unit;
}

void enter(cost::Table& table, const std::string& op, const std::vector<double>& fit) {
  const auto kind = std::ranges::find(cost::layer_kinds, op, cost::name_of);
  for (int weight_bits = 1; weight_bits <= 8 && kind != cost::layer_kinds.end(); ++weight_bits) {
    for (int input_bits = 2; input_bits <= 8; ++input_bits)  // a code is a byte at any bit-width
      table.per_mac[{*kind, input_bits, weight_bits}] = rounded(fit[per_mac_at(weight_bits)]);
  }
  const cost::Table::Rates of_op = {
      .per_output = rounded(fit[per_output]), .per_input = rounded(fit[per_input]), .per_row = rounded(fit[per_row])};
  const bool is_function = std::ranges::find(function_names, op) != function_names.end();
  if (!is_function) table.operators[op] = of_op;
  for (const char* function : function_names) {  // all are look-up tables
    if (is_function) table.operators[function] = of_op;
  }
}

}  // namespace

CostTable measure_costs(const std::string& target, const std::string& optimization) {
  Samples samples;
  CostTable out{.table = {.name = target, .unit = "", .per_mac = {}}};
  const auto measured = [&](const Graph& graph) {
    Profile p = profile(to_integer(graph), target, optimization);
    out.table.unit = p.unit;
    return p;
  };
  for (const int bits : stored) {
    for (const Graph& layers : {probe_of_layers(bits), probe_of_transposed(bits)})
      measure(layers, measured(layers), bits, samples);
  }
  const Graph others = probe_of_others();
  measure(others, measured(others), 0, samples);

  for (const auto& [op, all] : samples) enter(out.table, op, fitted(all));
  const Graph model = probe_of_model(CostTable::held_against);
  out.predicted = cost::discrete(model, cost::look_up(out.table, ""));
  out.measured = static_cast<double>(measured(model).time);
  return out;
}

}  // namespace mixgrad
