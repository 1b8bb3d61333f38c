// SPDX-License-Identifier: Apache-2.0
// The search: weights train on the network that the sampled θ make, and a rule decides on α.
#include "alpha_rule.h"
#include "epoch_loop.h"
#include "history.h"
#include "phase.h"

#include <mixgrad/error.h>
#include <mixgrad/fisher.h>
#include <mixgrad/ops.h>
#include <mixgrad/optim.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

namespace mixgrad::train {
namespace {

constexpr uint64_t arch_stream = uint64_t{1} << 32;  // apart from streams 0, 1, 2 of every seed

/// α trained by gradient descent on task + regularization, at a temperature that falls (DNAS).
class LearnedAlpha : public AlphaRule {
 public:
  LearnedAlpha(MixPrec& net, const SearchSchedule& s)
      : net_(net), s_(s), adam_({{.parameters = net.nas_parameters()}}, {.lr = s.arch_lr}), history_(net) {}

  void start_epoch(int epoch) override {
    epoch_ = epoch;
    net_.set_temperature(temperature(s_, epoch));
  }
  StepOptions before_step(double) override {
    return {.sample = [this] { return net_.sample(); },
            .regularization = [this](const Thetas& thetas) { return regularization(thetas); },
            .watched = history_.alphas()};
  }
  void after_step(const StepResult& result) override {
    history_.add(result);
    adam_.step();
  }
  bool is_settled(double) const override { return true; }
  void finish(double) override {}
  std::vector<AlphaReport> report() override { return history_.report(); }
  void list_state(State& state) override {
    adam_.list_state(state, "alphas");
    history_.list_state(state);
  }

 private:
  /// strength · cost; with targets, their constraint_violation times a strength that grows from epoch to epoch.
  Tensor regularization(const Thetas& thetas) const {
    if (s_.targets.empty()) return scale(net_.get_regularization_loss(thetas), s_.strength);
    constexpr double first = 0.1, last = 2;  // relative to a task loss near 1
    const double progress = s_.epochs <= 1 ? 1 : static_cast<double>(epoch_) / (s_.epochs - 1);
    return scale(constraint_violation(net_.graph(), s_.targets, thetas), first * std::pow(last / first, progress));
  }

  MixPrec& net_;
  const SearchSchedule& s_;
  optim::Adam adam_;
  AlphaHistory history_;
  int epoch_ = 0;
};

/// α measured by FisherSearch. The budget shrinks over the first part of the search; in the last, bit-widths stay and
/// only weights train.
class MeasuredAlpha : public AlphaRule {
 public:
  MeasuredAlpha(MixPrec& net, const SearchSchedule& s) : net_(net), search_(net, s.targets, s.strength, s.batch_size) {}

  void start_epoch(int) override {}
  StepOptions before_step(double progress) override {
    const auto turn = static_cast<int64_t>(progress * turns);
    if (turn > turn_ && progress <= choosing) choose(progress / shrinking);
    turn_ = turn;
    return {.sample = [this] { return search_.thetas(); }};
  }
  void after_step(const StepResult&) override { search_.observe(); }
  bool is_settled(double progress) const override { return progress >= shrinking; }
  void finish(double progress) override {
    if (progress > 0 && progress < shrinking) choose(1);
  }
  std::vector<AlphaReport> report() override { return measured_alphas(net_, search_.losses()); }
  void list_state(State& state) override {
    search_.list_state(state);
    state.add("fisher.turn", turn_);
  }

 private:
  static constexpr int turns = 40;                          // choices in a whole search
  static constexpr double shrinking = 0.6, choosing = 0.8;  // parts of the search

  void choose(double progress) {
    fit_unused_steps(net_.graph(), {&search_, 1});
    search_.choose(progress);
  }

