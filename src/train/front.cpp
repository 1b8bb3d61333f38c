// SPDX-License-Identifier: Apache-2.0
// The training of a front: a search that passes all budgets, then the segments between them.
#include "alpha_rule.h"
#include "history.h"

#include <mixgrad/front.h>
#include <mixgrad/rng.h>

#include <algorithm>

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
  const std::vector<Parameter> alphas = graph.parameters(Role::alpha);
  Thetas out;
  const auto add = [&](const auto& slot) {
    for (size_t i = 0; i < alphas.size(); ++i) {
      if (slot->alpha.is(alphas[i].tensor)) out[slot.get()] = theta[i];
    }
  };
  std::ranges::for_each(graph.weight_slots(), add);
  std::ranges::for_each(graph.activation_slots(), add);
  return out;
}

void copy_values(std::span<const Tensor> from, std::span<const Tensor> to) {
  for (size_t i = 0; i < to.size(); ++i) std::ranges::copy(from[i].data(), to[i].data().begin());
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

std::vector<Tensor> trained(const Graph& searched) {
  std::vector<Tensor> out;
  for (const Parameter& p : searched.parameters()) {
    if (p.role != Role::alpha) out.push_back(p.tensor);
  }
  return out;
}

}  // namespace

void front(const std::string& phase, MixPrec& net, FrontSearch& search, const data::Splits& splits,
           const Schedule& schedule, Observer& observer, Checkpoints* checkpoints) {
  SearchSchedule s;
  static_cast<Schedule&>(s) = schedule;
  s.measured = true;
  FrontRule rule(net, search);
  train_by_rule(phase, net, rule, splits, s, observer, checkpoints);
}

void segment(const std::string& phase, MixPrec& net, const Segment& segment, const data::Splits& splits,
             const Schedule& schedule, Observer& observer, Checkpoints* checkpoints) {
  SearchSchedule s;
  static_cast<Schedule&>(s) = schedule;
  s.measured = true;
  copy_values(trained(segment.searched), net.net_parameters());
  SegmentRule rule(net, segment, Rng(s.seed, phase));
  train_by_rule(phase, net, rule, splits, s, observer, checkpoints);
  copy_values(net.net_parameters(), trained(segment.searched));
}

}  // namespace mixgrad::train
