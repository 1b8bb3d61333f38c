// SPDX-License-Identifier: Apache-2.0
// Using what the targets leave of a budget.
#pragma once

#include "assignment.h"

namespace mixgrad {

// Each makes moves, least regret first, while every target still holds; groups of columns where no single one fits.

/// All moves to more bits: what no target counts ends at its largest candidate.
void raise(Assignment& a, Budget& budget);
/// Those of weights alone.
void raise_weights(Assignment& a, Budget& budget);
/// Those of activations alone.
void raise_activations(Assignment& a, Budget& budget);
/// All moves that α prefers.
void follow_alpha(Assignment& a, Budget& budget);
/// Coarse choices (whole layers) can leave much of a budget unused: exchanges choices until 95% is used or nothing
/// helps.
void fill_up(Assignment& a, Budget& budget);

}  // namespace mixgrad
