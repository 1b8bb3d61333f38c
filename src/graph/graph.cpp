// SPDX-License-Identifier: Apache-2.0
#include "parameters.h"

#include <mixgrad/error.h>

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

op::Overlap Node::overlap() const {
  return std::visit([](const auto& o) { return o.overlap; }, op);
}

op::Sweep Node::sweep(const Shape& input) const {
  return std::visit(
      [&]<typename Op>(const Op& o) -> op::Sweep {
        if constexpr (Op::overlap == op::Overlap::in_order) return o.sweep(*this, input);
        bad_input("'{}' does not read positions in order: it is a {}", name, o.name());
      },
      op);
}

op::LayerShape Node::layer_shape() const {
  return std::visit(
      [&]<typename Op>(const Op& o) -> op::LayerShape {
        if constexpr (Op::is_layer) return o.layer_shape(*this);
        bad_input("'{}' is not a layer but a {}", name, o.name());
      },
      op);
}

int64_t Node::macs() const {
  if (!is_layer()) return 0;
  const auto [height, width] = layer_shape().positions;
  return weight().size() * height * width;
}

std::vector<GraphOutput> Graph::outputs() const {
  const Node& last = nodes[static_cast<size_t>(output)];
  const auto* several = last.as<op::Outputs>();
  if (several == nullptr) return {{.node = output, .name = "output"}};
  std::vector<GraphOutput> out;
  for (size_t k = 0; k < last.inputs.size(); ++k)
    out.push_back({.node = last.inputs[k], .name = several->attrs.names.at(k)});
  return out;
}

std::vector<int> Graph::makers_of(int i) const {
  std::vector<int> out, left = {i};
  std::vector<bool> seen(nodes.size());
  while (!left.empty()) {
    const int n = left.back();
    left.pop_back();
    if (seen[static_cast<size_t>(n)]) continue;
    seen[static_cast<size_t>(n)] = true;
    const Node& node = nodes[static_cast<size_t>(n)];
    if (node.passes_quantizer()) {
      left.insert(left.end(), node.inputs.rbegin(), node.inputs.rend());  // the first is next
    } else {
      out.push_back(n);
    }
  }
  return out;
}

int Graph::quantized_by(int i) const {
  const Node& node = nodes[static_cast<size_t>(i)];
  return node.passes_quantizer() ? quantized_by(node.inputs[0]) : i;
}

const ActivationSlot* Graph::slot_of(int i) const {
  const auto node = [&](int n) -> const Node& { return nodes[static_cast<size_t>(n)]; };
  while (node(i).passes_quantizer() && node(i).inputs.size() == 1) i = node(i).inputs[0];
  if (!node(i).passes_quantizer()) return node(i).output_slot.get();  // costs ask for every layer in every step
  const std::vector<int> makers = makers_of(i);
  const auto slot = [&](int n) { return node(n).output_slot.get(); };
  return std::ranges::all_of(makers, [&](int n) { return slot(n) == slot(makers[0]); }) ? slot(makers[0]) : nullptr;
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

std::vector<Parameter> Graph::parameters() const {
  std::vector<Parameter> out;
  visit_tensors(*this, [&](const HeldTensor& held, const Tensor& tensor) {
    if (held.trained) out.push_back({{held.name, tensor}, held.role});
  });
  return out;
}

std::vector<Parameter> Graph::parameters(Role role) const {
  std::vector<Parameter> out = parameters();
  std::erase_if(out, [&](const Parameter& p) { return p.role != role; });
  return out;
}

Graph Graph::clone() const {
  Graph copy = *this;
  std::map<WeightSlot*, std::shared_ptr<WeightSlot>> weight_copies;
  std::map<ActivationSlot*, std::shared_ptr<ActivationSlot>> activation_copies;
  for (Node& node : copy.nodes) {
    clone_slot(node.weight_slot, weight_copies);
    clone_slot(node.output_slot, activation_copies);
  }
  std::map<const void*, Tensor> tensor_copies;  // shared tensors stay shared
  visit_tensors(copy, [&](const HeldTensor&, Tensor& tensor) {
    Tensor& own = tensor_copies[tensor.id()];
    if (!own) own = tensor.clone().requires_grad(tensor.needs_grad());
    tensor = own;
  });
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
