// SPDX-License-Identifier: Apache-2.0
// Small networks of random structure, for tests that compare the forms of a network with each other.
#pragma once

#include <mixgrad/mixgrad.h>

#include <cstdint>
#include <string>

namespace mixgrad::test {

/// A discrete network with random operators, weights, bit-widths and clips, and images for it, all determined by the
/// seed.
struct RandomNetwork {
  Graph graph;
  Graph discrete;  ///< before its pruned channels are removed
  data::Dataset images;
};
RandomNetwork random_network(uint64_t seed, int64_t images);

/// A pool's attributes; null for other operators.
const Pool2dAttrs* pool_of(const Node& node);

/// One line per node: operator, inputs, shape, bits.
std::string structure(const Graph& graph);

}  // namespace mixgrad::test
