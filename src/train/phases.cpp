// SPDX-License-Identifier: Apache-2.0
// The three phases of a run: float warm-up, search, and fine-tuning of the network found.
#include "epoch_loop.h"
#include "history.h"
#include "numerics.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/optim.h>
#include <mixgrad/phases.h>
#include <mixgrad/step.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace mixgrad::train {
namespace {

constexpr int64_t all_images = std::numeric_limits<int64_t>::max();

/// The task of a phase that trains `graph`, or a module if that is null.
const Task& task_of(const Schedule& s, const Graph* graph, const data::Splits& splits) {
  return task_for(s.task, graph == nullptr ? "" : graph->task, !splits.train.labels.empty());
}

double quality(const Graph& graph, const data::Splits& splits, const Task& task) {
  return evaluate(graph, splits.validation, all_images, &task).quality();
}

/// The same, also stored in the report.
double validate(const Graph& graph, const data::Splits& splits, const Task& task, EpochReport& report) {
  const Score score = evaluate(graph, splits.validation, all_images, &task);
  report.val_loss = score.mean_loss();
  report.val_metric = score.value();
  return score.quality();
}

constexpr uint64_t arch_stream = uint64_t{1} << 32;  // apart from streams 0, 1, 2 of every seed

data::Loader training_loader(const data::Dataset& train, const Schedule& s, uint64_t stream) {
  return {train,
          {.batch_size = s.batch_size,
           .shuffle = true,
           .augmentation = s.augmentation,
           .seed = s.seed * 3 + stream,
           .drop_last = train.size() >= s.batch_size}};
}

/// The observer of every op of a step.
TapeObserver* observer_of(const Schedule& s) {
  static NumericsCheck check;
  return s.check_numerics ? &check : nullptr;
}

/// Weights have decay; biases (and γ, β) have none.
std::vector<optim::Group> groups_of(const nn::Module& net, const Schedule& s) {
  optim::Group weights{.parameters = {}, .weight_decay = s.weight_decay}, others{.parameters = {}};
  for (const nn::NamedTensor& p : net.named_parameters())
    (p.tensor.shape().rank() > 1 ? weights : others).parameters.push_back(p.tensor);
  return {weights, others};
}

}  // namespace

std::vector<optim::Group> parameter_groups(const Graph& graph, double weight_decay, double clip_lr_scale) {
  optim::Group weights{.parameters = {}, .weight_decay = weight_decay}, others{.parameters = {}},
      clips{.parameters = {}, .lr_scale = clip_lr_scale}, scales{.parameters = {}, .logarithmic = true};
  for (const Parameter& p : graph.parameters()) {
    switch (p.role) {
      case Role::weight:
        weights.parameters.push_back(p.tensor);
        break;
      case Role::bias:
      case Role::normalization:
        others.parameters.push_back(p.tensor);
        break;
      case Role::clip:
        clips.parameters.push_back(p.tensor);
        break;
      case Role::weight_scale:
        scales.parameters.push_back(p.tensor);
        break;
      case Role::alpha:
        break;
    }
  }
  return {weights, others, clips, scales};
}

