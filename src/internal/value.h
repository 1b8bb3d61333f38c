// SPDX-License-Identifier: Apache-2.0
// What an operator can access while a graph runs.
#pragma once

#include <mixgrad/graph.h>

#include <span>

namespace mixgrad {

/// What nodes pass on: real values, or integers with step size `steps` [1] or [C]. Integers are the codes of a fixed
/// quantizer or, if `codes_of` is null, the accumulators of a layer on such codes, before `bias` is added.
struct Value {
  Tensor tensor;
  const ActivationSlot* codes_of = nullptr;
  Tensor steps = {}, bias = {};
};

/// Converts to real values.
Tensor real(const Value& v);

struct RunContext {
  const Node& node;
  const Binding::NodeBinding& binding;
  std::span<const Value* const> inputs;  ///< for the input node, what the network is run on

  const Value& input(size_t i = 0) const { return *inputs[i]; }
};

}  // namespace mixgrad
