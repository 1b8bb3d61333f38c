// SPDX-License-Identifier: Apache-2.0
// Lowers the network that α prefers until it meets the targets.
#pragma once

#include "assignment.h"

namespace mixgrad {

/// What a step of lowering moves: columns, alone or in groups that pay together, or all columns that a choice has at
/// one candidate.
enum class Step { COLUMNS, WHOLE_CHOICES };

/// Makes moves until every target holds, always the one that gives up the least α for what it saves. If no move saves
/// anything (as with a maximum over the network), it makes the one with the least regret that goes to fewer bits and
/// costs nothing. Returns false if no move helps.
bool lower(Assignment& a, Budget& budget, Step step = Step::COLUMNS);

/// Makes the same moves as long as each gives up less α than `strength` · the cost that it saves, then all moves to
/// more bits that cost nothing.
void lower_for(Assignment& a, const cost::Model& model, double strength);

}  // namespace mixgrad
