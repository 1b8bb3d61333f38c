// SPDX-License-Identifier: Apache-2.0
#include "sort_channels.h"

#include <src/internal/matrix.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

/// Union-find over nodes: one set per group of tensors whose channels must have the same order.
class Sets {
 public:
  explicit Sets(size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }
  size_t find(size_t i) const {
    while (parent_[i] != i) i = parent_[i];
    return i;
  }
  void unite(size_t a, size_t b) { parent_[find(a)] = find(b); }

 private:
  std::vector<size_t> parent_;
};

/// Whether the order of the channels is independent of the inputs'.
bool has_own_order(const IntegerNode& node) {
  switch (node.channel_rule()) {
    case op::Channels::made:
    case op::Channels::grouped:
    case op::Channels::flattened:
      return true;
    case op::Channels::depthwise:
    case op::Channels::passed:
    case op::Channels::tied:
      return false;
  }
  return true;
}

/// Whether the channels of the node and its input must keep their order.
bool fixes_order(const IntegerNode& node) {
  return node.channel_rule() == op::Channels::grouped || node.channel_rule() == op::Channels::flattened;
}

template <typename T>
void permute(std::vector<T>& values, const std::vector<size_t>& order) {
  if (values.size() < order.size()) return;  // empty, or one value for all channels
  auto rows = as_rows(values, std::ssize(order));
  rows = rows(order, Eigen::all).eval();
}

/// Permutes columns [..., I], I = the input's channels; a linear layer has [positions, I].
void permute_columns(integer::Layer& layer, const std::vector<size_t>& order) {
  auto columns = as_rows(layer.weights, std::ssize(layer.weights) / std::ssize(order));
  columns = columns(Eigen::all, order).eval();
}

}  // namespace

IntegerNetwork sort_channels(IntegerNetwork network) {
  const size_t count = network.nodes.size();
  Sets sets(count);
  for (size_t i = 0; i < count; ++i) {
    const IntegerNode& node = network.nodes[i];
    if (has_own_order(node)) continue;
    for (const int n : node.inputs) sets.unite(i, static_cast<size_t>(n));
  }
  std::vector<bool> keeps_order(count);
  const auto keep = [&](int i) { keeps_order[sets.find(static_cast<size_t>(i))] = true; };
  keep(0);
  keep(network.output);
  for (size_t i = 0; i < count; ++i) {
    const IntegerNode& node = network.nodes[i];
    if (!fixes_order(node)) continue;
    keep(static_cast<int>(i));
    keep(node.inputs[0]);
  }
  std::vector<std::vector<size_t>> order(count);  // by set, at its representative
  for (size_t set = 0; set < count; ++set) {
    if (sets.find(set) != set) continue;
    order[set].resize(static_cast<size_t>(network.nodes[set].channels()));
    std::iota(order[set].begin(), order[set].end(), size_t{0});
    if (keeps_order[set]) continue;
    std::vector<const integer::Layer*> layers;
    for (size_t i = 0; i < count; ++i) {
      if (sets.find(i) == set && network.nodes[i].is_layer()) layers.push_back(network.nodes[i].layer());
    }
    std::ranges::stable_sort(order[set], [&](size_t a, size_t b) {
      return std::ranges::lexicographical_compare(
          layers, layers, {}, [&](const integer::Layer* l) { return l->weight_bits[a]; },
          [&](const integer::Layer* l) { return l->weight_bits[b]; });
    });
  }
  for (size_t i = 0; i < count; ++i) {
    IntegerNode& node = network.nodes[i];
    const std::vector<size_t>& own = order[sets.find(i)];
    permute(node.channel_of, own);
    if (auto* prelu = std::get_if<integer::PRelu>(&node.op)) {
      permute(prelu->negative, own);
      permute(prelu->slopes, own);
    }
    integer::Layer* layer = node.layer();
    if (layer == nullptr) continue;
    permute(layer->weight_bits, own);
    permute(layer->weights, own);
    permute(layer->bias, own);
    permute(layer->steps, own);
    permute(layer->ratios, own);
    if (node.channel_rule() == op::Channels::made)
      permute_columns(*layer, order[sets.find(static_cast<size_t>(node.inputs[0]))]);
  }
  return network;
}

}  // namespace mixgrad
