// SPDX-License-Identifier: Apache-2.0
// What an operator can access while a graph runs.
#pragma once

#include <mixgrad/graph.h>

#include <span>

namespace mixgrad {

/// What flows between nodes: real values, or integers of which one step is worth `steps` [1] or [C]: the codes of a
/// fixed quantizer, or (`codes_of` empty) the accumulators of a layer on such codes, to which `bias` is still to be
/// added.
struct Value {
  Tensor tensor;
  const ActivationSlot* codes_of = nullptr;
  Tensor steps = {}, bias = {};
};

/// The real values.
Tensor real(const Value& v);

struct RunContext {
  const Node& node;
  const Binding::NodeBinding& binding;
  std::span<const Value* const> inputs;  ///< the input node's: what the network is run on

  const Value& input(size_t i = 0) const { return *inputs[i]; }
};

}  // namespace mixgrad
