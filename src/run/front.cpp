// SPDX-License-Identifier: Apache-2.0
// The training of a front, from its data to its table.
#include "front.h"

#include "check.h"
#include "float_network.h"
#include "prepared_run.h"

namespace mixgrad {
namespace {

constexpr int64_t judged_images = 1024;
constexpr int points_per_cost = 12;

/// The mean bit-width of the weights that a layer had before it lost channels.
double mean_bits(const LayerSummary& layer) {
  const auto channels = static_cast<double>(std::ssize(layer.weight_bits) + layer.pruned);
  double total = 0;
  for (const int bits : layer.weight_bits) total += bits;
  return layer.weight_bits.empty() ? 32 : total / channels;
}

/// The training of a front, and what comes before and after.
class FrontRun : PreparedRun {
 public:
  FrontRun(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
           const Communicator* communicator)
      : PreparedRun(config, observer, kept, communicator, check_front) {}

  FrontResult result() {
    result_.config = config_;
    result_.data = data_checksum_;
    result_.floating =
        float_graph(config_, *warmed_up(config_, splits_, communicator_, observer_, checkpoints_).net, splits_);
    const train::Task task = task_for_search(config_, result_.floating, splits_.train);
    result_.floating.task = task.name;
    result_.floating_score = judge_float(result_.floating, task, result_.floating_confusion);
    train(train::distilled(task, result_.floating, config_.distill, splits_.train));
    if (!result_.interrupted) add_points(task);
    result_.notes = notes_;
    result_.seconds = total_.seconds();
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

  FrontResult result_;
};

}  // namespace

MetTargets pick_for_run(const TrainedFront& trained, const RunConfig& config, const data::Splits& splits,
                        const train::Task& task, std::span<const Target> targets) {
  return pick(trained.front, targets, judge_on(splits, task, judged_images),
              config.method == Method::sensitivity ? PickBy::sensitivity : PickBy::losses);
}

FrontResult run_front(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
                      const Communicator* communicator) {
  return FrontRun(config, observer, kept, communicator).result();
}

}  // namespace mixgrad
