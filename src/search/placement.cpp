// SPDX-License-Identifier: Apache-2.0
// Where quantizers stand (SPEC §5).
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

/// Nodes whose outputs must share one quantizer, because they meet in an Add: a disjoint-set forest.
class Groups {
 public:
  explicit Groups(const Graph& graph) : parent_(graph.nodes.size()) {
    std::iota(parent_.begin(), parent_.end(), 0);
    for (const Node& node : graph.nodes) {
      if (node.op != "add") continue;
      parent_[root(graph.quantized_by(node.inputs[1]))] = root(graph.quantized_by(node.inputs[0]));
    }
  }

  size_t root(int i) const { return root(static_cast<size_t>(i)); }
  int64_t size(int i) const {
    int64_t members = 0;
    for (size_t n = 0; n < parent_.size(); ++n) members += root(n) == root(i);
    return members;
  }
  size_t root(size_t i) const { return static_cast<size_t>(parent_[i]) == i ? i : root(static_cast<size_t>(parent_[i])); }

 private:
  std::vector<size_t> parent_;
};

bool excluded(const Node& node, const MixPrecOptions& options) {
  return std::ranges::find(options.exclude_names, node.name) != options.exclude_names.end();
}

void check_excluded_names(const Graph& graph, const MixPrecOptions& options) {
  for (const std::string& name : options.exclude_names) {
    const auto named = [&](const Node& n) { return n.is_layer() && n.name == name; };
    if (std::ranges::none_of(graph.nodes, named)) bad_input("exclude_names: the network has no layer '{}'", name);
  }
}

bool has_output_quantizer(const Graph& graph, int i, const MixPrecOptions& options) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  const bool candidate = node.is_layer() || node.op == "add" || node.op == "input";
  return candidate && graph.quantized_by(graph.output) != i && !excluded(node, options);
}

bool negative_possible(const Node& node) { return node.op != "input" && !node.relu; }

std::shared_ptr<ActivationSlot> new_slot(const std::vector<int>& precisions) {
  auto slot = std::make_shared<ActivationSlot>();
  slot->precisions = precisions;
  slot->alpha = quant::initial_alpha(precisions);
  return slot;
}

}  // namespace

void place_quantizers(Graph& graph, const MixPrecOptions& options) {
  const auto weight_bits = quant::checked_precisions("weight precisions", options.weight_precisions, 2);
  const auto activation_bits = quant::checked_precisions("activation precisions", options.activation_precisions, 2);
  const auto input_bits = quant::checked_precisions("input precisions", options.input_precisions, 2);
  check_excluded_names(graph, options);

  const Groups groups(graph);
  std::vector<std::shared_ptr<ActivationSlot>> slot_of_group(graph.nodes.size());
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.is_layer() && !excluded(node, options)) {
      node.weight_slot = std::make_shared<WeightSlot>();
      node.weight_slot->precisions = weight_bits;
      const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
      node.weight_slot->alpha = quant::initial_alpha(weight_bits, per_channel ? node.weight().dim(0) : 0);
    }
    if (!has_output_quantizer(graph, i, options)) continue;
    auto& slot = slot_of_group[groups.root(i)];
    const bool input_alone = node.op == "input" && groups.size(i) == 1;
    if (!slot) slot = new_slot(input_alone ? input_bits : activation_bits);
    slot->is_signed = slot->is_signed || negative_possible(node);
    node.output_slot = slot;
  }
}

}  // namespace mixgrad