  MixPrec& net_;
  FisherSearch search_;
  int64_t turn_ = 0;
};

std::unique_ptr<AlphaRule> alpha_rule(MixPrec& net, const SearchSchedule& s) {
  if (s.measured) return std::make_unique<MeasuredAlpha>(net, s);
  return std::make_unique<LearnedAlpha>(net, s);
}

/// The training images, or two parts of them: for the weights and for α.
struct SearchData {
  SearchData(const data::Splits& all, const SearchSchedule& s) : splits(all) {
    if (s.arch_split == 0) return;
    if (s.measured) bad_input("arch-split: a search with measured alpha does not train it: expected 0");
    parts = data::hold_out(all.train, {}, s.seed, s.arch_split);
    if (parts->validation.size() < 1)
      bad_input("arch-split: {} of {} training images leaves one part empty", s.arch_split, all.train.size());
  }
  const data::Dataset& for_weights() const { return parts ? parts->train : splits.train; }

  const data::Splits& splits;
  std::optional<data::Splits> parts;
};

/// Adds what a search epoch reports besides its losses.
void add_state(EpochReport& report, const MixPrec& net, AlphaRule& rule) {
  report.tau = net.temperature();
  report.entropy = net.mean_entropy();
  report.cost_soft = net.get_regularization_loss().item();
  report.cost_discrete = net.discrete_cost();
  report.alphas = rule.report();
}

}  // namespace

void train_by_rule(const char* phase, MixPrec& net, AlphaRule& rule, const data::Splits& splits,
                   const SearchSchedule& s, Observer& observer, Checkpoints* checkpoints) {
  const SearchData images(splits, s);
  const Task& task = task_of(s, &net.graph(), splits);
  data::Loader loader = training_loader(images.for_weights(), s, 1);
  const int64_t steps = s.epochs * loader.batches();
  // The scale of folded weights differs widely between channels: Adam compensates for this, SGD diverges.
  optim::Adam weights(parameter_groups(net.graph(), s.weight_decay, s.clip_lr_scale), {.lr = s.lr});
  Best best({}, s.patience);  // for its patience only: the final θ is used, as only that has sharpened
  double progress = 0;
  const auto run_step = [&](const data::Batch& batch) {
    StepOptions options = rule.before_step(progress);
    options.dtype = s.dtype;
    options.observer = observer_of(s);
    options.communicator = s.communicator;
    options.task = &task;
    return step(net.graph(), batch, options);
  };

  EpochLoop loop(phase, task, splits, s, observer, checkpoints);
  net.list_state(loop.state);
  weights.list_state(loop.state, "weights");
  rule.list_state(loop.state);
  best.list_state(loop.state);
  loop.state.add("progress", progress);
  loop.resume();
  while (loop.goes_on()) {
    rule.start_epoch(loop.epoch());
    if (images.parts) net.train_net_only();
    EpochReport report = loop.run_epoch(loader, [&](const data::Batch& batch, int64_t step_index) {
      progress = static_cast<double>(step_index) / static_cast<double>(steps);
      weights.set_lr(annealed_lr(s, step_index, loader.batches()));
      const StepResult result = run_step(batch);
      weights.step();
      if (!images.parts) rule.after_step(result);
      return result;
    });
    if (images.parts && !loop.stops()) {
      net.train_nas_only();
      data::Loader arch_loader = training_loader(images.parts->validation, s, arch_stream);
      const auto arch_step = [&](const data::Batch& batch, int64_t) {
        const StepResult result = run_step(batch);
        rule.after_step(result);
        return result;
      };
      report.seconds += loop.run_epoch(arch_loader, arch_step, 1).seconds;
      net.train_net_and_nas();
    }
    if (loop.stops()) break;
    const double validation = validate(discretize(net.graph()), splits, task, report);
    add_state(report, net, rule);
    loop.end_epoch(report, !rule.is_settled(progress) || best.offer(validation));
  }
  rule.finish(progress);
}

void search(MixPrec& net, const data::Splits& splits, const SearchSchedule& s, Observer& observer,
            Checkpoints* checkpoints) {
  train_by_rule("search", net, *alpha_rule(net, s), splits, s, observer, checkpoints);
}

double temperature(const SearchSchedule& s, int epoch) {
  if (s.tau_exponential) return s.tau_start * std::exp(-0.045 * epoch);
  if (s.epochs <= 1) return s.tau_end;
  return s.tau_start * std::pow(s.tau_end / s.tau_start, static_cast<double>(epoch) / (s.epochs - 1));
}

}  // namespace mixgrad::train
