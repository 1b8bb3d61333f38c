// SPDX-License-Identifier: Apache-2.0
// Error message on unsupported operators.
#include "onnx_fold.h"
#include "onnx_operators.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::File;
using onnx_file::Node;

namespace {

struct Advice {
  const char* what_to_do;
  std::vector<const char*> ops;
};

/// Advice by operator.
const char* advice(const std::string& kind) {
  static const std::vector<Advice> all = {
      {"train it with Relu, HardSwish or another function from docs/formats.md instead",
       {"Celu", "Erf", "Exp", "Selu", "Softsign", "ThresholdedRelu"}},
      {"use Add or Mul: no other operation on two tensors is supported", {"Div of two tensors", "Sub of two tensors"}},
      {"only strides, pools, Resize and transposed convolutions change the size of images",
       {"DepthToSpace", "SpaceToDepth"}},
      {"it is only supported at the network's end, where it is removed", {"LogSoftmax", "Softmax"}},
      {"train it with BatchNormalization instead",
       {"GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization",
        "MeanVarianceNormalization"}},
      {"export the float network: the search quantizes it",
       {"ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul",
        "QuantizeLinear"}},
      {"export the network with fixed shapes", {"Equal", "Expand", "If", "Loop", "NonZero", "Scan", "Tile", "Where"}},
      {"end the network before it", {"ArgMax", "NonMaxSuppression", "TopK"}},
      {"pad with zeros", {"Pad by reflection", "Pad by edge values"}},
      {"only networks of convolutions and linear layers are supported",
       {"Attention", "Einsum", "GRU", "LSTM", "MatMul of two tensors", "RNN"}},
  };
  for (const Advice& a : all) {
    if (std::ranges::find(a.ops, kind) != a.ops.end()) return a.what_to_do;
  }
  return "export a network of Conv, Gemm, MatMul, BatchNormalization, Relu, Add, Mul and pools";
}

using Constants = std::set<std::string>;

/// The kind of an unsupported node; empty if supported, judged by the operator alone.
std::string unsupported(const File& file, const Node& n, const Constants& constants) {
  const auto is_constant = [&](const std::string& name) { return name.empty() || constants.contains(name); };
  const bool two_tensors = n.inputs.size() > 1 && !is_constant(n.inputs[0]) && !is_constant(n.inputs[1]);
  if (two_tensors && (n.op == "Sub" || n.op == "Div" || n.op == "MatMul")) {
    return n.op + " of two tensors";
  }
  if ((n.op == "Softmax" || n.op == "LogSoftmax") && !ends_network(file, n)) return n.op;
  const std::string mode = n.op == "Pad" ? Attributes(file, n).text("mode", "constant") : "";
  if (mode == "reflect" || mode == "wrap") return "Pad by reflection";
  if (mode == "edge") return "Pad by edge values";
  return import_of(n.op) == nullptr ? n.op : "";
}

/// Whether a node's output is a constant, such as a shape.
bool gives_constant(const File& file, const Node& n, const Constants& constants) {
  const auto known = [&](const std::string& name) {
    return name.empty() || constants.contains(name) || file.constant(name) != nullptr;
  };
  return n.op == "Shape" || (can_fold(n.op) && !n.inputs.empty() && std::ranges::all_of(n.inputs, known));
}

}  // namespace

void refuse_unsupported(const File& file) {
  Constants constants;
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> kinds;  // by kind and advice
  for (const Node& n : file.nodes()) {
    for (const std::string& name : n.inputs) {
      if (file.constant(name) != nullptr) constants.insert(name);
    }
    if (gives_constant(file, n, constants)) {
      constants.insert(n.outputs.begin(), n.outputs.end());
    } else if (!n.refusal.empty()) {
      kinds[{n.op, n.refusal}].push_back(n.called());
    } else if (const std::string kind = unsupported(file, n, constants); !kind.empty()) {
      kinds[{kind, advice(kind)}].push_back(n.source.empty() ? "'" + n.name + "'" : n.called());
    }
  }
  if (kinds.empty()) return;
  std::vector<std::pair<std::pair<std::string, std::string>, std::vector<std::string>>> sorted(kinds.begin(),
                                                                                               kinds.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  std::string said = fmt::format("{} of operators can't be imported:",
                                 kinds.size() == 1 ? "1 kind" : fmt::format("{} kinds", kinds.size()));
  for (auto& [what, names] : sorted) {
    const size_t count = names.size(), shown = std::min<size_t>(3, count);
    names.resize(shown);
    said += fmt::format("\n  {} x {} ({}{}): {}", count, what.first, fmt::join(names, ", "),
                        count > shown ? ", ..." : "", what.second);
  }
  file.fail(said);
}

}  // namespace mixgrad::models
