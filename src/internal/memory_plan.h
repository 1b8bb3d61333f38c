// SPDX-License-Identifier: Apache-2.0
// A network's layout in a device's memory, as in the C package: costs count it, and src/deploy writes it.
#pragma once

#include <mixgrad/graph.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace mixgrad::device {

constexpr int64_t word_bytes = 4;                                         ///< weights and activations begin whole words
constexpr int64_t bias_bytes = 4, multiplier_bytes = 4, shift_bytes = 1;  ///< a channel; an add has the last two
constexpr int64_t bits_bytes = 1;                                         ///< the bits that store a channel's weights
constexpr int64_t layer_bytes = 18 * 4 + 5 * 4;                           ///< sizes of a layer, addresses of 32 bits
constexpr int64_t patch_step = 16;  ///< codes in a word of the narrowest weights: patches are multiples
constexpr int64_t patch_code_bytes = 2;

/// Whether node i is a flatten that moves no byte: of one position, or read by linear layers alone, whose columns are
/// reordered instead. `readers` as readers_of gives them.
bool vanishes(const Graph& graph, const std::vector<std::vector<int>>& readers, int i);
/// By node: the nodes that read it, of those that lead to the output.
std::vector<std::vector<int>> readers_of(const Graph& graph);

/// By value: the last operator that reads it, or the one that makes it where none does. `inputs(i)`: the values that
/// operator i reads, by the operators that make them.
template <typename Inputs>
std::vector<int> last_reads(size_t operators, const Inputs& inputs) {
  std::vector<int> last(operators);
  for (size_t i = 0; i < operators; ++i) {
    last[i] = std::max(last[i], static_cast<int>(i));
    for (const int value : inputs(i)) last[static_cast<size_t>(value)] = static_cast<int>(i);
  }
  return last;
}

/// Bytes of constants that a node of this operator adds to those of layers.
int64_t constant_bytes(const Operator& op);

/// An operator of the network as it runs: it makes one tensor.
struct Step {
  std::vector<int> inputs;   ///< earlier steps; step 0 is the input
  bool elementwise = false;  ///< may write over an operand of its size that nobody else needs
  int64_t bytes = 0;         ///< of its tensor
  int64_t patch = 0;         ///< bytes of what a layer gathers of its input; 0: it needs none
};

/// A stretch of memory that is taken from one step to another, both included.
struct Block {
  int64_t bytes;
  int step;  ///< whose tensor or patch lies there first
  bool patch;
  int first, last;
  int64_t offset = -1;
  int below = -1;  ///< the block that it stands on; -1: at the bottom

  bool meets(const Block& other) const { return first <= other.last && other.first <= last; }
};

/// The offsets of tensors and patches in one shared block of memory. The caller owns input and output.
struct Plan {
  std::vector<Block> blocks;
  std::vector<int> tensors, patches;  ///< the block of every step; -1: none
  int64_t bytes = 0;
  std::vector<int> peak;  ///< the blocks whose sizes add up to `bytes`, each on top of the one before
};
Plan plan_memory(const std::vector<Step>& steps, int output);

}  // namespace mixgrad::device
