// SPDX-License-Identifier: Apache-2.0
// The clip of a quantizer from the values of its tensor, and how well it fits them.
#pragma once

#include "histogram.h"

#include <mixgrad/search.h>

namespace mixgrad {

/// The clip of candidate `p` of a slot by `rule`; `sizes` must not be empty.
float chosen_clip(const ClipRule& rule, const ActivationSlot& slot, size_t p, const Sizes& sizes);

/// How values fit candidate `p` with a clip.
struct Fit {
  double saturated;  ///< share of the non-zero values above the clip
  double lost;       ///< share of Σx² that the clip cuts off
  size_t codes;      ///< number of distinct codes of |x|, including 0
  size_t values;     ///< number of distinct |x|, including 0
};
Fit fit(const ActivationSlot& slot, size_t p, float clip, const Sizes& sizes);

}  // namespace mixgrad
