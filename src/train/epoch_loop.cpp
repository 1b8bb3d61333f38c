// SPDX-License-Identifier: Apache-2.0
#include "epoch_loop.h"

#include <mixgrad/error.h>

#include <src/internal/parameters.h>

#include <algorithm>
#include <chrono>

namespace mixgrad::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Best::Best(std::vector<Tensor> tensors, int patience) : tensors_(std::move(tensors)), patience_(patience) {
  for (const Tensor& t : tensors_) values_.push_back(t.clone());
}

void Best::keep(double quality, bool is_start) {
  quality_ = quality;
  known_ = true;
  is_start_ = is_start;
  copy_values(tensors_, values_);
}

void Best::offer_start(double quality) { keep(quality, true); }

bool Best::offer(double quality) {
  epochs_since_ = quality > best_epoch_ ? 0 : epochs_since_ + 1;
  best_epoch_ = std::max(best_epoch_, quality);
  if (quality >= quality_) keep(quality, false);
  return patience_ == 0 || epochs_since_ < patience_;
}

void Best::restore() const {
  if (known_) copy_values(values_, tensors_);
}

void Best::list_state(State& state) {
  state.add("best", values_);
  state.add("best.known", known_);
  state.add("best.is_start", is_start_);
  state.add("best.quality", quality_);
  state.add("best.epoch", best_epoch_);
  state.add("best.epochs_since", epochs_since_);
}

/// Keeps the memory of the counts, which the phase's state refers to.
void EpochLoop::Sums::start(const Metric& metric) {
  std::vector<double> counts = std::move(task.counts);
  std::ranges::fill(counts, 0);
  *this = {};
  task.metric = metric;
  task.counts = std::move(counts);
}

EpochLoop::EpochLoop(const std::string& phase, const Task& task, const data::Splits& splits, const Schedule& schedule,
                     Observer& observer, Checkpoints* checkpoints)
    : phase_(phase), metric_(task.metric), schedule_(schedule), observer_(observer), checkpoints_(checkpoints) {
  state.add("epoch", epoch_);
  for (size_t i = 0; i < sums_.size(); ++i) {
    const std::string name = fmt::format("sums.{}.", i);
    sums_[i].task.counts.resize(task.counts ? static_cast<size_t>(task.counts(splits.train)) : 0);
    sums_[i].start(metric_);
    if (task.counts) state.add(name + "counts", std::span(sums_[i].task.counts));
    state.add(name + "steps", sums_[i].steps);
    state.add(name + "loss", sums_[i].task.loss);
    state.add(name + "correct", sums_[i].task.measured);  // its name from when accuracy was the only metric
    state.add(name + "images", sums_[i].task.images);
    state.add(name + "regularization", sums_[i].regularization);
    state.add(name + "seconds", sums_[i].seconds);
  }
}

void EpochLoop::resume() {
  if (checkpoints_ != nullptr) checkpoints_->resume(phase_, state);
}

void EpochLoop::keep() {
  if (checkpoints_ != nullptr)
    checkpoints_->keep({.phase = phase_, .epoch = epoch_, .step = sums_[0].steps + sums_[1].steps}, state);
}

template <typename Step>
StepResult EpochLoop::located(const Step& step, int64_t index) const {
  try {
    return step();
  } catch (const Error& e) {
    if (e.kind() != Error::Kind::failed_run) throw;
    if (epoch_ == 0 && sums_[0].steps + sums_[1].steps == 0) {  // the learning rate has had no effect yet
      failed_run(
          "{}, epoch 1, step 1: {}: this is the first step, so the learning rate is not the cause: expected smaller "
          "weights{}",
          phase_, e.what(), phase_ == "search" ? ", or a smaller strength" : "");
    }
    failed_run("{}, epoch {}, step {}: {}: try a smaller learning rate (now {})", phase_, epoch_ + 1, index + 1,
               e.what(), schedule_.lr);
  }
}

EpochReport EpochLoop::run_epoch(data::Loader& loader, const TrainStep& train_step, size_t part) {
  Sums& sums = sums_[part];
  const double seconds_before = sums.seconds;
  const auto start = Clock::now();
  loader.start(epoch_);
  while (sums.steps < loader.batches()) {
    const StepResult result = located(
        [&] { return train_step(loader.batch(sums.steps), epoch_ * loader.batches() + sums.steps); }, sums.steps);
    sums.task += result.task;
    sums.regularization += result.regularization;
    sums.seconds = seconds_before + seconds_since(start);
    observer_.on_step({.phase = phase_,
                       .epoch = epoch(),
                       .epochs = schedule_.epochs,
                       .step = sums.steps,
                       .steps = loader.batches(),
                       .loss = sums.task.mean_loss(),
                       .value = sums.task.value(),
                       .metric = metric_});
    ++sums.steps;
    const bool stop = stops();
    if (stop || (checkpoints_ != nullptr && checkpoints_->due())) keep();
    if (stop) break;
  }
  return {.phase = phase_,
          .epoch = epoch(),
          .epochs = schedule_.epochs,
          .metric = metric_,
          .task_loss = sums.task.mean_loss(),
          .reg_loss = sums.regularization / static_cast<double>(std::max<int64_t>(loader.batches(), 1)),
          .train_metric = sums.task.value(),
          .seconds = sums.seconds};
}

void EpochLoop::end_epoch(const EpochReport& report, bool goes_on) {
  observer_.on_epoch(report);
  epoch_ = goes_on ? epoch_ + 1 : schedule_.epochs;
  for (Sums& sums : sums_) sums.start(metric_);
  keep();
}

}  // namespace mixgrad::train
