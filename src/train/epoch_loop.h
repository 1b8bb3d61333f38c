// SPDX-License-Identifier: Apache-2.0
// What the phases have in common: epochs of steps, the best epoch so far, and that all of it can be resumed.
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

/// Parameters as they were at the best epoch so far, or before the first one if that was better.
class Best {
 public:
  Best(std::vector<Tensor> tensors, int patience);

  /// The parameters before the first epoch are a candidate too. An epoch that is as good wins, and patience counts
  /// epochs only.
  void offer_start(double quality);
  /// Whether to go on: false once `patience` epochs in a row were no better than an earlier epoch.
  bool offer(double quality);
  /// Whether there is a candidate: a resumed phase brings its own.
  bool known() const { return known_; }
  bool is_start() const { return is_start_; }
  /// Sets the parameters to those of the best candidate, if there is one.
  void restore() const;
  void list_state(State& state);

 private:
  void keep(double quality, bool is_start);

  std::vector<Tensor> tensors_, values_;
  bool known_ = false, is_start_ = false;
  double quality_ = -std::numeric_limits<double>::infinity();  // of the candidate kept
  double best_epoch_ = quality_;
  int64_t patience_, epochs_since_ = 0;
};

/// A phase on its way through its epochs. What its steps change is listed in `state`: with it, resume() brings the
/// phase to where its last checkpoint was written, in the midst of an epoch or behind it.
class EpochLoop {
 public:
  /// One training step on a batch; `step` counts over all epochs.
  using TrainStep = std::function<StepResult(const data::Batch& batch, int64_t step)>;

  /// `metric`: of the task.
  EpochLoop(const char* phase, const Metric& metric, const Schedule& schedule, Observer& observer,
            Checkpoints* checkpoints);
  EpochLoop(const EpochLoop&) = delete;
  EpochLoop& operator=(const EpochLoop&) = delete;

  State state;
  void resume();

  /// False too once the observer wants to stop.
  bool goes_on() const { return epoch_ < schedule_.epochs && !stops(); }
  /// Whether the observer wants to stop, of this or any other process.
  bool stops() const { return train::stops(observer_, schedule_.communicator); }
  int epoch() const { return static_cast<int>(epoch_); }
  /// The steps of this epoch over the training set, or over one of its two parts; those that a resumed epoch has behind
  /// it are not done again.
  EpochReport run_epoch(data::Loader& loader, const TrainStep& train_step, size_t part = 0);
  /// Tells the observer. The phase ends here unless it `goes_on`.
  void end_epoch(const EpochReport& report, bool goes_on);

 private:
  /// What an epoch has come to.
  struct Sums {
    int64_t steps = 0;
    Score task = {};
    double regularization = 0, seconds = 0;
  };

  void keep();
  /// What `step` returns; an error says in which step it came up.
  template <typename Step>
  StepResult located(const Step& step, int64_t index) const;

  const char* phase_;
  const Metric metric_;
  const Schedule& schedule_;
  Observer& observer_;
  Checkpoints* checkpoints_;
  int64_t epoch_ = 0;
  std::array<Sums, 2> sums_;  // of the epoch's parts
};

}  // namespace mixgrad::train