bool warm_up(nn::Module& net, const data::Splits& splits, const Schedule& s, Observer& observer,
             Checkpoints* checkpoints) {
  simplified(net, splits.train.image_shape(), true);  // refuse now what could not be evaluated after an epoch
  const Task& task = task_of(s, nullptr, splits);
  data::Loader loader = training_loader(splits.train, s, 0);
  const int64_t steps = s.epochs * loader.batches();
  optim::Sgd sgd(groups_of(net, s), {.lr = s.lr, .momentum = 0.9, .nesterov = true});
  std::vector<Tensor> state;
  for (const nn::NamedTensor& t : nn::state_of(net)) state.push_back(t.tensor);
  Best best(state, s.patience);
  const auto now = [&] { return quality(simplified(net, splits.train.image_shape()), splits, task); };

  EpochLoop loop("warmup", task.metric, s, observer, checkpoints);
  loop.state.add("net", state);
  sgd.list_state(loop.state, "sgd");
  best.list_state(loop.state);
  loop.resume();
  if (s.start_counts && !best.known() && loop.goes_on()) best.offer_start(now());
  while (loop.goes_on()) {
    net.train();
    EpochReport report = loop.run_epoch(loader, [&](const data::Batch& batch, int64_t step_index) {
      sgd.set_lr(optim::one_cycle(s.lr, step_index, steps));
      const StepResult result = step(net, batch, observer_of(s), &task);
      sgd.step();
      return result;
    });
    if (loop.stops()) {  // an interrupted epoch is not reported, but its parameters are a candidate
      best.offer(now());
      break;
    }
    const double validation = validate(simplified(net, splits.train.image_shape()), splits, task, report);
    loop.end_epoch(report, best.offer(validation));
  }
  best.restore();
  net.eval();
  return best.is_start();
}

namespace {

/// strength · cost; with targets, their constraint_violation times a strength that grows from epoch to epoch.
Tensor regularization(const MixPrec& net, const SearchSchedule& s, int epoch, const Thetas& thetas) {
  if (s.targets.empty()) return scale(net.get_regularization_loss(thetas), s.strength);
  constexpr double first = 0.1, last = 2;  // relative to a task loss near 1
  const double progress = s.epochs <= 1 ? 1 : static_cast<double>(epoch) / (s.epochs - 1);
  return scale(constraint_violation(net.graph(), s.targets, thetas), first * std::pow(last / first, progress));
}

/// One step of a search epoch; `s` and `task` must outlive it.
StepOptions search_step(MixPrec& net, const SearchSchedule& s, const Task& task, int epoch,
                        std::vector<Tensor> watched) {
  return {.sample = [&net] { return net.sample(); },
          .regularization = [&net, &s, epoch](const Thetas& t) { return regularization(net, s, epoch, t); },
          .dtype = s.dtype,
          .watched = std::move(watched),
          .observer = observer_of(s),
          .communicator = s.communicator,
          .task = &task};
}

/// Adds what a search epoch reports besides its losses.
void add_state(EpochReport& report, const MixPrec& net, AlphaHistory& history) {
  report.tau = net.temperature();
  report.entropy = net.mean_entropy();
  report.cost_soft = net.get_regularization_loss().item();
  report.cost_discrete = net.discrete_cost();
  report.alphas = history.report();
}

/// The training images, or two parts of them: for the weights and for α.
struct SearchData {
  SearchData(const data::Splits& all, const SearchSchedule& s) : splits(all) {
    if (s.arch_split == 0) return;
    parts = data::hold_out(all.train, {}, s.seed, s.arch_split);
    if (parts->validation.size() < 1)
      bad_input("arch-split: {} of {} training images leaves one part empty", s.arch_split, all.train.size());
  }
  const data::Dataset& for_weights() const { return parts ? parts->train : splits.train; }

  const data::Splits& splits;
  std::optional<data::Splits> parts;
};

}  // namespace

