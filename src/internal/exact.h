// SPDX-License-Identifier: Apache-2.0
// Layers on integer codes. Float32 represents integers exactly below 2^24; a layer whose sums could be larger runs on
// the high and low halves of its input codes, codes = 16 high + low, whose sums are smaller.
#pragma once

#include <mixgrad/ops.h>

namespace mixgrad {

/// Whether the layer must be split into halves. Throws bad_input if even their sums could reach 2^24.
bool needs_halves(const char* op, double bound);

/// All of the input's gradient goes through `low`: 16 layer(high) + layer(low) then has the gradient of layer(codes).
struct Halves {
  Tensor high, low;
};
Halves split(const Tensor& codes);

/// layer(x) as an exact sum, rounded once. `bound`: the largest possible |sum|.
template <typename Layer>
Tensor exact(const char* op, const Tensor& x, double bound, const Layer& layer) {
  if (!needs_halves(op, bound)) return layer(x);
  const Halves h = split(cast(x, DType::float32));
  return add(scale(layer(h.high), 16), layer(h.low));
}

}  // namespace mixgrad
