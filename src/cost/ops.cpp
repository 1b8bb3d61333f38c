// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>

namespace mixgrad::cost {

/// OH OW K_h K_w (C_in,eff / groups) · live output channels.
Model ops() {
  return sum_over_layers("ops", "MACs", "multiply-accumulates, at any bit-width", [](const Layer& layer) {
    return product(layer.live_outputs(), layer.live_inputs,
                   static_cast<double>(layer.output_positions() * layer.kernel_positions()));
  });
}

}  // namespace mixgrad::cost
