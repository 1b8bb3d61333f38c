// SPDX-License-Identifier: Apache-2.0
// What an operator of an integer network can access while it runs.
#pragma once

#include <mixgrad/integer.h>

#include <kernels/conv2d_int8.h>

namespace mixgrad::integer {

struct RunContext {
  const IntegerNetwork& network;
  const IntegerNode& node;
  int64_t batch;                            ///< number of images
  const std::vector<Codes>& values;         ///< the outputs of earlier nodes
  const kernels::PackedConv2dInt8* packed;  ///< a layer's packed weights; null: use the reference kernel

  const IntegerNode& input(size_t i = 0) const { return network.input_of(node, i); }
  const Codes& codes(size_t i = 0) const { return values[static_cast<size_t>(node.inputs[i])]; }
};

/// The value of a code of this node.
inline int read(const IntegerNode& node, uint8_t code) { return node.is_signed() ? static_cast<int8_t>(code) : code; }

}  // namespace mixgrad::integer
