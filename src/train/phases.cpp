// SPDX-License-Identifier: Apache-2.0
// The three phases of a run: float warm-up, search, fine-tuning of what was found.
#include "history.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/optim.h>
#include <mixgrad/train.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

namespace mixgrad::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Parameters as they were at the best epoch so far.
class Best {
 public:
  Best(std::vector<Tensor> tensors, int patience) : tensors_(std::move(tensors)), patience_(patience) {}

  /// Whether to go on: false once `patience` epochs in a row were no better.
  bool offer(double quality) {
    epochs_since_ = quality > quality_ ? 0 : epochs_since_ + 1;
    if (quality >= quality_) keep(quality);
    return patience_ == 0 || epochs_since_ < patience_;
  }
  void restore() const {
    for (size_t i = 0; i < values_.size(); ++i) std::ranges::copy(values_[i], tensors_[i].data().begin());
  }

 private:
  void keep(double quality) {
    quality_ = quality;
    values_.clear();
    for (const Tensor& t : tensors_) values_.emplace_back(t.data().begin(), t.data().end());
  }

  std::vector<Tensor> tensors_;
  std::vector<std::vector<float>> values_;
  double quality_ = -std::numeric_limits<double>::infinity();
  int patience_, epochs_since_ = 0;
};

/// One epoch over the training set: draws batches, runs `train_step(batch, global step)`, reports.
template <typename TrainStep>
EpochReport run_epoch(const char* phase, const Schedule& schedule, data::Loader& loader, int epoch, Observer& observer,
                      const TrainStep& train_step) {
  EpochReport report{.phase = phase, .epoch = epoch, .epochs = schedule.epochs};
  const auto start = Clock::now();
  loader.start(epoch);
  Score task;
  double regularization = 0;
  for (int64_t i = 0; i < loader.batches(); ++i) {
    const StepResult result = train_step(loader.batch(i), epoch * loader.batches() + i);
    if (!std::isfinite(result.task.loss) || !std::isfinite(result.regularization)) {
      failed_run("{}: the loss became NaN or infinite in epoch {}, step {}: try a smaller learning rate (now {})", phase, epoch + 1,
                 i + 1, schedule.lr);
    }
    task += result.task;
    regularization += result.regularization;
    observer.on_step({.phase = phase, .epoch = epoch, .epochs = schedule.epochs, .step = i, .steps = loader.batches(),
                      .loss = task.mean_loss(), .accuracy = task.accuracy()});
    if (observer.stop()) break;
  }
  report.task_loss = task.mean_loss();
  report.reg_loss = regularization / static_cast<double>(std::max<int64_t>(loader.batches(), 1));
  report.train_accuracy = task.accuracy();
  report.seconds = seconds_since(start);
  return report;
}

Score validate(const Graph& graph, const data::Splits& splits, EpochReport& report) {
  const Score score = evaluate(graph, splits.validation);
  report.val_loss = score.mean_loss();
  report.val_accuracy = score.accuracy();
  return score;
}

constexpr uint64_t arch_stream = uint64_t{1} << 32;  // beside streams 0, 1, 2 of every seed

data::Loader training_loader(const data::Dataset& train, const Schedule& s, uint64_t stream) {
  return {train, {.batch_size = s.batch_size, .shuffle = true, .augmentation = s.augmentation, .seed = s.seed * 3 + stream,
                  .drop_last = train.size() >= s.batch_size}};
}

/// Weights with decay, biases (and γ, β) without, clips with a learning rate of their own.
std::vector<optim::Group> groups_of(const std::vector<nn::NamedTensor>& parameters, const std::vector<Tensor>& clips, const Schedule& s) {
  optim::Group weights{.parameters = {}, .weight_decay = s.weight_decay}, biases{.parameters = {}};
  for (const nn::NamedTensor& p : parameters) (p.tensor.shape().rank() > 1 ? weights : biases).parameters.push_back(p.tensor);
  return {weights, biases, {.parameters = clips, .lr_scale = s.clip_lr_scale}};
}

}  // namespace

void warm_up(nn::Module& net, const data::Splits& splits, const Schedule& s, Observer& observer) {
  data::Loader loader = training_loader(splits.train, s, 0);
  const int64_t steps = s.epochs * loader.batches();
  optim::Sgd sgd(groups_of(net.named_parameters(), {}, s), {.lr = s.lr, .momentum = 0.9, .nesterov = true});
  std::vector<Tensor> state = net.parameters();
  for (const nn::NamedTensor& b : net.named_buffers()) state.push_back(b.tensor);
  Best best(state, s.patience);
  for (int epoch = 0; epoch < s.epochs && !observer.stop(); ++epoch) {
    net.train();
    EpochReport report = run_epoch("warmup", s, loader, epoch, observer, [&](const data::Batch& batch, int64_t step_index) {
      sgd.set_lr(optim::one_cycle(s.lr, step_index, steps));
      const StepResult result = step(net, batch);
      sgd.step();
      return result;
    });
    if (observer.stop()) break;  // an epoch cut short is not reported
    const Score validation = validate(simplified(net, splits.train.image_shape()), splits, report);
    observer.on_epoch(report);
    if (!best.offer(validation.quality())) break;
  }
  best.restore();
  net.eval();
}

