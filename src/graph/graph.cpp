// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/graph.h>

#include <algorithm>
#include <map>
#include <set>

namespace mixgrad {
namespace {

template <typename Slot>
std::vector<std::shared_ptr<Slot>> distinct(const std::vector<Node>& nodes, std::shared_ptr<Slot> Node::*member) {
  std::vector<std::shared_ptr<Slot>> out;
  for (const Node& node : nodes) {
    const auto& slot = node.*member;
    if (slot && std::ranges::find(out, slot) == out.end()) out.push_back(slot);
  }
  return out;
}

Tensor cloned(const Tensor& t) {
  if (!t) return t;
  Tensor copy = t.clone();
  return copy.requires_grad(t.needs_grad());
}

template <typename Slot>
void clone_slot(std::shared_ptr<Slot>& slot, std::map<Slot*, std::shared_ptr<Slot>>& copies) {
  if (!slot) return;
  auto& copy = copies[slot.get()];
  if (!copy) copy = std::make_shared<Slot>(*slot);
  slot = copy;
}

}  // namespace

bool Node::is_layer() const {
  return std::visit([](const auto& o) { return o.is_layer; }, op);
}

op::Quantizer Node::quantizer() const {
  return std::visit([](const auto& o) { return o.quantizer; }, op);
}

op::Channels Node::channels() const {
  return std::visit([&](const auto& o) { return o.channels(*this); }, op);
}

bool Node::in_place() const {
  return std::visit([](const auto& o) { return o.in_place; }, op);
}

op::LayerShape Node::layer_shape() const {
  return std::visit(
      [&](const auto& o) -> op::LayerShape {
        if constexpr (o.is_layer) return o.layer_shape(*this);
        bad_input("'{}' is no layer but a {}", name, o.name());
      },
      op);
}

int64_t Node::macs() const {
  if (!is_layer()) return 0;
  const auto [height, width] = layer_shape().output;
  return weight().size() * height * width;
}

int Graph::quantized_by(int i) const {
  const Node& node = nodes[static_cast<size_t>(i)];
  return node.passes_quantizer() ? quantized_by(node.inputs[0]) : i;
}

std::vector<int> Graph::consumers(int i) const {
  std::vector<int> out;
  for (int n = 0; n < std::ssize(nodes); ++n) {
    if (std::ranges::count(nodes[static_cast<size_t>(n)].inputs, i) > 0) out.push_back(n);
  }
  return out;
}

std::vector<std::shared_ptr<WeightSlot>> Graph::weight_slots() const { return distinct(nodes, &Node::weight_slot); }

std::vector<std::shared_ptr<ActivationSlot>> Graph::activation_slots() const {
  return distinct(nodes, &Node::output_slot);
}

std::vector<Tensor> Graph::clip_parameters() const {
  std::vector<Tensor> out;
  for (const auto& slot : activation_slots()) {
    if (slot->learn_clip) out.push_back(slot->clip);
  }
  return out;
}

std::vector<nn::NamedTensor> Graph::named_parameters() const {
  std::vector<nn::NamedTensor> out;
  for (const Node& node : nodes) {
    const char* names[] = {".weight", ".bias"};
    for (size_t i = 0; i < std::min<size_t>(node.params.size(), 2); ++i) {
      if (node.params[i]) out.push_back({node.name + names[i], node.params[i]});
    }
  }
  return out;
}

Graph Graph::clone() const {
  Graph copy = *this;
  std::map<WeightSlot*, std::shared_ptr<WeightSlot>> weight_copies;
  std::map<ActivationSlot*, std::shared_ptr<ActivationSlot>> activation_copies;
  std::map<const void*, Tensor> tensor_copies;  // weights that nodes share stay shared
  for (Node& node : copy.nodes) {
    for (Tensor& p : node.params) {
      if (!p) continue;
      Tensor& t = tensor_copies[p.id()];
      if (!t) t = cloned(p);
      p = t;
    }
    clone_slot(node.weight_slot, weight_copies);
    clone_slot(node.output_slot, activation_copies);
  }
  for (auto& [original, slot] : weight_copies) {
    slot->alpha = cloned(original->alpha);
    slot->magnitude = cloned(original->magnitude);
  }
  for (auto& [original, slot] : activation_copies) {
    slot->alpha = cloned(original->alpha);
    slot->clip = cloned(original->clip);
  }
  return copy;
}

void redirect(Graph& graph, int from, int to) {
  for (Node& node : graph.nodes) std::ranges::replace(node.inputs, from, to);
  if (graph.output == from) graph.output = to;
  graph.nodes[static_cast<size_t>(from)].inputs.clear();
}

std::vector<bool> needed_nodes(const Graph& graph) {
  std::vector<bool> needed(graph.nodes.size());
  needed[0] = needed[static_cast<size_t>(graph.output)] = true;
  for (auto i = static_cast<size_t>(graph.output); i > 0; --i) {
    if (!needed[i]) continue;
    for (int input : graph.nodes[i].inputs) needed[static_cast<size_t>(input)] = true;
  }
  return needed;
}

void drop_unused(Graph& graph) {
  const std::vector<bool> needed = needed_nodes(graph);
  std::map<int, int> renumbered;
  std::vector<Node> kept;
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    renumbered[static_cast<int>(i)] = static_cast<int>(kept.size());
    kept.push_back(std::move(graph.nodes[i]));
    for (int& input : kept.back().inputs) input = renumbered.at(input);
  }
  graph.nodes = std::move(kept);
  graph.output = renumbered.at(graph.output);
}

}  // namespace mixgrad
