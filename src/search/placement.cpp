// SPDX-License-Identifier: Apache-2.0
// Where quantizers stand (SPEC §5).
#include "placement.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/search.h>

#include <src/internal/channels.h>

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

namespace mixgrad {
namespace {

bool excluded(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  return (own && own->exclude) || std::ranges::find(options.exclude_names, node.name) != options.exclude_names.end();
}

std::shared_ptr<const WeightQuantizer> weight_quantizer(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  return own && own->weight_quantizer ? own->weight_quantizer : options.weight_quantizer;
}

/// Candidates for a layer's weights, ascending.
std::vector<int> weight_bits(const Node& node, const MixPrecOptions& options) {
  if (node.as<op::Affine>()) return {op::Affine::weight_bits};
  const LayerOverride* own = override_of(options, node.name);
  const std::vector<int>& bits =
      own && !own->weight_precisions.empty() ? own->weight_precisions : options.weight_precisions;
  const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
  const std::vector<int> checked = quant::checked_precisions("weight precisions", bits, per_channel ? 0 : 1);
  if (checked == std::vector{0})
    bad_input("weight precisions: 0 bits alone would prune all of '{}': expected other candidates, too", node.name);
  quant::check_grid(*weight_quantizer(node, options), checked);
  return checked;
}

std::vector<int> activation_bits(const Node& node, const MixPrecOptions& options) {
  const LayerOverride* own = override_of(options, node.name);
  const bool overridden = own && !own->activation_precisions.empty();
  return quant::checked_precisions("activation precisions",
                                   overridden ? own->activation_precisions : options.activation_precisions, 2);
}

/// Whether a node's value is an output of the network, perhaps flattened from one position, and nothing else. Pools and
/// ReLUs of their own work on codes, and so does the flattening of images, which moves them: what they read needs a
/// quantizer. Functions need one themselves.
bool is_only_output(const Graph& graph, int i) {
  const auto node = [&](int n) -> const Node& { return graph.nodes[static_cast<size_t>(n)]; };
  return std::ranges::all_of(graph.consumers(i), [&](int reader) {
    const bool flattens = node(reader).as<op::Flatten>() && node(i).shape[0] == node(reader).shape[0];
    return node(reader).as<op::Outputs>() || (flattens && is_only_output(graph, reader));
  });
}

bool has_output_quantizer(const Graph& graph, int i, const MixPrecOptions& options) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  if (node.passes_quantizer() || node.quantizer() == op::Quantizer::none || excluded(node, options)) return false;
  return options.quantize_output || node.as<op::Input>() || node.quantizer() == op::Quantizer::coded ||
         !is_only_output(graph, i);
}

Tensor initial_alpha(const std::vector<int>& precisions, const MixPrecOptions& options, int64_t channels = 0) {
  Tensor alpha = quant::initial_alpha(precisions, channels);
  if (options.alpha_init == AlphaInit::SAME) std::ranges::fill(alpha.data(), 1.0F);
  return alpha;
}

/// Roots of the channel groups that must keep every channel: one of their nodes is the input, excluded, without 0 bits
/// among its candidates, or a grouped conv that is not depthwise; the output or such a conv reads their channels; their
/// channels don't go together one by one (an Add of slices, a depthwise conv on a Concat or a shuffle); or a layer
/// would read a constant in the place of a removed one.
std::vector<bool> unprunable(const Graph& graph, const Origins& origins, const ChannelGroups& groups,
                             const MixPrecOptions& options) {
  std::vector<bool> out(graph.nodes.size(), false);
  const auto keep = [&](int i) { out[groups.nodes.find(i)] = true; };
  const auto keep_read = [&](int i) {
    for (const ChannelOrigin& origin : origins[static_cast<size_t>(i)]) keep(origin.node);
  };
  keep(0);
  for (const GraphOutput& output : graph.outputs()) keep_read(output.node);
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    const bool grouped = node.channels() == op::Channels::grouped;
    if (grouped) keep_read(node.inputs[0]);
    const bool left_out = node.is_layer() && excluded(node, options);
    if (passes_channels(node)) {
      if (left_out) keep_read(i);
      continue;
    }
    const bool never = left_out || (node.is_layer() && weight_bits(node, options)[0] != 0);
    if (grouped || never || !groups.aligned[groups.nodes.find(i)]) keep(i);
  }
  for (const int reader : readers_of_constants(graph)) keep_read(graph.nodes[static_cast<size_t>(reader)].inputs[0]);
  return out;
}

