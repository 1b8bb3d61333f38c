// SPDX-License-Identifier: Apache-2.0
// A search, from its data to its result.
#include "check.h"
#include "float_network.h"
#include "front.h"
#include "notes.h"
#include "prepared_run.h"
#include "search_start.h"

#include <mixgrad/error.h>

#include <src/internal/names.h>

#include <fmt/core.h>

#include <functional>
#include <sstream>

namespace mixgrad {
namespace {

/// The network found by the search, or by a baseline instead.
Found found_by_method(const Start& start, train::Observer& observer, train::Checkpoints& checkpoints) {
  if (start.front != nullptr)
    return Found::met(exported(pick_for_run(*start.front, start.config, start.splits, start.task, start.targets)));
  const Judge compared = judge_on(start.splits, start.task, train::all_images);
  if (!is_search(start.config.method)) return found_by_baseline(start, compared);
  MixPrec net(start.floating, search_options(start));
  check_reachable(net.graph(), start.targets);
  train::search(net, start.splits, search_schedule(start), observer, &checkpoints);
  return found_by_search(start, net, compared);
}

/// The same, or its result from before the run was resumed; repeats the notes in either case.
Found found(const Start& start, train::Observer& observer, train::Checkpoints& checkpoints) {
  constexpr const char *notes_key = "notes", *repair_key = "repair";  // notes: one a line
  if (checkpoints.finished("search")) {
    io::Safetensors before = checkpoints.result("search");
    std::istringstream lines(before.metadata[notes_key]);
    for (std::string line; std::getline(lines, line);) start.note(line);
    const auto repair = before.metadata.find(repair_key);
    const bool told = repair != before.metadata.end();
    Graph network = graph_from(before);
    network.task = start.floating.task;  // older checkpoints do not name it
    return {.network = std::move(network),
            .repair = told ? std::optional(repair_from_json(repair->second)) : std::nullopt};
  }
  std::string notes;
  Start noted = start;
  noted.note = [&](const std::string& text) {
    start.note(text);
    notes += text + '\n';
  };
  Found out = found_by_method(noted, observer, checkpoints);
  io::Safetensors kept = to_safetensors(out.network);
  kept.metadata[notes_key] = valid_utf8(notes);
  if (out.repair) kept.metadata[repair_key] = to_json(*out.repair);
  checkpoints.finish("search", kept);
  return out;
}

std::vector<CostReport> costs(const Graph& found, const Graph& floating) {
  std::vector<CostReport> out;
  for (const cost::Model& model : cost::all()) {
    const auto cost_found = cost::if_defined([&] { return cost::discrete(found, model); });
    if (!cost_found) continue;
    out.push_back({.name = model.name,
                   .unit = model.unit,
                   .found = *cost_found,
                   .uniform8 = cost::if_defined([&] { return cost::uniform(floating, model, 8); }),
                   .floating = cost::if_defined([&] { return cost::discrete(floating, model); })});
  }
  return out;
}

/// The phases of a search, each of which adds its part to the result.
class SearchRun : PreparedRun {
 public:
  SearchRun(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
            const Communicator* communicator)
      : PreparedRun(config, observer, kept, communicator, check_wishes) {
    result_.threads = train::threads();
    result_.test_images = splits_.test.size();
  }

  RunResult result() {
    const std::optional<TrainedFront> front = trained_front();
    Graph floating = front ? front->floating : float_network();
    const train::Task task = task_for_search(config_, floating, splits_.train);
    floating.task = task.name;
    if (front) {
      result_.floating = front->floating_score;
      result_.floating.metric = task.metric;
      result_.floating_confusion = front->floating_confusion;
    } else {
      result_.floating = judge_float(floating, task, result_.floating_confusion);
    }
    Start start = start_of(config_, splits_, floating, task, [this](const std::string& text) { note(text); });
    start.communicator = communicator_;
    start.front = front ? &*front : nullptr;
    result_.teacher = task.teacher;
    search(start);
    fine_tune(start);
    add_costs(start);
    result_.notes = notes_;
    result_.seconds.total = total_.seconds();
    return std::move(result_);
  }

 private:
  std::optional<TrainedFront> trained_front() {
    if (config_.from_front.empty()) return std::nullopt;
    TrainedFront front = read_front(config_.from_front);
    check_settings_of_front(config_, front);
    if (front.data != data_checksum_)
      bad_input("from-front: the images of {} have changed since the front was trained", config_.data);
    checkpoints_.needs("front", io::checksum(front_file(front)));
    return front;
  }

  Graph float_network() {
    const Stopwatch watch;
    const auto net = warmed_up(config_, splits_, communicator_, observer_, checkpoints_).net;
    Graph floating = float_graph(config_, *net, splits_);
    result_.seconds.warmup = watch.seconds();
    return floating;
  }

  void search(const Start& start) {
    const Stopwatch watch;
    result_.strength = strength_of(start);
    Found network = found(start, observer_, checkpoints_);
    result_.network = std::move(network.network);
    result_.repair = std::move(network.repair);
    if (const std::string text = small_weights(result_.network); !text.empty()) note(text);
    train::Confusion* confusion = finetune_epochs(config_) == 0 ? &result_.confusion : nullptr;  // that of the result
    result_.searched = test_score("search", result_.network, start.task, splits_, "", confusion);
    result_.seconds.search = watch.seconds();
  }

  void fine_tune(const Start& start) {
    const Stopwatch watch;
    result_.final = result_.searched;
    result_.interrupted = train::stops(observer_, communicator_);
    if (finetune_epochs(config_) == 0) return;
    result_.kept_start = train::fine_tune(result_.network, splits_, fine_tuning_schedule(start),
                                          model_to_lower(config_, start.targets), observer_, &checkpoints_);
    result_.interrupted = train::stops(observer_, communicator_);
    result_.final = test_score("finetune", result_.network, start.task, splits_, "", &result_.confusion);
    result_.seconds.finetune = watch.seconds();
  }

  void add_costs(const Start& start) {
    result_.layers = summarize(result_.network, start.floating);
    result_.costs = costs(result_.network, start.floating);
    for (const CostReport& c : result_.costs) add_costs_of_layers(cost::find(c.name));
    for (const Target& t : start.targets) {
      result_.targets.push_back({t.model.name, t.model.unit, t.limit, cost::discrete(result_.network, t.model)});
      add_costs_of_layers(t.model);
    }
  }

  void add_costs_of_layers(const cost::Model& model) {
    for (const auto& [name, value] : cost::by_layer(result_.network, model)) {
      const auto layer = std::ranges::find(result_.layers, name, &LayerSummary::name);
      if (layer != result_.layers.end()) layer->costs[model.name] = value;
    }
  }

  RunResult result_;
};

}  // namespace

RunResult run_search(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
                     const Communicator* communicator) {
  return SearchRun(config, observer, kept, communicator).result();
}

}  // namespace mixgrad
