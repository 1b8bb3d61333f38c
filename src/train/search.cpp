// SPDX-License-Identifier: Apache-2.0
// The search, by α that is trained or measured.
#include "alpha_rule.h"
#include "history.h"

#include <mixgrad/fisher.h>
#include <mixgrad/ops.h>
#include <mixgrad/optim.h>

#include <cmath>
#include <memory>

namespace mixgrad::train {
namespace {

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
  MeasuredAlpha(MixPrec& net, const SearchSchedule& s)
      : net_(net), search_(net, s.targets, s.strength, s.batch_size, s.loss) {}

  void start_epoch(int) override {}
  StepOptions before_step(double progress) override {
    const auto turn = static_cast<int64_t>(progress * turns);
    if (turn > turn_ && progress <= choosing) search_.choose(progress / shrinking);
    turn_ = turn;
    return {.sample = [this] { return search_.thetas(); }};
  }
  void after_step(const StepResult&) override { search_.observe(); }
  bool is_settled(double progress) const override { return progress >= shrinking; }
  void finish(double progress) override {
    if (progress > 0 && progress < shrinking) search_.choose(1);
  }
  std::vector<AlphaReport> report() override { return measured_alphas(net_, search_.losses()); }
  void list_state(State& state) override {
    search_.list_state(state);
    state.add("fisher.turn", turn_);
  }

 private:
  static constexpr int turns = 40;                          // choices in a whole search
  static constexpr double shrinking = 0.6, choosing = 0.8;  // parts of the search

  MixPrec& net_;
  FisherSearch search_;
  int64_t turn_ = 0;
};

std::unique_ptr<AlphaRule> alpha_rule(MixPrec& net, const SearchSchedule& s) {
  if (s.measured) return std::make_unique<MeasuredAlpha>(net, s);
  return std::make_unique<LearnedAlpha>(net, s);
}

}  // namespace

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
