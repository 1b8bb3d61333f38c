// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace mixgrad::test {

/// The larger of two differences. NaN is infinitely large, where std::max would pass over it.
inline double worse(double worst, double difference) {
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(worst, difference);
}

}  // namespace mixgrad::test
