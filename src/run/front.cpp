// SPDX-License-Identifier: Apache-2.0
// The training of a front, from its data to its table.
#include "front.h"

#include "check.h"
#include "float_network.h"
#include "prepared_run.h"

#include <fmt/core.h>

namespace mixgrad {
namespace {

constexpr int64_t judged_images = 1024;
constexpr int points_per_cost = 12;

std::string search_phase(const std::string& cost) { return "search " + cost; }
std::string segment_phase(const std::string& cost, size_t i) { return fmt::format("segment {} {}", cost, i + 1); }

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
    const train::Task taught =
        train::distilled(task, result_.floating, config_.distill, splits_.train, dtype_of(config_.dtype));
    for (const std::string& cost : config_.costs) train(cost, taught);
    if (!result_.interrupted) add_points(task);
    result_.notes = notes_;
    result_.seconds = total_.seconds();
    return std::move(result_);
  }

 private:
  /// The segments of this cost.
  void train(const std::string& cost, const train::Task& task) {
    MixPrec net(result_.floating, options());
    FrontSearch search(net, budgets_of_front(config_, net.graph(), cost), config_.batch_size, loss_on(splits_, task));
    State searched;
    search.list_state(searched);
    in_phase(search_phase(cost), searched, [&](const std::string& phase) {
      train::Schedule s = schedule(config_, splits_, communicator_, task, config_.search_epochs, config_.search_lr);
      s.anneal = false;  // segments branch off all the way, and each is annealed itself
      train::front(phase, net, search, splits_, s, observer_, &checkpoints_);
    });
    const std::vector<Segment> segments = search.segments();
    for (size_t i = 0; i < segments.size(); ++i) {
      State trained;
      for (const Parameter& p : segments[i].searched.parameters()) trained.add(p.name, p.tensor);
      in_phase(segment_phase(cost, i), trained, [&](const std::string& phase) {
        train::segment(phase, net, segments[i], splits_,
                       schedule(config_, splits_, communicator_, task, config_.finetune_epochs, config_.search_lr),
                       observer_, &checkpoints_);
      });
      result_.front.segments.push_back(segments[i]);
    }
  }

  MixPrecOptions options() {
    MixPrecOptions out = mix_prec_options(config_);
    out.calibration = train::calibration_batches(splits_.train, config_.batch_size, config_.seed);
    out.input_range = splits_.train.known_range();
    out.on_note = [this](const std::string& text) { note(text); };
    return out;
  }

  /// Calls `run`, which changes `state`, unless that has its result from before the run was resumed.
  template <typename Run>
  void in_phase(const std::string& phase, const State& state, const Run& run) {
    if (result_.interrupted) return;
    if (checkpoints_.finished(phase)) return state.restore(checkpoints_.result(phase));
    run(phase);
    result_.interrupted = train::stops(observer_, communicator_);
    if (!result_.interrupted) checkpoints_.finish(phase, state.content());
  }

  void add_points(const train::Task& task) {
    for (const LayerSummary& layer : summarize(result_.floating, result_.floating))
      result_.layers.push_back(layer.name);
    for (const std::string& name : config_.costs) {
      const cost::Model model = cost::find(name);
      for (const Target& budget :
           front_budgets(result_.front.segments[0].searched, model, config_.least_cost, points_per_cost))
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

std::vector<std::string> front_phases(const RunConfig& config) {
  std::vector<std::string> out = {"warmup"};
  for (const std::string& cost : config.costs) {
    out.push_back(search_phase(cost));
    for (size_t i = 0; i < segments_of_front; ++i) out.push_back(segment_phase(cost, i));
  }
  return out;
}

FrontResult run_front(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept,
                      const Communicator* communicator) {
  return FrontRun(config, observer, kept, communicator).result();
}

}  // namespace mixgrad
