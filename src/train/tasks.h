// SPDX-License-Identifier: Apache-2.0
// The built-in tasks, each in a file of its name. A new one is declared and listed here, and nowhere else.
#pragma once

#include <mixgrad/ops.h>
#include <mixgrad/task.h>

#include <vector>

namespace mixgrad::train {

/// A network's outputs as [N, values], from [N, values] or [N, C, H, W].
inline Tensor as_rows(const Tensor& output) { return output.shape().rank() == 2 ? output : flatten(output); }

Task classify();
Task reconstruct();

inline std::vector<Task> built_in_tasks() { return {classify(), reconstruct()}; }

}  // namespace mixgrad::train
