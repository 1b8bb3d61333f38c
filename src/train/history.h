// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/observer.h>
#include <mixgrad/search.h>
#include <mixgrad/step.h>

#include <vector>

namespace mixgrad::train {

/// The gradients of every α over an epoch's steps, with the task's and the cost's part apart.
class AlphaHistory {
 public:
  explicit AlphaHistory(const MixPrec& net);

  /// The leaves that a step must watch (StepOptions::watched).
  const std::vector<Tensor>& alphas() const { return alphas_; }
  /// Call between the training step and the optimizer's, while α still hold their gradients.
  void add(const StepResult& step);
  /// Means over the steps since the last report.
  std::vector<AlphaReport> report();
  /// Lists the sums so far as state for checkpoints.
  void list_state(State& state);

 private:
  const MixPrec& net_;
  std::vector<Tensor> alphas_;
  std::vector<std::vector<double>> whole_, cost_;  // Σ over steps, by α
  int64_t steps_ = 0;
};

/// Every α of a search that measures them, with what the candidates would add to the loss, in the order of
/// MixPrec::nas_parameters().
std::vector<AlphaReport> measured_alphas(const MixPrec& net, const std::vector<Tensor>& losses);

}  // namespace mixgrad::train
