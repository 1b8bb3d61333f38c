// SPDX-License-Identifier: Apache-2.0
// The training of a front: a search that passes all budgets, then the segments between them.
#include "alpha_rule.h"
#include "history.h"

#include <mixgrad/front.h>
#include <mixgrad/rng.h>

#include <src/internal/parameters.h>

namespace mixgrad::train {
namespace {

class FrontRule : public AlphaRule {
 public:
  FrontRule(MixPrec& net, FrontSearch& search) : net_(net), search_(search) {}

  void start_epoch(int) override {}
  StepOptions before_step(double progress) override {
    search_.advance(progress);
    return {.sample = [this] { return search_.thetas(); }};
  }
  void after_step(const StepResult&) override { search_.observe(); }
  bool is_settled(double) const override { return false; }
  void finish(double) override { search_.finish(); }
  std::vector<AlphaReport> report() override { return measured_alphas(net_, search_.losses()); }
  void list_state(State& state) override { search_.list_state(state); }

 private:
  MixPrec& net_;
  FrontSearch& search_;
};

/// θ by slot, from a list in the order of Graph::parameters(Role::alpha).
Thetas by_slot(const Graph& graph, std::span<const Tensor> theta) {
  Thetas out;
  size_t i = 0;
  visit_slots(graph, [&](const auto& slot) { out[&slot] = theta[i++]; });
  return out;
}

/// Every step trains a network of the segment, drawn at random. α shows the smaller one.
class SegmentRule : public AlphaRule {
 public:
  SegmentRule(MixPrec& net, const Segment& segment, Rng draws) : draws_(draws) {
    constexpr int networks = 9;
    for (const std::vector<Tensor>& theta : networks_along(segment, networks))
      thetas_.push_back(by_slot(net.graph(), theta));
    copy_values(segment.smaller, net.nas_parameters());
  }

  void start_epoch(int) override {}
  StepOptions before_step(double) override {
    return {.sample = [this] { return thetas_[draws_.below(thetas_.size())]; }};
  }
  void after_step(const StepResult&) override {}
  bool is_settled(double) const override { return true; }
  void finish(double) override {}
  std::vector<AlphaReport> report() override { return {}; }
  void list_state(State& state) override { state.add("segment.draws", draws_.state()); }

 private:
  std::vector<Thetas> thetas_;
  Rng draws_;
};

}  // namespace

void front(const std::string& phase, MixPrec& net, FrontSearch& search, const data::Splits& splits,
           const Schedule& schedule, Observer& observer, Checkpoints* checkpoints) {
  FrontRule rule(net, search);
  SearchSchedule s{schedule};
  s.measured = true;
  train_by_rule(phase, net, rule, splits, s, observer, checkpoints);
}

void segment(const std::string& phase, MixPrec& net, const Segment& segment, const data::Splits& splits,
             const Schedule& schedule, Observer& observer, Checkpoints* checkpoints) {
  copy_values(net_tensors(segment.searched), net.net_parameters());
  SegmentRule rule(net, segment, Rng(schedule.seed, phase));
  train_by_rule(phase, net, rule, splits, SearchSchedule{schedule}, observer, checkpoints);
  copy_values(net.net_parameters(), net_tensors(segment.searched));
}

}  // namespace mixgrad::train
