// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>

namespace mixgrad::cost {

/// OH OW K_h K_w (C_in,eff / groups) Σ_c E[b_w,c] E[b_x] (Cai and Vasconcelos 2020, EdMIPS; PLiNIO's ops_bit).
Model macs() {
  return sum_over_layers(
      "macs", "bit-operations", "multiply-accumulates times both bit-widths", [](const Layer& layer) {
        const double factor = static_cast<double>(layer.output_positions() * layer.kernel_positions());
        return product(product(layer.weight_bits_over_channels(), layer.live_inputs), layer.input.expected_bits(),
                       factor);
      });
}

}  // namespace mixgrad::cost
