// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/observer.h>
#include <mixgrad/search.h>
#include <mixgrad/step.h>

#include <vector>

namespace mixgrad::train {

/// What an epoch's steps do to every α, the task's part and the cost's apart.
class AlphaHistory {
 public:
  explicit AlphaHistory(const MixPrec& net);

  /// What a step has to watch.
  const std::vector<Tensor>& alphas() const { return alphas_; }
  /// Between the step and the optimizer's, while α still hold their gradients.
  void add(const StepResult& step);
  /// Of the steps since the last report.
  std::vector<AlphaReport> report();
  /// Lists the sums so far.
  void list_state(State& state);

 private:
  const MixPrec& net_;
  std::vector<Tensor> alphas_;
  std::vector<std::vector<double>> whole_, cost_;  // Σ over steps, by α
  int64_t steps_ = 0;
};

}  // namespace mixgrad::train
