// SPDX-License-Identifier: Apache-2.0
#include "alpha_rule.h"

#include "epoch_loop.h"
#include "phase.h"

#include <mixgrad/error.h>
#include <mixgrad/optim.h>

#include <optional>

namespace mixgrad::train {
namespace {

constexpr uint64_t arch_stream = uint64_t{1} << 32;  // apart from streams 0, 1, 2 of every seed

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

void train_by_rule(const std::string& phase, MixPrec& net, AlphaRule& rule, const data::Splits& splits,
                   const SearchSchedule& s, Observer& observer, Checkpoints* checkpoints) {
  const SearchData images(splits, s);
  const Task& task = task_of(s, &net.graph(), splits);
  data::Loader loader = training_loader(images.for_weights(), s, 1);
  const int64_t steps = s.epochs * loader.batches();
  // The scale of folded weights differs widely between channels: Adam compensates for this, SGD diverges. Where bits
  // fall, gradients grow by orders of magnitude, so Adam's mean of their squares must not lag far behind.
  optim::Adam weights(parameter_groups(net.graph(), s.weight_decay, s.clip_lr_scale),
                      {.lr = s.lr, .beta2 = s.measured ? 0.98 : 0.999});
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

}  // namespace mixgrad::train
