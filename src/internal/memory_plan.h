// SPDX-License-Identifier: Apache-2.0
// A network's layout in a device's memory, as in the C package: costs count it, and src/deploy writes it.
#pragma once

#include <mixgrad/graph.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace mixgrad::device {

constexpr int64_t word_bytes = 4;                                         ///< alignment of weights and activations
constexpr int64_t bias_bytes = 4, multiplier_bytes = 4, shift_bytes = 1;  ///< per channel; an add has the last two
constexpr int64_t bits_bytes = 1;                                         ///< per channel: its weights' bit-width
constexpr int64_t layer_bytes = 19 * 4 + 4 * 4;                           ///< a layer's sizes and 32-bit addresses
constexpr int64_t patch_code_bytes = 2;

/// A layer's patch has a multiple of this many codes: those in a word of its narrowest weights.
constexpr int64_t patch_step(bool has_single_bits) { return has_single_bits ? 32 : 16; }

/// Codes that a layer may unpack beyond those it needs, at most: the rest of a byte.
constexpr int64_t spare_codes = 7;

/// Output positions that a layer computes at once, each from a patch of its own.
constexpr int64_t patch_positions(bool is_dense, int64_t output_positions) {
  return is_dense && output_positions == 1 ? 1 : 4;
}

/// Channels that a device computes at once if each has its own input channel, and the bytes that this takes: their
/// weights, and the input rows under the kernel, `columns` wide with their padding.
constexpr int64_t depthwise_channels = 4;
constexpr int64_t depthwise_bytes(int64_t taps, int64_t rows, int64_t columns) {
  return patch_code_bytes * depthwise_channels * (taps + rows * columns);
}

/// Whether node i is a flatten that moves no bytes: it has one position, or only linear layers read it, whose columns
/// are reordered instead. `readers` comes from readers_of.
bool vanishes(const Graph& graph, const std::vector<std::vector<int>>& readers, int i);
/// For each node, the nodes that read it, counting only those that the output depends on.
std::vector<std::vector<int>> readers_of(const Graph& graph);

/// For each value, the last operator that reads it, or its producer if none does. Values are numbered like their
/// producers; `inputs(i)` are the values that operator i reads.
template <typename Inputs>
std::vector<int> last_reads(size_t operators, const Inputs& inputs) {
  std::vector<int> last(operators);
  for (size_t i = 0; i < operators; ++i) {
    last[i] = std::max(last[i], static_cast<int>(i));
    for (const int value : inputs(i)) last[static_cast<size_t>(value)] = static_cast<int>(i);
  }
  return last;
}

op::ConstantBytes constant_bytes(const Operator& op);

/// The order in which a device reads and writes the positions of an operator with a sweep.
enum class Schedule {
  singly,     ///< writes each position before it reads the next
  dense,      ///< reads four positions, then writes them
  grouped,    ///< the same, one group of channels after the other
  depthwise,  ///< four channels at a time through the whole image; keeps the rows under the kernel in a ring
};
/// Of a layer.
constexpr Schedule schedule(bool runs_depthwise, int64_t groups) {
  return runs_depthwise ? Schedule::depthwise : groups > 1 ? Schedule::grouped : Schedule::dense;
}

/// How far before its input an output must begin if it may overwrite what has been read: the bytes of `written`
/// positions of the output less those of `unread` positions of the input. With `at_start`, instead, both must begin at
/// the same byte, because four channels at a time may only overwrite themselves.
struct Gap {
  int64_t written = 0, unread = 0;
  bool at_start = false;
};
/// `input`, `output`: bytes of a position.
Gap gap_of(const op::Sweep& sweep, Schedule schedule, double input, double output);

/// An operator of the network at run time. It produces one tensor.
struct Step {
  std::vector<int> inputs;                  ///< earlier steps; step 0 is the input
  op::Overlap overlap = op::Overlap::none;  ///< of its tensor with an input's that is no longer needed
  int bits = 8;                             ///< of a code of its tensor
  int64_t bytes = 0;                        ///< size of its tensor
  int64_t patch = 0;                        ///< size of a layer's scratch memory; 0 if it needs none
  int64_t gap = 0;                          ///< bytes of a Gap, if it overlaps in order
  bool at_start = false;                    ///< the Gap's
};

/// A range of memory that is in use from step `first` to step `last`, inclusive.
struct Block {
  int64_t bytes;
  int step;  ///< the step whose tensor or patch uses it first
  bool patch;
  int first, last;
  int into = -1;          ///< the input's block that it may run into, or -1
  int64_t gap = 0;        ///< how far before that block it must begin then, at least
  bool at_start = false;  ///< or that it must begin at the same byte
  int64_t offset = -1;
  int below = -1;       ///< the block on which it stands, or -1
  bool on_gap = false;  ///< it begins where the gap of the block below ends, not behind that block

  bool meets(const Block& other) const { return first <= other.last && other.first <= last; }
};

/// A block of a stack, or only its gap.
struct Part {
  int block;
  bool gap;
};

/// The offsets of tensors and patches in one shared block of memory. The caller owns input and outputs.
struct Plan {
  std::vector<Block> blocks;
  std::vector<int> tensors, patches;  ///< the block of each step, or -1
  int64_t bytes = 0;
  std::vector<Part> peak;  ///< the stack whose sizes add up to `bytes`, from the bottom
};
/// The smallest of several plans, with and without outputs that run into inputs.
Plan plan_memory(const std::vector<Step>& steps, const std::vector<int>& outputs);

}  // namespace mixgrad::device