/// Tells of the layers that would otherwise have 0 bits among their candidates.
void note_constants(const Graph& graph, const Origins& origins, const DisjointSets& groups,
                    const MixPrecOptions& options) {
  for (const int reader : readers_of_constants(graph)) {
    const int input = graph.nodes[static_cast<size_t>(reader)].inputs[0];
    std::set<size_t> read;
    for (const ChannelOrigin& origin : origins[static_cast<size_t>(input)]) read.insert(groups.find(origin.node));
    std::string names;
    for (int i = 1; i < std::ssize(graph.nodes); ++i) {
      const Node& node = graph.nodes[static_cast<size_t>(i)];
      const bool candidate = node.is_layer() && !excluded(node, options) && weight_bits(node, options)[0] == 0;
      if (candidate && read.contains(groups.find(i)))
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", node.name);
    }
    if (names.empty() || !options.on_note) continue;
    options.on_note(fmt::format("{} keeps all channels: '{}' would turn a removed one into a constant that '{}' reads",
                                names, graph.nodes[static_cast<size_t>(input)].name,
                                graph.nodes[static_cast<size_t>(reader)].name));
  }
}

/// Where all of a node's channels could get 0 bits without a layer's losing its last (in slices), keeps the first.
void keep_a_channel_of_each(Graph& graph, const Origins& origins) {
  for (const std::vector<ChannelOrigin>& own : origins) {
    std::map<int, std::set<int64_t>> read;  // channels by layer
    const auto is_sure = [&](const ChannelOrigin& c) {
      const Node& maker = graph.nodes[static_cast<size_t>(c.node)];
      const WeightSlot* slot = maker.weight_slot.get();
      if (slot == nullptr || slot->precisions[0] != 0 || std::ranges::count(slot->kept, c.channel) > 0) return true;
      read[c.node].insert(c.channel);
      return std::ssize(read[c.node]) == maker.shape[0];
    };
    if (std::ranges::any_of(own, is_sure)) continue;
    graph.nodes[static_cast<size_t>(own[0].node)].weight_slot->kept.push_back(own[0].channel);
  }
}

/// Gives every layer its candidates. With 0 bits among them, layers that lose channels together hold one slot.
void place_weight_slots(Graph& graph, const MixPrecOptions& options) {
  const bool per_channel = options.w_mixprec_type == MixPrecType::PER_CHANNEL;
  const Origins origins = channel_origins(graph);
  const ChannelGroups channels = channel_groups(graph, origins);
  const DisjointSets& groups = channels.nodes;
  const std::vector<bool> whole = unprunable(graph, origins, channels, options);
  note_constants(graph, origins, groups, options);
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
  keep_a_channel_of_each(graph, origins);
}

/// Whether a value can be below 0; calibration decides for the network's input.
bool negative_possible(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  if (node.as<op::Input>() || node.as<op::Activate>() || node.activation != Activation::none) return false;
  const auto input = [&](int n) { return negative_possible(graph, n); };
  if (node.as<op::Mul>() || node.passes_quantizer()) return std::ranges::any_of(node.inputs, input);
  const auto* f = node.as<op::Function>();
  return f == nullptr || gives_negatives(f->attrs);
}

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
          "override: the output of '{}' meets others in an Add or Concat, but has other candidates: one quantizer "
          "serves them all",
          node.name);
    }
    slot->is_signed = slot->is_signed || (negative_possible(graph, i) && !slot->quantizer->never_signed);
    node.output_slot = slot;
  }
}

}  // namespace mixgrad
