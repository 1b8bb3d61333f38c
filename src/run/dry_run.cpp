// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "float_network.h"
#include "prepared_run.h"
#include "search_start.h"

#include <mixgrad/dry_run.h>
#include <mixgrad/error.h>

#include <algorithm>

namespace mixgrad {
namespace {

/// Times the first steps of a phase, then ends it.
class Trial : public train::Observer {
 public:
  explicit Trial(train::Observer& user) : user_(user) {}

  void on_note(const std::string& text) override { user_.on_note(text); }
  void on_step(const train::StepReport&) override {
    seconds_.push_back(watch_.seconds());
    watch_ = {};
  }
  void on_epoch(const train::EpochReport&) override { watch_ = {}; }  // after its validation
  bool stop() const override { return seconds_.size() > timed || user_.stop(); }

  bool trained() const { return !seconds_.empty(); }
  /// Median. The first step is left out: what precedes it is done once.
  double step_seconds() const { return median({seconds_.begin() + (seconds_.size() > 1 ? 1 : 0), seconds_.end()}); }

 private:
  static constexpr size_t timed = 10;

  train::Observer& user_;
  Stopwatch watch_;
  std::vector<double> seconds_;
};

class SearchDryRun : PreparedRun {
 public:
  SearchDryRun(const RunConfig& config, train::Observer& observer)
      : PreparedRun(config, observer, nullptr, nullptr, check_wishes),
        result_{.image = splits_.train.image_shape(),
                .training_images = splits_.train.size(),
                .validation_images = splits_.validation.size(),
                .test_images = splits_.test.size()} {}

  DryRun result() {
    Graph floating = float_network();
    const train::Task task = task_for_search(config_, floating, splits_.train);
    floating.task = task.name;
    const auto ignored = [](const std::string&) { /* on a network that has hardly been trained */ };
    const Start start = start_of(config_, splits_, floating, task, ignored);
    MixPrec net(floating, search_options(start));
    add_targets(start, net.graph());
    if (searches(config_)) {
      train::SearchSchedule schedule = search_schedule(start);
      schedule.loss = counting_judge().loss;
      try_phase("search", config_.search_epochs,
                [&](train::Observer& observer) { train::search(net, splits_, schedule, observer); });
    }
    searches(config_) ? found_by_search(start, net, counting_judge()) : found_by_baseline(start, counting_judge());
    Graph discrete = net.arch_export();
    try_phase("finetune", finetune_epochs(config_), [&](train::Observer& observer) {
      train::fine_tune(discrete, splits_, fine_tuning_schedule(start), model_to_lower(config_, start.targets),
                       observer);
    });
    result_.seconds = total_.seconds() - tried_;
    add_evaluations(seconds_per_image(floating, task), seconds_per_image(discrete, task));
    result_.peak_rss_mib = peak_rss_mib();
    return std::move(result_);
  }

 private:
  Graph float_network() {
    std::unique_ptr<nn::Module> net;
    try_phase("warmup", config_.warmup_epochs, [&](train::Observer& observer) {
      net = warmed_up(config_, splits_, nullptr, observer, checkpoints_).net;
    });
    return float_graph(config_, *net, splits_);
  }

  /// Calls `run` with an observer that ends the phase after some steps; adds the phase if it trains.
  template <typename Run>
  void try_phase(const std::string& name, int epochs, const Run& run) {
    const Stopwatch watch;
    Trial trial(observer_);
    run(trial);
    tried_ += watch.seconds();
    if (!trial.trained()) return;
    const int64_t steps = std::max<int64_t>(splits_.train.size() / config_.batch_size, 1);
    const double step = trial.step_seconds();
    result_.phases.push_back({name, epochs, steps, 1e3 * step, epochs * static_cast<double>(steps) * step});
  }

  /// Counts the images on which networks are compared, instead of evaluating them.
  Judge counting_judge() {
    const auto counted = [this](int64_t count) {
      return [this, count](const Graph&) {
        judged_images_ += count;
        return 0.0;
      };
    };
    return {.quality = counted(splits_.validation.size()),
            .loss = counted(std::min(sensitivity_images, splits_.train.size()))};
  }

  double seconds_per_image(const Graph& network, const train::Task& task) const {
    const int64_t images = std::min<int64_t>(splits_.test.size(), 256);
    const Stopwatch watch;
    train::evaluate(network, splits_.test, images, &task);
    return watch.seconds() / static_cast<double>(std::max<int64_t>(images, 1));
  }

  /// Adds the validation of all epochs, the choice of the network, and the tests of the float network, the network
  /// found and the fine-tuned one.
  void add_evaluations(double float_image, double discrete_image) {
    for (DryRun::Phase& p : result_.phases) {
      const double image = p.name == "warmup" ? float_image : discrete_image;
      p.seconds += p.epochs * static_cast<double>(splits_.validation.size()) * image;
      result_.seconds += p.seconds;
    }
    result_.seconds += static_cast<double>(judged_images_) * discrete_image +
                       static_cast<double>(splits_.test.size()) * (float_image + 2 * discrete_image);
  }

  void add_targets(const Start& start, const Graph& searched) {
    for (const Target& target : start.targets) {
      std::optional<CostRange> range;
      if (config_.method != Method::uniform) range = cost_range(searched, target.model);
      result_.targets.push_back({target, range});
    }
  }

  DryRun result_;
  double tried_ = 0;  // seconds
  int64_t judged_images_ = 0;
};

}  // namespace

DryRun dry_run(const RunConfig& config, train::Observer& observer) {
  if (!config.from_front.empty())
    bad_input("dry-run: a network is picked from a front in seconds: expected no --from-front");
  return SearchDryRun(config, observer).result();
}

}  // namespace mixgrad
