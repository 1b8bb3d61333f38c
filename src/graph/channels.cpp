// SPDX-License-Identifier: Apache-2.0
#include <kernels/function.h>
#include <src/internal/channels.h>

#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <algorithm>
#include <map>

namespace mixgrad {

bool makes_channels(const Node& node) {
  switch (node.channels()) {
    case op::Channels::made:
    case op::Channels::grouped:
    case op::Channels::depthwise:
      return true;
    case op::Channels::passed:
    case op::Channels::moved:
    case op::Channels::tied:
      return false;
  }
  return true;
}

op::ChannelSources sources_of(const Graph& graph, const Node& node) {
  std::vector<int64_t> inputs;
  for (const int n : node.inputs) inputs.push_back(graph.nodes[static_cast<size_t>(n)].shape[0]);
  if (node.channels() == op::Channels::moved) {
    return std::visit(
        [&](const auto& o) -> op::ChannelSources {
          if constexpr (requires { o.sources(inputs, node.shape[0]); }) return o.sources(inputs, node.shape[0]);
          failed_run("{} does not say which channels it moves", o.name());
        },
        node.op);
  }
  op::ChannelSources same;
  for (int64_t c = 0; c < node.shape[0]; ++c) same.push_back({.input = 0, .channel = c});
  return same;
}

DisjointSets quantizer_groups(const Graph& graph) {
  DisjointSets groups(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    if (!node.joins_quantizers()) continue;
    for (const int n : node.inputs) groups.unite(graph.quantized_by(n), graph.quantized_by(node.inputs[0]));
  }
  return groups;
}

Origins channel_origins(const Graph& graph) {
  Origins out;
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    std::vector<ChannelOrigin> own;
    if (makes_channels(node)) {
      for (int64_t c = 0; c < node.shape[0]; ++c) own.push_back({.node = i, .channel = c});
    } else {
      for (const auto& [input, channel] : sources_of(graph, node))
        own.push_back(out[static_cast<size_t>(node.inputs[input])][static_cast<size_t>(channel)]);
    }
    out.push_back(std::move(own));
  }
  return out;
}

namespace {

/// Sets of single channels, numbered by node and channel.
class ChannelSets {
 public:
  explicit ChannelSets(const Graph& graph) : sets_(numbered(graph)) {}

  void unite(const ChannelOrigin& a, const ChannelOrigin& b) { sets_.unite(number(a), number(b)); }
  /// The channel that represents the set of this one.
  ChannelOrigin find(const ChannelOrigin& c) const {
    const size_t root = sets_.find(number(c));
    const auto node = std::ranges::upper_bound(first_, root) - first_.begin() - 1;
    return {.node = static_cast<int>(node), .channel = static_cast<int64_t>(root - first_[static_cast<size_t>(node)])};
  }

 private:
  size_t numbered(const Graph& graph) {
    size_t count = 0;
    for (const Node& node : graph.nodes) {
      first_.push_back(count);
      count += static_cast<size_t>(node.shape[0]);
    }
    return count;
  }
  size_t number(const ChannelOrigin& c) const {
    return first_[static_cast<size_t>(c.node)] + static_cast<size_t>(c.channel);
  }

  std::vector<size_t> first_;  // by node
  DisjointSets sets_;
};

}  // namespace

