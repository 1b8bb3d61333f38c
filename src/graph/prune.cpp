// SPDX-License-Identifier: Apache-2.0
// Removes channels of 0 bits from a network (SPEC §7).
#include <mixgrad/error.h>
#include <mixgrad/graph.h>
#include <mixgrad/ops.h>

#include <src/internal/matrix.h>
#include <src/internal/channels.h>

#include <algorithm>
#include <optional>

namespace mixgrad {
namespace {

/// Indices of the channels that stay; no value if all do.
using Live = std::optional<std::vector<int64_t>>;

/// The slices `live` along dimension 0 (outermost in memory) or 1 (innermost).
Tensor sliced(const Tensor& t, int dim, const std::vector<int64_t>& live) {
  Shape shape = t.shape();
  const auto all = as_rows(t.data(), dim == 0 ? shape[0] : t.size() / shape[1]);
  shape[dim] = std::ssize(live);
  Tensor out = Tensor::empty(shape);
  if (dim == 0)
    as_rows(out.data(), shape[0]) = all(live, Eigen::all);
  else
    as_rows(out.data(), all.rows()) = all(Eigen::all, live);
  return out.requires_grad(t.needs_grad());
}

template <typename T>
void keep(std::vector<T>& values, const std::vector<int64_t>& live) {
  std::vector<T> kept;
  for (int64_t i : live) kept.push_back(values[static_cast<size_t>(i)]);
  values = std::move(kept);
}

void drop_inputs(Node& node, const Live& inputs, const Live& outputs) {
  if (!inputs) return;
  if (node.channels() == op::Channels::made) {
    // Keeps the scales of the unpruned rows, which the search evaluated.
    const WeightSlot* slot = node.weight_slot.get();
    if (slot && !node.weight_scales) node.weight_scales = weight_scales(node.weight(), slot->bits, *slot->quantizer);
    node.params[0] = sliced(node.weight(), 1, *inputs);
    return;
  }
  // Depthwise: input and output channels go together.
  if (inputs != outputs) bad_input("'{}': the channels of a grouped convolution's input can't be pruned", node.name);
  if (auto* conv = node.as<op::Conv2d>()) conv->attrs.groups = std::ssize(*inputs);
  if (auto* conv = node.as<op::ConvTranspose2d>()) conv->attrs.groups = std::ssize(*inputs);
}

void drop_outputs(Node& node, const Live& outputs) {
  if (!outputs) return;
  node.params[0] = sliced(node.weight(), 0, *outputs);
  if (node.bias()) node.params[1] = sliced(node.bias(), 0, *outputs);
  if (!node.weight_slot) return;
  node.weight_slot = std::make_shared<WeightSlot>(*node.weight_slot);
  keep(node.weight_slot->bits, *outputs);
  if (node.weight_scales) node.weight_scales = sliced(node.weight_scales, 0, *outputs);
}

/// A node's output channels that stay.
Live left_of(const Graph& graph, const Node& node, const std::vector<ChannelOrigin>& origins) {
  std::vector<int64_t> live;
  for (size_t c = 0; c < origins.size(); ++c) {
    if (is_live(graph, origins[c])) live.push_back(static_cast<int64_t>(c));
  }
  if (live.size() == origins.size()) return std::nullopt;
  if (live.empty()) bad_input("'{}' would lose its last channel: at least one needs more than 0 bits", node.name);
  return live;
}

/// For each node, the channels of its output that stay.
std::vector<Live> left_channels(const Graph& graph) {
  const Origins origins = channel_origins(graph);
  std::vector<Live> live(graph.nodes.size());
  const std::vector<int> readers = readers_of_constants(graph);
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    live[i] = left_of(graph, node, origins[i]);
    for (const int n : node.inputs) {
      const bool tied = node.channels() == op::Channels::tied;
      if (tied && live[static_cast<size_t>(n)] != live[i])
        bad_input("'{}': the tensors that it combines must lose the same channels", node.name);
    }
    if (std::ranges::count(readers, static_cast<int>(i)) > 0 && live[static_cast<size_t>(node.inputs[0])]) {
      bad_input("'{}' reads channels at 0 bits that '{}' before it does not leave at 0: they can't be removed",
                node.name, graph.nodes[static_cast<size_t>(node.inputs[0])].name);
    }
    if (node.as<op::BatchNorm>() && live[i])
      bad_input("'{}': a batch norm must be folded before its channels are pruned", node.name);
  }
  return live;
}

/// The selected channels that stay, by their new indices in the input.
void select_live(op::SelectChannels& select, const Live& inputs, const Live& outputs) {
  std::vector<int64_t>& channels = select.attrs.channels;
  if (outputs) keep(channels, *outputs);
  if (!inputs) return;
  for (int64_t& c : channels) c = std::ranges::lower_bound(*inputs, c) - inputs->begin();
}

}  // namespace

void remove_pruned_channels(Graph& graph) {
  const std::vector<Live> live = left_channels(graph);
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (node.is_layer()) {
      drop_inputs(node, live[static_cast<size_t>(node.inputs[0])], live[i]);
      drop_outputs(node, live[i]);
    }
    if (auto* select = node.as<op::SelectChannels>())
      select_live(*select, live[static_cast<size_t>(node.inputs[0])], live[i]);
    if (node.as<op::PRelu>() && live[i] && node.params[0].size() > 1)
      node.params[0] = sliced(node.params[0], 0, *live[i]);
    if (live[i]) node.shape[0] = std::ssize(*live[i]);
  }
}

}  // namespace mixgrad
