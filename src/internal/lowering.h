// SPDX-License-Identifier: Apache-2.0
// What an operator of a graph uses to create its integer form.
#pragma once

#include <mixgrad/integer.h>

#include <vector>

namespace mixgrad {

struct LoweringContext {
  const Graph& graph;
  int index;  ///< of the node in the graph
  const Binding::NodeBinding& binding;
  const IntegerNetwork& lowered;  ///< the nodes before
  int64_t flattened_channels;     ///< C of the NHWC images [C, H, W] that the node reads flattened; 0 if it does not
  IntegerNode& out;               ///< has all but `op`; its range and step are those of its output quantizer

  const Node& node() const { return graph.nodes[static_cast<size_t>(index)]; }
  const IntegerNode& input(size_t i = 0) const { return lowered.input_of(out, i); }
  /// [1, C, H, W] of the input.
  Shape image() const {
    const Shape& s = input().shape;
    return {1, s[0], s[1], s[2]};
  }
};

}  // namespace mixgrad
