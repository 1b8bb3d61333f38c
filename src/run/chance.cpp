// SPDX-License-Identifier: Apache-2.0
#include "chance.h"

#include <algorithm>

namespace mixgrad {

bool is_near_chance(const train::Score& score, double chance) {
  constexpr double share = 0.1;  // of the distance from chance to a perfect network
  if (!score.metric.larger_is_better) return score.value() > (1 - share) * chance;
  return score.value() < std::min(2 * chance, chance + share * (1 - chance));
}

}  // namespace mixgrad
