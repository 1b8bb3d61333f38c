// SPDX-License-Identifier: Apache-2.0
// From the values that a tensor takes to the clip of its quantizer, and what that clip does to them.
#pragma once

#include "histogram.h"

#include <mixgrad/search.h>

namespace mixgrad {

/// The clip of candidate `p` of a slot by `rule`; `sizes` is not empty.
float chosen_clip(const ClipRule& rule, const ActivationSlot& slot, size_t p, const Sizes& sizes);

/// What becomes of values at candidate `p` and a clip.
struct Fit {
  double saturated;  ///< share of the values, zeros aside, that lie above the clip
  double lost;       ///< share of Σx² that this takes away
  size_t codes;      ///< that occur, of |x|, with 0
  size_t values;     ///< that occur, of |x|, with 0
};
Fit fit(const ActivationSlot& slot, size_t p, float clip, const Sizes& sizes);

}  // namespace mixgrad