void search(MixPrec& net, const data::Splits& splits, const SearchSchedule& s, Observer& observer,
            Checkpoints* checkpoints) {
  const SearchData images(splits, s);
  const Task& task = task_of(s, &net.graph(), splits);
  data::Loader loader = training_loader(images.for_weights(), s, 1);
  const int64_t steps = s.epochs * loader.batches();
  // The scale of folded weights differs widely between channels: Adam compensates for this, SGD diverges.
  optim::Adam weights(parameter_groups(net.graph(), s.weight_decay, s.clip_lr_scale), {.lr = s.lr});
  optim::Adam alphas({{.parameters = net.nas_parameters()}}, {.lr = s.arch_lr});
  Best best({}, s.patience);  // for its patience only: the final θ is used, as only that has sharpened
  AlphaHistory history(net);

  EpochLoop loop("search", task.metric, s, observer, checkpoints);
  net.list_state(loop.state);
  weights.list_state(loop.state, "weights");
  alphas.list_state(loop.state, "alphas");
  history.list_state(loop.state);
  best.list_state(loop.state);
  loop.resume();
  while (loop.goes_on()) {
    net.set_temperature(temperature(s, loop.epoch()));
    const StepOptions options = search_step(net, s, task, loop.epoch(), history.alphas());
    const auto alpha_step = [&](const StepResult& result) {
      history.add(result);
      alphas.step();
    };
    if (images.parts) net.train_net_only();
    EpochReport report = loop.run_epoch(loader, [&](const data::Batch& batch, int64_t step_index) {
      weights.set_lr(optim::cosine(s.lr, step_index, steps, s.lr / 10));
      const StepResult result = step(net.graph(), batch, options);
      weights.step();
      if (!images.parts) alpha_step(result);
      return result;
    });
    if (images.parts && !loop.stops()) {
      net.train_nas_only();
      data::Loader arch_loader = training_loader(images.parts->validation, s, arch_stream);
      const auto arch_step = [&](const data::Batch& batch, int64_t) {
        const StepResult result = step(net.graph(), batch, options);
        alpha_step(result);
        return result;
      };
      report.seconds += loop.run_epoch(arch_loader, arch_step, 1).seconds;
      net.train_net_and_nas();
    }
    if (loop.stops()) break;
    const double validation = validate(discretize(net.graph()), splits, task, report);
    add_state(report, net, history);
    loop.end_epoch(report, best.offer(validation));
  }
}

namespace {

/// Makes the scales that are not learned follow the weights. Returns all previous scales by node, empty for nodes
/// without any.
std::vector<Tensor> released_scales(Graph& graph) {
  std::vector<Tensor> scales;
  for (Node& node : graph.nodes) {
    scales.push_back(node.weight_scales);
    if (node.weight_slot && !node.weight_slot->quantizer->learns_scale) node.weight_scales = {};
  }
  return scales;
}

void restore_scales(Graph& graph, const std::vector<Tensor>& scales) {
  for (size_t i = 0; i < scales.size(); ++i) graph.nodes[i].weight_scales = scales[i];
}

}  // namespace

bool fine_tune(Graph& graph, const data::Splits& splits, const Schedule& s, const cost::Model& cost, Observer& observer,
               Checkpoints* checkpoints) {
  const Task& task = task_of(s, &graph, splits);
  data::Loader loader = training_loader(splits.train, s, 2);
  const int64_t steps = s.epochs * loader.batches();
  optim::Adam adam(parameter_groups(graph, s.weight_decay, s.clip_lr_scale), {.lr = s.lr});
  Best best(adam.parameters(), s.patience);

  EpochLoop loop("finetune", task.metric, s, observer, checkpoints);
  loop.state.add("parameter", adam.parameters());
  adam.list_state(loop.state, "adam");
  best.list_state(loop.state);
  loop.resume();
  if (!best.known() && loop.goes_on()) best.offer_start(quality(graph, splits, task));
  const std::vector<Tensor> scales = best.known() ? released_scales(graph) : std::vector<Tensor>();
  while (loop.goes_on()) {
    EpochReport report = loop.run_epoch(loader, [&](const data::Batch& batch, int64_t step_index) {
      adam.set_lr(optim::cosine(s.lr, step_index, steps));
      const StepResult result = step(
          graph, batch, {.dtype = s.dtype, .observer = observer_of(s), .communicator = s.communicator, .task = &task});
      adam.step();
      return result;
    });
    if (loop.stops()) {
      best.offer(quality(graph, splits, task));
      break;
    }
    const double validation = validate(graph, splits, task, report);
    report.cost_soft = report.cost_discrete = cost::discrete(graph, cost);
    loop.end_epoch(report, best.offer(validation));
  }
  best.restore();
  if (best.is_start()) restore_scales(graph, scales);
  return best.is_start();
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
