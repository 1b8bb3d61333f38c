// SPDX-License-Identifier: Apache-2.0
// What an operator of a graph uses to create its integer form.
#pragma once

#include <mixgrad/integer.h>

#include <src/internal/shapes.h>

#include <vector>

namespace mixgrad {

struct LoweringContext {
  const Graph& graph;
  int index;  ///< the node's index in the graph
  const Binding::NodeBinding& binding;
  const IntegerNetwork& lowered;  ///< the nodes before this one
  int64_t flattened_channels;     ///< C if the node reads flattened NHWC images [C, H, W], otherwise 0
  IntegerNode& out;               ///< complete except for `op`; range and step are those of the output quantizer

  const Node& node() const { return graph.nodes[static_cast<size_t>(index)]; }
  const IntegerNode& input(size_t i = 0) const { return lowered.input_of(out, i); }
  /// The input's shape, [1, C, H, W].
  Shape image() const { return one_image(input().shape); }
};

namespace integer {
/// A layer's weights with the kernel's rows and columns in reverse order.
std::vector<int8_t> turned(const Layer& layer);
}  // namespace integer

}  // namespace mixgrad
