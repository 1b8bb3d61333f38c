// SPDX-License-Identifier: Apache-2.0
// Layers on integer codes. Float32 holds integers exactly below 2^24; a layer whose sums could grow larger runs
// on the high and low halves of its input's codes, codes = 16 high + low, each of which stays below.
#pragma once

#include <mixgrad/ops.h>

namespace mixgrad {

/// Throws bad_input when even the halves could reach 2^24; false when the layer needs no halves.
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
  const Halves h = split(x);
  return add(scale(layer(h.high), 16), layer(h.low));
}

}  // namespace mixgrad
