// SPDX-License-Identifier: Apache-2.0
// The training of a front, from its data to its table.
#include "front.h"

#include "chance.h"
#include "check.h"
#include "float_network.h"
#include "notes.h"

#include <mixgrad/error.h>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace mixgrad {
namespace {

constexpr int64_t judged_images = 1024, sensitivity_images = 512;
constexpr int points_per_cost = 12;

/// The mean bit-width of the weights that a layer had before it lost channels.
double mean_bits(const LayerSummary& layer) {
  const auto channels = static_cast<double>(std::ssize(layer.weight_bits) + layer.pruned);
  double total = 0;
  for (const int bits : layer.weight_bits) total += bits;
  return layer.weight_bits.empty() ? 32 : total / channels;
}

/// The training of a front, and what comes before and after.
class FrontRun {
 public:
  FrontRun(const RunConfig& config, const data::Splits& splits, train::Observer& observer,
           train::Checkpoints& checkpoints, const Communicator* communicator)
      : config_(config), splits_(splits), observer_(observer), checkpoints_(checkpoints), communicator_(communicator) {}

  void note(const std::string& text) {
    observer_.on_note(text);
    result_.notes.push_back(text);
  }

  FrontResult result() {
    result_.config = config_;
    result_.data = data::checksum(splits_);
    result_.floating =
        float_graph(config_, *warmed_up(config_, splits_, communicator_, observer_, checkpoints_).net, splits_);
    const train::Task task = task_for_search(config_, result_.floating, splits_.train);
    result_.floating.task = task.name;
    result_.floating_score =
        test_score("warmup", result_.floating, task, splits_, weights_file(config_), &result_.floating_confusion);
    if (is_near_chance(result_.floating_score, task.chance(splits_.test)))
      note(near_chance(config_, result_.floating_score));
    train(train::distilled(task, result_.floating, config_.distill, splits_.train));
    if (!result_.interrupted) add_points(task);
    return std::move(result_);
  }

 private:
  void train(const train::Task& task) {
    MixPrecOptions options = mix_prec_options(config_);
    options.calibration = train::calibration_batches(splits_.train, config_.batch_size, config_.seed);
    options.input_range = splits_.train.known_range();
    options.on_note = [this](const std::string& text) { note(text); };
    MixPrec net(result_.floating, options);
    FrontSearch networks(net, budgets_of_front(config_, net.graph()), config_.batch_size, config_.seed);
    const train::Schedule s = schedule(config_, splits_, communicator_, task,
                                       config_.search_epochs + config_.finetune_epochs, config_.search_lr);
    train::front(net, networks, splits_, s, observer_, &checkpoints_);
    result_.front = networks.front();
    result_.interrupted = train::stops(observer_, communicator_);
  }

  void add_points(const train::Task& task) {
    for (const LayerSummary& layer : summarize(result_.floating, result_.floating))
      result_.layers.push_back(layer.name);
    for (const std::string& name : config_.costs) {
      const cost::Model model = cost::find(name);
      for (const Target& budget : front_budgets(result_.front.searched, model, config_.least_cost, points_per_cost))
        result_.points.push_back(point(budget, task));
    }
  }

  FrontPoint point(const Target& budget, const train::Task& task) const {
    const Graph network = exported(pick_for_run(result_, config_, splits_, task, {&budget, 1})).network;
    FrontPoint out{.budget = budget,
                   .uniform8 = cost::if_defined([&] { return cost::uniform(result_.floating, budget.model, 8); })};
    for (const std::string& name : config_.costs) out.costs.push_back(cost::discrete(network, cost::find(name)));
    out.validation = train::evaluate(network, splits_.validation, train::all_images, &task);
    for (const LayerSummary& layer : summarize(network, result_.floating)) out.mean_bits.push_back(mean_bits(layer));
    return out;
  }

  const RunConfig& config_;
  const data::Splits& splits_;
  train::Observer& observer_;
  train::Checkpoints& checkpoints_;
  const Communicator* communicator_;
  FrontResult result_;
};

}  // namespace

MetTargets pick_for_run(const TrainedFront& trained, const RunConfig& config, const data::Splits& splits,
                        const train::Task& task, std::span<const Target> targets) {
  const Judge judge = {
      .quality = [&](const Graph& g) { return train::evaluate(g, splits.validation, judged_images, &task).quality(); },
      .loss = [&](const Graph& g) { return train::evaluate(g, splits.train, sensitivity_images, &task).mean_loss(); }};
  return pick(trained.front, targets, judge,
              config.method == Method::sensitivity ? PickBy::sensitivity : PickBy::losses);
}

FrontResult run_front(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
                      const Communicator* communicator) {
  config.validate();
  const train::Threads threads(config.threads);
  const auto start = std::chrono::steady_clock::now();
  const data::Splits splits = load_data(config, &observer);
  const std::string obstacle = check_front(config, splits);
  train::Checkpoints none;
  train::Checkpoints& checkpoints = kept != nullptr ? *kept : none;
  checkpoints.needs("data", data::checksum(splits));
  FrontRun run(config, splits, observer, checkpoints, communicator);
  for (const std::string& text : splits.notes) run.note(text);
  for (const std::string& text : unread(config)) run.note(text);
  if (!obstacle.empty()) run.note(only_simulated(obstacle));
  FrontResult result = run.result();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace mixgrad
