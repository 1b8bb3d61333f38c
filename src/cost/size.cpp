// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/ops.h>

namespace mixgrad::cost {

/// K_h K_w (C_in / groups) Σ_c Σ_p θ_cp b_p: bits of all weights (PLiNIO's params_bit).
Model size() {
  return {.name = "size", .unit = "bits", .of_layer = [](const Layer& layer) {
            return scale(layer.weight_bits_over_channels(), layer.weights_per_channel());
          }};
}

}  // namespace mixgrad::cost
