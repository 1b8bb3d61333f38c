// SPDX-License-Identifier: Apache-2.0
// Training, all of it: tasks, one step, and the phases of a run with what they tell and keep.
#pragma once

#include <mixgrad/checkpoints.h>
#include <mixgrad/observer.h>
#include <mixgrad/phases.h>
#include <mixgrad/step.h>
#include <mixgrad/task.h>

namespace mixgrad::train {

/// Sets the number of threads of all that follows; 0 leaves OpenMP's choice.
void set_threads(int threads);
int threads();

}  // namespace mixgrad::train
