// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/task.h>

namespace mixgrad {

/// Whether `score` is hardly better than `chance` (Task::chance): less than a tenth of the distance from chance to a
/// perfect network.
bool is_near_chance(const train::Score& score, double chance);

}  // namespace mixgrad
