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

Live live_outputs(const Node& node) {
  const WeightSlot* slot = node.weight_slot.get();
  if (slot == nullptr || std::ranges::count(slot->bits, 0) == 0) return std::nullopt;
  std::vector<int64_t> live;
  for (int64_t c = 0; c < std::ssize(slot->bits); ++c) {
    if (slot->bits[static_cast<size_t>(c)] != 0) live.push_back(c);
  }
  if (live.empty()) bad_input("'{}' would lose its last channel: at least one needs more than 0 bits", node.name);
  return live;
}

/// Channel c of [C, H, W] becomes features c H W to (c + 1) H W - 1.
Live flattened(const Live& channels, int64_t positions) {
  if (!channels) return channels;
  std::vector<int64_t> features;
  for (int64_t c : *channels) {
    for (int64_t k = 0; k < positions; ++k) features.push_back(c * positions + k);
  }
  return features;
}

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
  if (!in_groups(node)) {
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
  node.weight_slot = std::make_shared<WeightSlot>(*node.weight_slot);
  keep(node.weight_slot->bits, *outputs);
  if (node.weight_scales) node.weight_scales = sliced(node.weight_scales, 0, *outputs);
}

/// For each node, the channels of its output that stay.
std::vector<Live> left_channels(const Graph& graph) {
  std::vector<Live> live(graph.nodes.size());
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    live[i] = channel_fact(graph, static_cast<int>(i), live, live_outputs, flattened);
    for (const int n : node.inputs) {
      const bool tied = node.channels() == op::Channels::tied;
      if (tied && live[static_cast<size_t>(n)] != live[i])
        bad_input("'{}': the tensors that it adds must lose the same channels", node.name);
    }
    if (node.as<op::BatchNorm>() && live[i])
      bad_input("'{}': a batch norm must be folded before its channels are pruned", node.name);
  }
  return live;
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
    if (live[i]) node.shape[0] = std::ssize(*live[i]);
  }
}

}  // namespace mixgrad
