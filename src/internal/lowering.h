// SPDX-License-Identifier: Apache-2.0
// What an operator of a graph makes its integer form of.
#pragma once

#include <mixgrad/integer.h>

#include <vector>

namespace mixgrad {

struct LoweringContext {
  const Graph& graph;
  int index;  ///< of the node in the graph
  const Binding::NodeBinding& binding;
  const IntegerNetwork& lowered;  ///< the nodes before
  int64_t flattened_channels;     ///< of images [C, H, W] that the node reads flattened, in NHWC; 0: it reads none
  IntegerNode& out;               ///< has all but `op`; its range and step are those of the quantizer on its output

  const Node& node() const { return graph.nodes[static_cast<size_t>(index)]; }
  const IntegerNode& input(size_t i = 0) const { return lowered.input_of(out, i); }
  /// [1, C, H, W] of the input.
  Shape image() const {
    const Shape& s = input().shape;
    return {1, s[0], s[1], s[2]};
  }
};

}  // namespace mixgrad
