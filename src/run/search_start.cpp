// SPDX-License-Identifier: Apache-2.0
#include "search_start.h"

#include "float_network.h"
#include "prepared_run.h"

#include <mixgrad/error.h>

namespace mixgrad {

Start start_of(const RunConfig& config, const data::Splits& splits, const Graph& floating, const train::Task& task,
               std::function<void(const std::string&)> note) {
  return {.config = config,
          .splits = splits,
          .floating = floating,
          .task = train::distilled(task, floating, config.distill, splits.train, dtype_of(config.dtype)),
          .targets = parse_targets(config.target, floating),
          .note = std::move(note)};
}

bool searches(const RunConfig& config) { return config.from_front.empty() && is_search(config.method); }

int finetune_epochs(const RunConfig& config) {
  const bool is_baseline = !is_search(config.method) && config.from_front.empty();
  return config.finetune_epochs + (is_baseline ? config.search_epochs : 0);
}

double strength_of(const Start& start) {
  const RunConfig& config = start.config;
  if (!is_search(config.method) || !start.targets.empty()) return 0;
  return config.strength ? *config.strength : default_strength(start.floating, model_to_lower(config, start.targets));
}

MixPrecOptions search_options(const Start& start) {
  MixPrecOptions options = mix_prec_options(start.config, start.targets);
  options.calibration = train::calibration_batches(start.splits.train, start.config.batch_size, start.config.seed);
  options.input_range = start.splits.train.known_range();
  options.on_note = start.note;
  return options;
}

Found found_by_search(const Start& start, const MixPrec& searched, const Judge& judge) {
  if (start.targets.empty()) return {.network = searched.arch_export({.refine = start.config.refine})};
  return Found::met(exported(meet_targets(searched.graph(), start.targets, judge)));
}

Found found_by_baseline(const Start& start, const Judge& judge) {
  const MixPrecOptions options = search_options(start);
  switch (start.config.method) {
    case Method::uniform:
      return Found::met(uniform_baseline(start.floating, options, start.targets, judge.quality));
    case Method::random:
      return Found::met(random_baseline(start.floating, options, start.targets, start.config.seed));
    case Method::sensitivity:
      return Found::met(sensitivity_baseline(start.floating, options, start.targets, judge.loss));
    default:
      failed_run("{} is a search", method_name(start.config));
  }
}

train::SearchSchedule search_schedule(const Start& start) {
  const RunConfig& config = start.config;
  train::SearchSchedule s;
  static_cast<train::Schedule&>(s) =
      schedule(config, start.splits, start.communicator, start.task, config.search_epochs, config.search_lr);
  s.epochs_after = config.finetune_epochs;
  s.measured = config.method == Method::fisher;
  s.loss = loss_on(start.splits, start.task);
  s.arch_lr = config.arch_lr;
  s.strength = strength_of(start);
  s.targets = start.targets;
  s.arch_split = config.arch_split;
  s.tau_start = config.tau_start;
  s.tau_end = config.tau_end;
  s.tau_exponential = config.tau_schedule == TauSchedule::exponential;
  return s;
}

train::Schedule fine_tuning_schedule(const Start& start) {
  const RunConfig& config = start.config;
  train::Schedule s =
      schedule(config, start.splits, start.communicator, start.task, finetune_epochs(config), config.search_lr);
  if (searches(config)) s.epochs_before = config.search_epochs;
  return s;
}

}  // namespace mixgrad
