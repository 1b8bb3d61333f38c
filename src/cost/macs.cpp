// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/ops.h>

namespace mixgrad::cost {

/// OH OW K_h K_w (C_in / groups) Σ_c E[b_w,c] E[b_x] (Cai and Vasconcelos 2020, EdMIPS; PLiNIO's ops_bit).
Model macs() {
  return {.name = "macs", .unit = "bit-operations", .of_layer = [](const Layer& layer) {
            const double factor = static_cast<double>(layer.output_positions) * layer.weights_per_channel();
            return product(layer.weight_bits_over_channels(), layer.input.expected_bits(), factor);
          }};
}

}  // namespace mixgrad::cost
