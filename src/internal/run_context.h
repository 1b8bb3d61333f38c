// SPDX-License-Identifier: Apache-2.0
// What an operator of an integer network can access while it runs.
#pragma once

#include <mixgrad/integer.h>

#include <kernels/conv2d_int8.h>

namespace mixgrad::integer {

/// Of a node, once for all runs.
struct Prepared {
  std::unique_ptr<const kernels::Requantization> requantization;  ///< null: it has no sums, or returns them
  std::unique_ptr<const kernels::PackedConv2dInt8> packed;        ///< null: use the reference kernel
};

struct RunContext {
  const IntegerNetwork& network;
  const IntegerNode& node;
  int64_t batch;                                     ///< number of images
  std::span<const std::span<const uint8_t>> values;  ///< the outputs of earlier nodes
  const Prepared& prepared;

  const IntegerNode& input(size_t i = 0) const { return network.input_of(node, i); }
  std::span<const uint8_t> codes(size_t i = 0) const { return values[static_cast<size_t>(node.inputs[i])]; }
};

/// The value of a code of this node.
inline int read(const IntegerNode& node, uint8_t code) { return node.is_signed() ? static_cast<int8_t>(code) : code; }

inline void requantize(const RunContext& c, std::span<const int32_t> sums, Codes out) {
  const int64_t channels = c.node.channels();
  kernels::requantize(std::ssize(out) / channels, channels, sums, *c.prepared.requantization, out);
}

/// The codes of an operator with sums() alone.
template <typename Op>
void requantize_sums(const Op& op, const RunContext& c, Codes out) {
  std::vector<int32_t> sums(out.size());
  op.sums(c, sums);
  requantize(c, sums, out);
}

}  // namespace mixgrad::integer
