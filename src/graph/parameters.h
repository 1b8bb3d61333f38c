// SPDX-License-Identifier: Apache-2.0
// Visits everything that a graph holds: parameters for optimizers and checkpoints, all tensors for clones and files.
#pragma once

#include <mixgrad/graph.h>

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace mixgrad {

struct HeldTensor {
  std::string name;
  std::string file_name;  ///< the name in files, which number slots
  Role role;
  bool trained;  ///< false for running moments, and for clips and scales that are not learned
};

namespace walk {

inline Role role_of(const Node& node, size_t parameter) {
  if (node.as<op::PRelu>()) return Role::slope;
  if (!node.is_layer()) return Role::normalization;
  return parameter == 0 ? Role::weight : Role::bias;
}

inline const Node& first_holder(const Graph& graph, const std::shared_ptr<ActivationSlot>& slot) {
  return *std::ranges::find(graph.nodes, slot, &Node::output_slot);
}

template <typename Slot>
size_t number_of(const std::vector<std::shared_ptr<Slot>>& slots, const std::shared_ptr<Slot>& slot) {
  return static_cast<size_t>(std::ranges::find(slots, slot) - slots.begin());
}

}  // namespace walk

/// Calls visit(held, tensor) for every tensor of a (const or mutable) graph: parameters of nodes, scales, clips, α. The
/// tensors of a shared slot are visited once; parameters that nodes share, once per node.
template <typename AnyGraph, typename Visit>
void visit_tensors(AnyGraph& graph, const Visit& visit) {
  const auto offer = [&](const HeldTensor& held, auto& tensor) {
    if (tensor) visit(held, tensor);
  };
  constexpr size_t trained_at_most = 2;  // the rest are running moments of a batch norm
  for (auto& node : graph.nodes) {
    const auto names = std::visit(
        [](const auto& o) { return std::vector<const char*>(o.parameters.begin(), o.parameters.end()); }, node.op);
    for (size_t i = 0; i < std::min(names.size(), node.params.size()); ++i) {
      const std::string name = fmt::format("{}.{}", node.name, names[i]);
      offer({name, name, walk::role_of(node, i), i < trained_at_most}, node.params[i]);
    }
  }
  const auto weight_slots = graph.weight_slots();
  for (auto& node : graph.nodes) {
    if (!node.weight_slot) continue;
    const std::string name = node.name + ".weight_scale";
    const bool learned = node.weight_slot->quantizer->learns_scale;
    const size_t number = walk::number_of(weight_slots, node.weight_slot);
    offer({name, learned ? name : fmt::format("weight_slot.{}.magnitude", number), Role::weight_scale, learned},
          node.weight_scales);
  }
  const auto activation_slots = graph.activation_slots();
  for (size_t i = 0; i < activation_slots.size(); ++i) {
    offer({walk::first_holder(graph, activation_slots[i]).name + ".clip", fmt::format("activation_slot.{}.clip", i),
           Role::clip, activation_slots[i]->learn_clip},
          activation_slots[i]->clip);
  }
  size_t weights_seen = 0, activations_seen = 0;  // slots, in order of first use
  for (auto& node : graph.nodes) {
    if (node.weight_slot && walk::number_of(weight_slots, node.weight_slot) == weights_seen) {
      offer({node.name + ".alpha_w", fmt::format("weight_slot.{}.alpha", weights_seen++), Role::alpha, true},
            node.weight_slot->alpha);
    }
    if (node.output_slot && walk::number_of(activation_slots, node.output_slot) == activations_seen) {
      offer({node.name + ".alpha_a", fmt::format("activation_slot.{}.alpha", activations_seen++), Role::alpha, true},
            node.output_slot->alpha);
    }
  }
}

}  // namespace mixgrad
