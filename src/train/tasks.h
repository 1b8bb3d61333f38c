// SPDX-License-Identifier: Apache-2.0
// The built-in tasks, each in a file of its name. A new one is declared and listed here, and nowhere else.
#pragma once

#include <mixgrad/ops.h>
#include <mixgrad/task.h>

#include <functional>
#include <numeric>
#include <span>
#include <vector>

namespace mixgrad::train {

/// A network's outputs as [N, values], from [N, values] or [N, C, H, W].
inline Tensor as_rows(const Tensor& output) { return output.shape().rank() == 2 ? output : flatten(output); }
/// Class scores as [rows, classes]: a row per image or, from maps [N, C, H, W], per position.
inline Tensor score_rows(const Tensor& scores) { return scores.shape().rank() == 4 ? pixels(scores) : as_rows(scores); }

/// The variance over the images of each value of what `rows_of` returns for a batch, [N, values]: the squared error of
/// always predicting its mean.
std::vector<double> variances_of_values(const data::Dataset& images,
                                        const std::function<Tensor(const data::Batch& batch)>& rows_of);
inline double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
/// The share of the most frequent number.
double largest_share(std::span<const int32_t> numbers);

Task classify();
Task imitate_task();
Task imitate_scores();
Task imitate_values();
Task reconstruct();
Task regress();

inline std::vector<Task> built_in_tasks() {
  return {classify(), imitate_task(), imitate_scores(), imitate_values(), reconstruct(), regress()};
}

}  // namespace mixgrad::train
