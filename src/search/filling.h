// SPDX-License-Identifier: Apache-2.0
// Spends the part of the budget that the targets still allow.
#pragma once

#include "assignment.h"

namespace mixgrad {

// Each function makes moves, least regret first, while every target holds; groups of columns if no single one fits.

/// All moves to more bits. Whatever no target counts ends at its largest candidate.
void raise(Assignment& a, Budget& budget);
/// Only moves of weights to more bits.
void raise_weights(Assignment& a, Budget& budget);
/// Only moves of activations to more bits.
void raise_activations(Assignment& a, Budget& budget);
/// All moves that α prefers.
void follow_alpha(Assignment& a, Budget& budget);
/// Exchanges choices until 95% of the budget is used or no exchange uses more: coarse choices (whole layers) can leave
/// much of a budget unused.
void fill_up(Assignment& a, Budget& budget);

}  // namespace mixgrad
