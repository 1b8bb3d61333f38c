// SPDX-License-Identifier: Apache-2.0
// What a search is given, the schedules of its phases, and how its network is chosen at the end.
#pragma once

#include <mixgrad/front_run.h>
#include <mixgrad/run.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad {

/// The inputs of a run's search: the float network, and the demands on its discrete form.
struct Start {
  const RunConfig& config;
  const data::Splits& splits;
  const Graph& floating;
  train::Task task;  ///< of search and fine-tuning
  std::vector<Target> targets;
  std::function<void(const std::string&)> note;  ///< adds a note for the user and to the result
  const Communicator* communicator = nullptr;
  const TrainedFront* front = nullptr;  ///< to pick from, instead of a search
};
/// `task`: of the network found; `floating` teaches it as well, if the settings say so. All but `task` must outlive the
/// result.
Start start_of(const RunConfig& config, const data::Splits& splits, const Graph& floating, const train::Task& task,
               std::function<void(const std::string&)> note);

/// Whether the phase "search" trains.
bool searches(const RunConfig& config);
/// Baselines spend the search's epochs on fine-tuning, so that every method trains for the same number of epochs.
int finetune_epochs(const RunConfig& config);
/// The weight of the cost in the loss of a search: 0 with targets and for baselines.
double strength_of(const Start& start);

/// A network and, if there are targets, how it met them.
struct Found {
  Graph network;
  std::optional<Repair> repair = {};

  static Found met(MetTargets m) { return {.network = std::move(m.network), .repair = std::move(m.repair)}; }
};
/// The network that α lead to.
Found found_by_search(const Start& start, const MixPrec& searched, const Judge& judge);
/// The network of a method that does not search.
Found found_by_baseline(const Start& start, const Judge& judge);

MixPrecOptions search_options(const Start& start);
/// `start` must outlive the schedules, which point to its task.
train::SearchSchedule search_schedule(const Start& start);
train::Schedule fine_tuning_schedule(const Start& start);

}  // namespace mixgrad