namespace {

/// strength · cost; with targets, what they are overrun by, at a strength that grows from epoch to epoch.
Tensor regularization(const MixPrec& net, const SearchSchedule& s, int epoch, const Thetas& thetas) {
  if (s.targets.empty()) return scale(net.get_regularization_loss(thetas), s.strength);
  constexpr double first = 0.1, last = 2;  // of a task loss near 1
  const double progress = s.epochs <= 1 ? 1 : static_cast<double>(epoch) / (s.epochs - 1);
  return scale(overrun(net.graph(), s.targets, thetas), first * std::pow(last / first, progress));
}

/// The training images, or two parts of them: for the weights and for α.
struct SearchData {
  SearchData(const data::Splits& all, const SearchSchedule& s) : splits(all) {
    if (s.arch_split == 0) return;
    parts = data::hold_out(all.train, {}, s.seed, s.arch_split);
    if (parts->validation.size() < 1) bad_input("arch-split: {} of {} training images leave none", s.arch_split, all.train.size());
  }
  const data::Dataset& for_weights() const { return parts ? parts->train : splits.train; }

  const data::Splits& splits;
  std::optional<data::Splits> parts;
};

}  // namespace

void search(MixPrec& net, const data::Splits& splits, const SearchSchedule& s, Observer& observer) {
  const SearchData images(splits, s);
  data::Loader loader = training_loader(images.for_weights(), s, 1);
  const int64_t steps = s.epochs * loader.batches();
  // Folded weights differ in scale from channel to channel, which Adam evens out and SGD does not survive.
  optim::Adam weights(groups_of(net.graph().named_parameters(), net.clip_parameters(), s), {.lr = s.lr});
  optim::Adam alphas({{.parameters = net.nas_parameters()}}, {.lr = s.arch_lr});
  Best best({}, s.patience);  // for its patience: the last θ, not the best, is what sharpened
  for (int epoch = 0; epoch < s.epochs && !observer.stop(); ++epoch) {
    net.set_temperature(temperature(s, epoch));
    AlphaHistory history(net);
    const StepOptions options{.sample = [&] { return net.sample(); },
                              .regularization = [&](const Thetas& t) { return regularization(net, s, epoch, t); },
                              .dtype = s.dtype, .watched = history.alphas()};
    const auto alpha_step = [&](const StepResult& result) {
      history.add(result);
      alphas.step();
    };
    if (images.parts) net.train_net_only();
    EpochReport report = run_epoch("search", s, loader, epoch, observer, [&](const data::Batch& batch, int64_t step_index) {
      weights.set_lr(optim::cosine(s.lr, step_index, steps, s.lr / 10));
      const StepResult result = step(net.graph(), batch, options);
      weights.step();
      if (!images.parts) alpha_step(result);
      return result;
    });
    if (images.parts && !observer.stop()) {
      net.train_nas_only();
      data::Loader arch_loader = training_loader(images.parts->validation, s, arch_stream);
      report.seconds += run_epoch("search", s, arch_loader, epoch, observer, [&](const data::Batch& batch, int64_t) {
        const StepResult result = step(net.graph(), batch, options);
        alpha_step(result);
        return result;
      }).seconds;
      net.train_net_and_nas();
    }
    if (observer.stop()) break;
    const Score validation = validate(discretize(net.graph()), splits, report);
    report.tau = net.temperature();
    report.entropy = net.mean_entropy();
    report.cost_soft = net.get_regularization_loss().item();
    report.cost_discrete = net.discrete_cost();
    report.alphas = history.report();
    observer.on_epoch(report);
    if (!best.offer(validation.quality())) break;
  }
}

void fine_tune(Graph& graph, const data::Splits& splits, const Schedule& s, const cost::Model& cost, Observer& observer) {
  if (s.epochs > 0 && !observer.stop()) {
    for (const auto& slot : graph.weight_slots()) slot->magnitude = Tensor();  // scales follow the weights again
  }
  data::Loader loader = training_loader(splits.train, s, 2);
  const int64_t steps = s.epochs * loader.batches();
  optim::Adam adam(groups_of(graph.named_parameters(), graph.clip_parameters(), s), {.lr = s.lr});
  Best best(adam.parameters(), s.patience);
  for (int epoch = 0; epoch < s.epochs && !observer.stop(); ++epoch) {
    EpochReport report = run_epoch("finetune", s, loader, epoch, observer, [&](const data::Batch& batch, int64_t step_index) {
      adam.set_lr(optim::cosine(s.lr, step_index, steps));
      const StepResult result = step(graph, batch);
      adam.step();
      return result;
    });
    if (observer.stop()) break;
    const Score validation = validate(graph, splits, report);
    report.cost_soft = report.cost_discrete = cost::discrete(graph, cost);
    observer.on_epoch(report);
    if (!best.offer(validation.quality())) break;
  }
  best.restore();
}

double temperature(const SearchSchedule& s, int epoch) {
  if (s.tau_exponential) return s.tau_start * std::exp(-0.045 * epoch);
  if (s.epochs <= 1) return s.tau_end;
  return s.tau_start * std::pow(s.tau_end / s.tau_start, static_cast<double>(epoch) / (s.epochs - 1));
}

std::vector<Tensor> calibration_batches(const data::Dataset& train, int64_t batch_size, uint64_t seed) {
  data::Loader loader(train, {.batch_size = batch_size, .shuffle = true, .seed = seed * 3});
  loader.start(0);
  std::vector<Tensor> batches;
  for (int64_t i = 0; i < std::min<int64_t>(8, loader.batches()); ++i) batches.push_back(loader.batch(i).x);
  return batches;
}

}  // namespace mixgrad::train
