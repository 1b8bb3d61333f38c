// SPDX-License-Identifier: Apache-2.0
// Networks with channels whose weights are negligible compared with their biases, like dead channels of batch norm.
#pragma once

#include "forms.h"

namespace mixgrad::test {

/// A float network with batch norms whose γ goes from 1 down to 1e-38 and 0, and β up to ±`largest`.
Graph float_with_small_weights(float largest);
/// Its 8-bit form.
FormCase coded_with_small_weights(float largest, MixPrecType type);
/// Such networks for several values of `largest`, per layer and per channel.
std::vector<FormCase> networks_with_small_weights();

}  // namespace mixgrad::test
