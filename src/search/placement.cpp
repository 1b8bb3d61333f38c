// SPDX-License-Identifier: Apache-2.0
// Where quantizers stand (SPEC §5).
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

/// Nodes that belong together: a disjoint-set forest.
class Groups {
 public:
  explicit Groups(const Graph& graph) : parent_(graph.nodes.size()) { std::iota(parent_.begin(), parent_.end(), 0); }

  void unite(int a, int b) { parent_[root(b)] = root(a); }
  size_t root(int i) const { return root(static_cast<size_t>(i)); }
  int64_t size(int i) const {
    int64_t members = 0;
    for (size_t n = 0; n < parent_.size(); ++n) members += root(n) == root(i);
    return members;
  }
  size_t root(size_t i) const {
    return static_cast<size_t>(parent_[i]) == i ? i : root(static_cast<size_t>(parent_[i]));
  }

 private:
  std::vector<size_t> parent_;
};

/// Nodes whose outputs must share one quantizer, because they meet in an Add.
Groups quantizer_groups(const Graph& graph) {
  Groups groups(graph);
  for (const Node& node : graph.nodes) {
    if (node.op == "add") groups.unite(graph.quantized_by(node.inputs[0]), graph.quantized_by(node.inputs[1]));
  }
  return groups;
}

bool is_grouped(const Node& node) { return node.op == "conv2d" && std::get<Conv2dAttrs>(node.attrs).groups > 1; }

bool is_depthwise(const Node& node) {
  return is_grouped(node) && node.weight().dim(1) == 1 &&
         node.weight().dim(0) == std::get<Conv2dAttrs>(node.attrs).groups;
}

/// Nodes that keep or lose a channel together: an Add with its inputs, a depthwise conv with its producer.
Groups channel_groups(const Graph& graph) {
  Groups groups(graph);
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.op != "add" && !is_depthwise(node)) continue;
    for (int input : node.inputs) groups.unite(graph.quantized_by(input), i);
  }
  return groups;
}

bool flattens_on_the_way(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  return node.passes_quantizer() && (node.op == "flatten" || flattens_on_the_way(graph, node.inputs[0]));
}

bool excluded(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  return (own && own->exclude) || std::ranges::find(options.exclude_names, node.name) != options.exclude_names.end();
}

/// Candidates for a layer's weights, ascending.
std::vector<int> weight_bits(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  const std::vector<int>& bits =
      own && !own->weight_precisions.empty() ? own->weight_precisions : options.weight_precisions;
  const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
  const std::vector<int> checked = quant::checked_precisions("weight precisions", bits, per_channel ? 0 : 2);
  if (checked == std::vector{0})
    bad_input("weight precisions: 0 bits alone would prune all of '{}': expected others besides", node.name);
  return checked;
}

std::vector<int> activation_bits(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  const bool overridden = own && !own->activation_precisions.empty();
  return quant::checked_precisions("activation precisions",
                                   overridden ? own->activation_precisions : options.activation_precisions, 2);
}

/// The node whose value is the network's output, if only flattened from one position. Pools and ReLUs of their own work
/// on codes, and so does the flattening of images, which moves them: what they read needs a quantizer.
int output_maker(const Graph& graph) {
  const auto node = [&](int i) -> const Node& { return graph.nodes[static_cast<size_t>(i)]; };
  int i = graph.output;
  while (node(i).op == "flatten" && node(node(i).inputs[0]).shape[0] == node(i).shape[0]) i = node(i).inputs[0];
  return i;
}

bool has_output_quantizer(const Graph& graph, int i, const MixPrecOptions& options) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  const bool always = options.quantize_output || node.op == "input" || i != output_maker(graph);
  return (node.is_layer() || node.op == "add" || node.op == "input") && always && !excluded(node, options);
}

Tensor initial_alpha(const std::vector<int>& precisions, const MixPrecOptions& options, int64_t channels = 0) {
  Tensor alpha = quant::initial_alpha(precisions, channels);
  if (options.alpha_init == AlphaInit::SAME) std::ranges::fill(alpha.data(), 1.0F);
  return alpha;
}

