// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>

namespace mixgrad::cost {

/// K_h K_w (C_in,eff / groups) Σ_c Σ_p θ_cp b_p: bits of all weights (PLiNIO's params_bit).
Model size() {
  return sum_over_layers("size", "bits", "weights, in bits", [](const Layer& layer) {
    return product(layer.weight_bits_over_channels(), layer.live_inputs, static_cast<double>(layer.kernel_positions()));
  });
}

}  // namespace mixgrad::cost
