// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/integer.h>

#include <cstdint>
#include <vector>

namespace mixgrad::integer {

/// Largest |Σ q_w q_x + q_b| for every output channel. Odd codes count one more, as they have since C computed with
/// (q_w - 1) / 2: it sets the step of results in 32 bits.
std::vector<int64_t> largest_sums(const Layer& layer, int64_t largest_input);

}  // namespace mixgrad::integer
