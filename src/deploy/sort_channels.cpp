// SPDX-License-Identifier: Apache-2.0
#include "sort_channels.h"

#include <src/internal/disjoint_sets.h>
#include <src/internal/matrix.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

using Order = std::vector<size_t>;  // the channels in their new order

Order identity(size_t channels) {
  Order out(channels);
  std::iota(out.begin(), out.end(), size_t{0});
  return out;
}

bool joins_several(const IntegerNode& node) { return node.as<integer::Concat>() && node.inputs.size() > 1; }

/// Whether the channels have the order of the inputs'.
bool follows_inputs(const IntegerNode& node) {
  if (node.as<integer::Concat>()) return !joins_several(node);
  switch (node.channel_rule()) {
    case op::Channels::made:
    case op::Channels::grouped:
    case op::Channels::moved:
      return false;
    case op::Channels::depthwise:
    case op::Channels::passed:
    case op::Channels::tied:
      return true;
  }
  return false;
}

/// Whether the channels of the node and its input must keep their order.
bool fixes_order(const IntegerNode& node) {
  return node.channel_rule() == op::Channels::grouped || node.as<integer::Flatten>() != nullptr;
}

/// The order of every node's channels.
class Orders {
 public:
  explicit Orders(const IntegerNetwork& network)
      : network_(network),
        sets_(network.nodes.size()),
        kept_(network.nodes.size()),
        concats_(network.nodes.size()),
        orders_(network.nodes.size()) {
    for (int i = 0; i < count(); ++i) {
      if (!follows_inputs(node(i))) continue;
      for (const int n : node(i).inputs) sets_.unite(i, n);
    }
    for (int i = 0; i < count(); ++i) {
      if (joins_several(node(i))) concats_[sets_.find(i)].push_back(i);
    }
    mark_kept();
  }

  const Order& of(int i) {
    const size_t set = sets_.find(i);
    if (orders_[set].empty()) orders_[set] = order_of(set);
    return orders_[set];
  }

 private:
  int count() const { return static_cast<int>(network_.nodes.size()); }
  const IntegerNode& node(int i) const { return network_.nodes[static_cast<size_t>(i)]; }
  size_t channels(size_t set) const { return static_cast<size_t>(network_.nodes[set].channels()); }

  /// The sets that keep their order. A Concat that does needs inputs that do, too, and two can't have one new order.
  void mark_kept() {
    const auto keep = [&](int i) { kept_[sets_.find(i)] = true; };
    keep(0);
    for (const IntegerOutput& o : network_.outputs) keep(o.node);
    for (int i = 0; i < count(); ++i) {
      if (fixes_order(node(i)) || node(i).as<integer::SelectChannels>()) keep(i);
      if (fixes_order(node(i))) keep(node(i).inputs[0]);
      if (concats_[sets_.find(i)].size() > 1) keep(i);
    }
    for (std::vector<bool> before; before != kept_;) {
      before = kept_;
      for (int i = 0; i < count(); ++i) {
        if (!node(i).as<integer::Concat>() || !kept_[sets_.find(i)]) continue;
        std::ranges::for_each(node(i).inputs, keep);
      }
    }
  }

  /// That of a Concat in the set; otherwise by the precision of the layers in it.
  Order order_of(size_t set) {
    if (kept_[set]) return identity(channels(set));
    return concats_[set].empty() ? sorted(set) : joined(node(concats_[set][0]));
  }

  Order joined(const IntegerNode& concat) {
    Order out;
    size_t first = 0;
    for (const int n : concat.inputs) {
      for (const size_t c : Order(of(n))) out.push_back(first + c);
      first += static_cast<size_t>(node(n).channels());
    }
    return out;
  }

  Order sorted(size_t set) const {
    std::vector<const integer::Layer*> layers;
    for (int i = 0; i < count(); ++i) {
      if (sets_.find(i) == set && node(i).is_layer()) layers.push_back(node(i).layer());
    }
    Order out = identity(channels(set));
    std::ranges::stable_sort(out, [&](size_t a, size_t b) {
      return std::ranges::lexicographical_compare(
          layers, layers, {}, [&](const integer::Layer* l) { return l->weight_bits[a]; },
          [&](const integer::Layer* l) { return l->weight_bits[b]; });
    });
    return out;
  }

  const IntegerNetwork& network_;
  DisjointSets sets_;       // of nodes whose channels have one order
  std::vector<bool> kept_;  // by set, as the rest
  std::vector<std::vector<int>> concats_;
  std::vector<Order> orders_;
};

template <typename T>
void permute(std::vector<T>& values, const Order& order) {
  if (values.size() < order.size()) return;  // empty, or one value for all channels
  auto rows = as_rows(values, std::ssize(order));
  rows = rows(order, Eigen::all).eval();
}

/// Permutes columns [..., I], I = the input's channels; a linear layer has [positions, I].
void permute_columns(integer::Layer& layer, const Order& order) {
  auto columns = as_rows(layer.weights, std::ssize(layer.weights) / std::ssize(order));
  columns = columns(Eigen::all, order).eval();
}

/// The same channels, where the input's have a new order.
void renumber(integer::SelectChannels& select, const Order& order) {
  for (int64_t& c : select.index) c = std::ranges::find(order, static_cast<size_t>(c)) - order.begin();
}

}  // namespace

IntegerNetwork sort_channels(IntegerNetwork network) {
  std::vector<Order> orders;
  Orders of(network);
  for (int i = 0; i < std::ssize(network.nodes); ++i) orders.push_back(of.of(i));
  for (size_t i = 0; i < network.nodes.size(); ++i) {
    IntegerNode& node = network.nodes[i];
    permute(node.channel_of, orders[i]);
    if (auto* select = std::get_if<integer::SelectChannels>(&node.op))
      renumber(*select, orders[static_cast<size_t>(node.inputs[0])]);
    if (auto* prelu = std::get_if<integer::PRelu>(&node.op)) {
      permute(prelu->negative, orders[i]);
      permute(prelu->slopes, orders[i]);
    }
    integer::Layer* layer = node.layer();
    if (layer == nullptr) continue;
    permute(layer->weight_bits, orders[i]);
    permute(layer->weights, orders[i]);
    permute(layer->bias, orders[i]);
    permute(layer->steps, orders[i]);
    permute(layer->ratios, orders[i]);
    if (node.channel_rule() == op::Channels::made) permute_columns(*layer, orders[static_cast<size_t>(node.inputs[0])]);
  }
  return network;
}

}  // namespace mixgrad
