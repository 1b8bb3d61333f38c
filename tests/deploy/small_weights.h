// SPDX-License-Identifier: Apache-2.0
// Networks with channels whose weights are next to nothing beside their biases, as dead channels of batch norm are.
#pragma once

#include "forms.h"

namespace mixgrad::test {

/// A float network whose batch norms have γ from 1 down to 1e-38 and 0, and β up to `largest` in size, of both signs.
Graph float_with_small_weights(float largest);
/// Its 8-bit form.
FormCase coded_with_small_weights(float largest, MixPrecType type);
/// That at several sizes, per layer and per channel.
std::vector<FormCase> networks_with_small_weights();

}  // namespace mixgrad::test
