// SPDX-License-Identifier: Apache-2.0
// Parameters of a graph as lists of tensors.
#pragma once

#include <mixgrad/graph.h>

#include <algorithm>
#include <span>
#include <vector>

namespace mixgrad {

inline std::vector<Tensor> tensors_of(const std::vector<Parameter>& parameters) {
  std::vector<Tensor> out;
  for (const Parameter& p : parameters) out.push_back(p.tensor);
  return out;
}

/// All parameters but α.
inline std::vector<Tensor> net_tensors(const Graph& graph) {
  std::vector<Parameter> parameters = graph.parameters();
  std::erase_if(parameters, [](const Parameter& p) { return p.role == Role::alpha; });
  return tensors_of(parameters);
}

/// Sets the values of `to`, tensor by tensor.
inline void copy_values(std::span<const Tensor> from, std::span<const Tensor> to) {
  for (size_t i = 0; i < to.size(); ++i) std::ranges::copy(from[i].data(), to[i].data().begin());
}

/// Every slot that has an α, in the order of graph.parameters(Role::alpha).
template <typename Visit>
void visit_slots(const Graph& graph, const Visit& visit) {
  for (const Parameter& p : graph.parameters(Role::alpha)) {
    for (const auto& slot : graph.weight_slots()) {
      if (slot->alpha.is(p.tensor)) visit(*slot);
    }
    for (const auto& slot : graph.activation_slots()) {
      if (slot->alpha.is(p.tensor)) visit(*slot);
    }
  }
}

}  // namespace mixgrad
