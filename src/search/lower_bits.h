// SPDX-License-Identifier: Apache-2.0
// From what α prefers down to what the targets allow.
#pragma once

#include "assignment.h"

namespace mixgrad {

/// What a step of lowering moves: columns, by themselves or as many as pay together; or whatever a choice has at one
/// candidate.
enum class Step { COLUMNS, WHOLE_CHOICES };

/// Makes moves, always the one that gives up least of α for what it saves, until every target holds. Where no move
/// saves anything (a maximum over the network), the one to fewer bits of least regret that costs nothing. False where
/// nothing helps any more.
bool lower(Assignment& a, Budget& budget, Step step = Step::COLUMNS);

}  // namespace mixgrad
