// SPDX-License-Identifier: Apache-2.0
// Small networks of random structure, for tests that hold the forms of a network against each other.
#pragma once

#include <mixgrad/mixgrad.h>

#include <cstdint>
#include <string>

namespace mixgrad::test {

/// A discrete network with random operators, weights, bit-widths and clips, and images for it. The seed tells all of
/// it.
struct RandomNetwork {
  Graph graph;
  Graph discrete;  ///< the same before its pruned channels are removed
  data::Dataset images;
};
RandomNetwork random_network(uint64_t seed, int64_t images);

/// A pool's attributes; nullptr for other operators.
const Pool2dAttrs* pool_of(const Node& node);

/// A line for every node: operator, inputs, shape, what it is quantized to.
std::string structure(const Graph& graph);

}  // namespace mixgrad::test