/// Roots of the channel groups that must keep every channel: one of their nodes is the input, the output, excluded,
/// without 0 bits among its candidates, or tied to a grouped conv that is not depthwise; or an Add sees their channels
/// flattened.
std::vector<bool> unprunable(const Graph& graph, const Groups& groups, const MixPrecOptions& options) {
  std::vector<bool> out(graph.nodes.size(), false);
  const auto keep = [&](int i) { out[groups.root(i)] = true; };
  keep(0);
  keep(graph.quantized_by(graph.output));
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    const bool grouped = is_grouped(node) && !is_depthwise(node);
    if (grouped || (node.is_layer() && (excluded(node, options) || weight_bits(node, options)[0] != 0))) keep(i);
    for (int input : node.inputs) {
      if (grouped || (node.op == "add" && flattens_on_the_way(graph, input))) keep(graph.quantized_by(input));
    }
  }
  return out;
}

/// Gives every layer its candidates. With 0 bits among them, layers that lose channels together hold one slot.
void place_weight_slots(Graph& graph, const MixPrecOptions& options) {
  const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
  const Groups groups = channel_groups(graph);
  const std::vector<bool> whole = unprunable(graph, groups, options);
  std::vector<std::shared_ptr<WeightSlot>> slot_of_group(graph.nodes.size());
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    Node& node = graph.nodes[static_cast<size_t>(i)];
    if (!node.is_layer() || excluded(node, options)) continue;
    std::vector<int> bits = weight_bits(node, options);
    const bool prunable = !whole[groups.root(i)];
    if (!prunable && bits[0] == 0) bits.erase(bits.begin());
    std::shared_ptr<WeightSlot> own;
    std::shared_ptr<WeightSlot>& slot = prunable ? slot_of_group[groups.root(i)] : own;
    if (!slot) {
      slot = std::make_shared<WeightSlot>();
      slot->precisions = bits;
      slot->alpha = initial_alpha(bits, options, per_channel ? node.weight().dim(0) : 0);
    }
    if (slot->precisions != bits) {
      bad_input("override: '{}' loses channels together with other layers, but has other candidates for its weights",
                node.name);
    }
    node.weight_slot = slot;
  }
}

bool negative_possible(const Node& node) { return node.op != "input" && !node.relu; }

std::shared_ptr<ActivationSlot> new_slot(const std::vector<int>& precisions, const MixPrecOptions& options) {
  auto slot = std::make_shared<ActivationSlot>();
  slot->precisions = precisions;
  slot->alpha = initial_alpha(precisions, options);
  slot->quantizer = options.activation_quantizer;
  return slot;
}

}  // namespace

void place_quantizers(Graph& graph, const MixPrecOptions& options) {
  const auto input_bits = quant::checked_precisions("input precisions", options.input_precisions, 2);
  check_names(graph, options);

  place_weight_slots(graph, options);

  const Groups groups = quantizer_groups(graph);
  std::vector<std::shared_ptr<ActivationSlot>> slot_of_group(graph.nodes.size());
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    Node& node = graph.nodes[static_cast<size_t>(i)];
    if (!has_output_quantizer(graph, i, options)) continue;
    auto& slot = slot_of_group[groups.root(i)];
    const bool input_alone = node.op == "input" && groups.size(i) == 1;
    const std::vector<int> bits = input_alone ? input_bits : activation_bits(node, options);
    if (!slot) slot = new_slot(bits, options);
    if (slot->precisions != bits) {
      bad_input(
          "override: the output of '{}' meets others in an Add, but has other candidates: one quantizer serves them "
          "all",
          node.name);
    }
    const bool cuts_negatives = slot->quantizer && slot->quantizer->never_signed;
    slot->is_signed = slot->is_signed || (negative_possible(node) && !cuts_negatives);
    node.output_slot = slot;
  }
}

}  // namespace mixgrad