ChannelGroups channel_groups(const Graph& graph, const Origins& origins) {
  ChannelSets channels(graph);
  ChannelGroups out{.nodes = DisjointSets(graph.nodes.size()), .aligned = std::vector<bool>(graph.nodes.size(), true)};
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.channels() != op::Channels::tied && node.channels() != op::Channels::depthwise) continue;
    const std::vector<ChannelOrigin>& own = origins[static_cast<size_t>(i)];
    for (const int input : node.inputs) {
      for (size_t c = 0; c < own.size(); ++c) {
        const ChannelOrigin& other = origins[static_cast<size_t>(input)][c];
        channels.unite(own[c], other);
        out.nodes.unite(own[c].node, other.node);
      }
    }
  }
  std::vector<std::vector<size_t>> members(graph.nodes.size());  // by representative, of each channel's set
  std::vector<size_t> nodes(graph.nodes.size());
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (!makes_channels(node)) continue;
    const size_t group = out.nodes.find(i);
    ++nodes[group];
    members[group].resize(std::max(members[group].size(), static_cast<size_t>(node.shape[0])));
    for (int64_t c = 0; c < node.shape[0]; ++c) {
      if (channels.find({.node = i, .channel = c}).channel != c) out.aligned[group] = false;
      ++members[group][static_cast<size_t>(c)];
    }
  }
  for (size_t group = 0; group < members.size(); ++group) {
    const auto whole = [&](size_t count) { return count == nodes[group]; };
    out.aligned[group] = out.aligned[group] && std::ranges::all_of(members[group], whole);
  }
  return out;
}

std::vector<bool> removed_are_zero(const Graph& graph) {
  std::vector<bool> zero(graph.nodes.size(), true);
  for (size_t i = 1; i < zero.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.is_layer() && !passes_channels(node)) continue;
    const auto is_zero = [&](int n) { return zero[static_cast<size_t>(n)]; };
    zero[i] =
        node.as<op::Mul>() ? std::ranges::any_of(node.inputs, is_zero) : std::ranges::all_of(node.inputs, is_zero);
    if (node.as<op::BatchNorm>()) zero[i] = false;
    if (const auto* f = node.as<op::Function>()) zero[i] = zero[i] && kernels::function(f->attrs, 0) == 0;
  }
  return zero;
}

std::vector<int> readers_of_constants(const Graph& graph) {
  const std::vector<bool> zero = removed_are_zero(graph);
  std::vector<int> out;
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.channels() == op::Channels::made && !zero[static_cast<size_t>(node.inputs[0])]) out.push_back(i);
  }
  return out;
}

bool is_live(const Graph& graph, const ChannelOrigin& channel) {
  const WeightSlot* slot = graph.nodes[static_cast<size_t>(channel.node)].weight_slot.get();
  return slot == nullptr || !slot->fixed() || slot->bits[static_cast<size_t>(channel.channel)] != 0;
}

int64_t live_channels(const Graph& graph, const Origins& origins, size_t i) {
  const std::vector<ChannelOrigin>& own = origins[i];
  if (makes_channels(graph.nodes[i])) {  // the usual case, and so a fast one
    const WeightSlot* slot = graph.nodes[i].weight_slot.get();
    return std::ssize(own) - (slot == nullptr ? 0 : std::ranges::count(slot->bits, 0));
  }
  return std::ranges::count_if(own, [&](const ChannelOrigin& c) { return is_live(graph, c); });
}

std::vector<int64_t> live_channels(const Graph& graph, const Origins& origins) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < origins.size(); ++i) out.push_back(live_channels(graph, origins, i));
  return out;
}

Tensor pruned_and_kept(const Graph& graph, const std::vector<ChannelOrigin>& channels,
                       const std::function<Tensor(const WeightSlot*)>& of_slot) {
  std::vector<Tensor> parts;
  std::map<int, int64_t> first;  // by node, in the parts' concatenation
  std::vector<int64_t> selected;
  int64_t count = 0;
  bool prunes = false;
  for (const auto& [n, channel] : channels) {
    const auto [at, is_new] = first.try_emplace(n, count);
    selected.push_back(at->second + channel);
    if (!is_new) continue;
    const Node& maker = graph.nodes[static_cast<size_t>(n)];
    parts.push_back(of_slot(maker.weight_slot.get()));
    prunes = prunes || parts.back();
    if (!parts.back()) {
      parts.back() = Tensor::zeros({2, maker.shape[0]});
      std::ranges::fill(parts.back().rows(1, 1).data(), 1.0F);
    }
    count += maker.shape[0];
  }
  return prunes ? select_channels(concat(parts), {.channels = selected}) : Tensor();
}

}  // namespace mixgrad
