// SPDX-License-Identifier: Apache-2.0
// What the phases have in common: a loop over epochs and steps, the best epoch so far, and resuming from checkpoints.
#pragma once

#include <mixgrad/phases.h>
#include <mixgrad/state.h>
#include <mixgrad/step.h>

#include <array>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace mixgrad::train {

/// The parameters of the best epoch so far, or those before the first epoch if they were better.
class Best {
 public:
  Best(std::vector<Tensor> tensors, int patience);

  /// Makes the parameters before the first epoch a candidate. An epoch that is as good wins, and patience counts epochs
  /// only.
  void offer_start(double quality);
  /// Whether to continue: false once `patience` epochs in a row were no better than an earlier one.
  bool offer(double quality);
  /// Whether there is a candidate; a resumed phase has one from its checkpoint.
  bool known() const { return known_; }
  bool is_start() const { return is_start_; }
  /// Sets the parameters to those of the best candidate, if there is one.
  void restore() const;
  void list_state(State& state);

 private:
  void keep(double quality, bool is_start);

  std::vector<Tensor> tensors_, values_;
  bool known_ = false, is_start_ = false;
  double quality_ = -std::numeric_limits<double>::infinity();  // of the best candidate
  double best_epoch_ = quality_;
  int64_t patience_, epochs_since_ = 0;
};

/// The loop over the epochs of a phase. Everything that its steps change is listed in `state`, from which resume()
/// restores the phase to its last checkpoint, in the middle of an epoch or after one.
class EpochLoop {
 public:
  /// One training step on a batch; `step` counts steps of all epochs.
  using TrainStep = std::function<StepResult(const data::Batch& batch, int64_t step)>;

  EpochLoop(const std::string& phase, const Task& task, const data::Splits& splits, const Schedule& schedule,
            Observer& observer, Checkpoints* checkpoints);
  EpochLoop(const EpochLoop&) = delete;
  EpochLoop& operator=(const EpochLoop&) = delete;

  State state;
  void resume();

  /// Also false once the observer wants to stop.
  bool goes_on() const { return epoch_ < schedule_.epochs && !stops(); }
  /// Whether the observer of this or any other process wants to stop.
  bool stops() const { return train::stops(observer_, schedule_.communicator); }
  int epoch() const { return static_cast<int>(epoch_); }
  /// Runs the steps of this epoch on the training set, or on one of its two parts. A resumed epoch skips the steps
  /// that it has already done.
  EpochReport run_epoch(data::Loader& loader, const TrainStep& train_step, size_t part = 0);
  /// Reports the epoch to the observer. Without `goes_on`, the phase ends here.
  void end_epoch(const EpochReport& report, bool goes_on);

 private:
  /// The sums of an epoch so far.
  struct Sums {
    int64_t steps = 0;
    Score task = {};
    double regularization = 0, seconds = 0;

    void start(const Metric& metric);
  };

  void keep();
  /// Calls `step`; an error names the step in which it occurred.
  template <typename Step>
  StepResult located(const Step& step, int64_t index) const;

  const std::string phase_;
  const Metric metric_;
  const Schedule& schedule_;
  Observer& observer_;
  Checkpoints* checkpoints_;
  int64_t epoch_ = 0;
  std::array<Sums, 2> sums_;  // of the two parts of the epoch
};

}  // namespace mixgrad::train
