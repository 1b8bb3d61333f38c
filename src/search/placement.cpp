// SPDX-License-Identifier: Apache-2.0
// Where quantizers stand (SPEC §5).
#include "placement.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/search.h>

#include <src/internal/channels.h>

#include <algorithm>

namespace mixgrad {
namespace {

/// Nodes whose outputs must share one quantizer, because they meet in an Add.
DisjointSets quantizer_groups(const Graph& graph) {
  DisjointSets groups(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    if (node.quantizer() != op::Quantizer::joint) continue;
    for (const int n : node.inputs) groups.unite(graph.quantized_by(n), graph.quantized_by(node.inputs[0]));
  }
  return groups;
}

bool flattens_on_the_way(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  return node.passes_quantizer() && (node.as<op::Flatten>() || flattens_on_the_way(graph, node.inputs[0]));
}

bool excluded(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  return (own && own->exclude) || std::ranges::find(options.exclude_names, node.name) != options.exclude_names.end();
}

/// Whether it is a layer whose channels are those that its input keeps.
bool passes_channels(const Node& node) { return node.is_layer() && node.channels() == op::Channels::passed; }

/// Candidates for a layer's weights, ascending.
std::vector<int> weight_bits(const Node& node, const MixPrecOptions& options) {
  if (node.as<op::Affine>()) return {op::Affine::weight_bits};
  const LayerOverride* own = override_of(options, node.name);
  const std::vector<int>& bits =
      own && !own->weight_precisions.empty() ? own->weight_precisions : options.weight_precisions;
  const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
  const std::vector<int> checked = quant::checked_precisions("weight precisions", bits, per_channel ? 0 : 2);
  if (checked == std::vector{0})
    bad_input("weight precisions: 0 bits alone would prune all of '{}': expected other candidates, too", node.name);
  return checked;
}

std::shared_ptr<const WeightQuantizer> weight_quantizer(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  return own && own->weight_quantizer ? own->weight_quantizer : options.weight_quantizer;
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
  while (node(i).as<op::Flatten>() && node(node(i).inputs[0]).shape[0] == node(i).shape[0]) i = node(i).inputs[0];
  return i;
}

bool has_output_quantizer(const Graph& graph, int i, const MixPrecOptions& options) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  const bool always = options.quantize_output || node.as<op::Input>() || i != output_maker(graph);
  return !node.passes_quantizer() && always && !excluded(node, options);
}

Tensor initial_alpha(const std::vector<int>& precisions, const MixPrecOptions& options, int64_t channels = 0) {
  Tensor alpha = quant::initial_alpha(precisions, channels);
  if (options.alpha_init == AlphaInit::SAME) std::ranges::fill(alpha.data(), 1.0F);
  return alpha;
}

/// Roots of the channel groups that must keep every channel: one of their nodes is the input, the output, excluded,
/// without 0 bits among its candidates, or tied to a grouped conv that is not depthwise; or an Add or a batch norm sees
/// their channels flattened.
std::vector<bool> unprunable(const Graph& graph, const DisjointSets& groups, const MixPrecOptions& options) {
  std::vector<bool> out(graph.nodes.size(), false);
  const auto keep = [&](int i) { out[groups.find(i)] = true; };
  keep(0);
  keep(graph.quantized_by(graph.output));
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    const bool grouped = node.channels() == op::Channels::grouped;
    const bool chooses = node.is_layer() && !passes_channels(node) && !excluded(node, options);
    if (grouped || (node.is_layer() && excluded(node, options)) || (chooses && weight_bits(node, options)[0] != 0))
      keep(i);
    for (int input : node.inputs) {
      const bool together = node.channels() == op::Channels::tied || passes_channels(node);
      if (grouped || (together && flattens_on_the_way(graph, input))) keep(graph.quantized_by(input));
    }
  }
  return out;
}

/// Gives every layer its candidates. With 0 bits among them, layers that lose channels together hold one slot.
void place_weight_slots(Graph& graph, const MixPrecOptions& options) {
  const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
  const DisjointSets groups = nodes_that_share_channels(graph);
  const std::vector<bool> whole = unprunable(graph, groups, options);
  std::vector<std::shared_ptr<WeightSlot>> slot_of_group(graph.nodes.size());
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    Node& node = graph.nodes[static_cast<size_t>(i)];
    if (!node.is_layer() || excluded(node, options)) continue;
    std::vector<int> bits = weight_bits(node, options);
    const bool prunable = !whole[groups.find(i)] && !passes_channels(node);
    if (!prunable && bits[0] == 0) bits.erase(bits.begin());
    std::shared_ptr<WeightSlot> own;
    std::shared_ptr<WeightSlot>& slot = prunable ? slot_of_group[groups.find(i)] : own;
    if (!slot) {
      slot = std::make_shared<WeightSlot>();
      slot->precisions = bits;
      slot->alpha = initial_alpha(bits, options, per_channel ? node.weight().dim(0) : 0);
      slot->quantizer = weight_quantizer(node, options);
    }
    if (slot->precisions != bits || slot->quantizer != weight_quantizer(node, options)) {
      bad_input(
          "override: '{}' loses channels together with other layers, but has other candidates or another quantizer for "
          "its weights",
          node.name);
    }
    node.weight_slot = slot;
    start_scales(node);
  }
}

bool negative_possible(const Node& node) { return !node.as<op::Input>() && node.activation == Activation::none; }

std::shared_ptr<ActivationSlot> new_slot(const std::vector<int>& precisions, const MixPrecOptions& options) {
  auto slot = std::make_shared<ActivationSlot>();
  slot->precisions = precisions;
  slot->alpha = initial_alpha(precisions, options);
  slot->quantizer = options.activation_quantizer;
  return slot;
}

}  // namespace

void start_scales(Node& node) {
  const WeightSlot& slot = *node.weight_slot;
  if (!slot.quantizer->learns_scale) return;
  node.weight_scales = candidate_scales(node.weight(), slot.precisions, *slot.quantizer).requires_grad();
}

void place_quantizers(Graph& graph, const MixPrecOptions& options) {
  const auto input_bits = quant::checked_precisions("input precisions", options.input_precisions, 2);
  check_names(graph, options);
  if (!options.activation_quantizer || !options.weight_quantizer)
    bad_input("the quantizer of {} is missing", options.weight_quantizer ? "activations" : "weights");

  place_weight_slots(graph, options);

  const DisjointSets groups = quantizer_groups(graph);
  std::vector<std::shared_ptr<ActivationSlot>> slot_of_group(graph.nodes.size());
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    Node& node = graph.nodes[static_cast<size_t>(i)];
    if (!has_output_quantizer(graph, i, options)) continue;
    auto& slot = slot_of_group[groups.find(i)];
    const bool input_alone = node.as<op::Input>() && groups.size_of_set(i) == 1;
    const std::vector<int> bits = input_alone ? input_bits : activation_bits(node, options);
    if (!slot) slot = new_slot(bits, options);
    if (slot->precisions != bits) {
      bad_input(
          "override: the output of '{}' meets others in an Add, but has other candidates: one quantizer serves them "
          "all",
          node.name);
    }
    slot->is_signed = slot->is_signed || (negative_possible(node) && !slot->quantizer->never_signed);
    node.output_slot = slot;
  }
}

}  // namespace mixgrad
