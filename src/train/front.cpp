// SPDX-License-Identifier: Apache-2.0
// The training of a front: several networks share the weights and every step.
#include "alpha_rule.h"
#include "history.h"

#include <mixgrad/front.h>

namespace mixgrad::train {
namespace {

/// The networks choose anew while their budgets shrink and for some time after, then only weights train. Nothing is
/// measured after the last choice, so that the losses tell which networks have trained.
class FrontRule : public AlphaRule {
 public:
  FrontRule(MixPrec& net, FrontSearch& networks) : net_(net), networks_(networks) {}

  void start_epoch(int) override {}
  StepOptions before_step(double progress) override {
    const auto turn = static_cast<int64_t>(progress * turns);
    if (turn > turn_ && turn <= last_choice) networks_.choose(progress / shrinking);
    turn_ = turn;
    return {.networks = [this] { return networks_.thetas(); }};
  }
  void after_step(const StepResult&) override {
    if (turn_ < last_choice) networks_.observe();
  }
  bool is_settled(double progress) const override { return progress >= shrinking; }
  void finish(double progress) override {
    if (progress > 0 && progress < shrinking) networks_.choose(1);
    fit_unused_steps(net_.graph(), networks_.networks());
  }
  std::vector<AlphaReport> report() override { return measured_alphas(net_, networks_.losses()); }
  void list_state(State& state) override {
    networks_.list_state(state);
    state.add("front.turn", turn_);
  }

 private:
  static constexpr int turns = 40, last_choice = 28;  // in a whole training
  static constexpr double shrinking = 0.3;            // part of the training

  MixPrec& net_;
  FrontSearch& networks_;
  int64_t turn_ = 0;
};

}  // namespace

void front(MixPrec& net, FrontSearch& networks, const data::Splits& splits, const Schedule& schedule,
           Observer& observer, Checkpoints* checkpoints) {
  SearchSchedule s;
  static_cast<Schedule&>(s) = schedule;
  s.measured = true;
  FrontRule rule(net, networks);
  train_by_rule("front", net, rule, splits, s, observer, checkpoints);
}

}  // namespace mixgrad::train
