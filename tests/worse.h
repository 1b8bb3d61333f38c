// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace mixgrad::test {

/// The larger of two differences. NaN counts as infinitely large, where std::max would ignore it.
inline double worse(double worst, double difference) {
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(worst, difference);
}

}  // namespace mixgrad::test
