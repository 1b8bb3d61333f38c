// SPDX-License-Identifier: Apache-2.0
// Networks with every possible end, exported at random precisions.
#pragma once

#include "forms.h"

namespace mixgrad::test {

/// `quantize_output` as in MixPrecOptions.
std::vector<FormCase> networks_by_end(bool quantize_output);

}  // namespace mixgrad::test
