// SPDX-License-Identifier: Apache-2.0
// The built-in tasks, each in a file of its name. A new one is declared and listed here, and nowhere else.
#pragma once

#include <mixgrad/task.h>

#include <vector>

namespace mixgrad::train {

Task classify();
Task reconstruct();

inline std::vector<Task> built_in_tasks() { return {classify(), reconstruct()}; }

}  // namespace mixgrad::train
