// SPDX-License-Identifier: Apache-2.0
// What searches have in common: weights train on the networks that a rule asks for, and the rule decides on α.
#pragma once

#include <mixgrad/phases.h>
#include <mixgrad/step.h>

#include <string>
#include <vector>

namespace mixgrad::train {

/// How a search arrives at α.
class AlphaRule {
 public:
  virtual ~AlphaRule() = default;
  virtual void start_epoch(int epoch) = 0;
  /// What a training step needs; `progress`: the share of all steps that are done.
  virtual StepOptions before_step(double progress) = 0;
  virtual void after_step(const StepResult& result) = 0;
  /// Whether later epochs can only get better: before, a better network may still have to give up bits.
  virtual bool is_settled(double progress) const = 0;
  /// After the last step, at this progress, which is below 1 if the search was stopped.
  virtual void finish(double progress) = 0;
  virtual std::vector<AlphaReport> report() = 0;
  virtual void list_state(State& state) = 0;
};

/// Trains the weights and clips of `net` in the phase of this name, with the rule's α. The phase resumes like search().
void train_by_rule(const std::string& phase, MixPrec& net, AlphaRule& rule, const data::Splits& splits,
                   const SearchSchedule& schedule, Observer& observer, Checkpoints* checkpoints);

}  // namespace mixgrad::train
