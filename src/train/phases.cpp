// SPDX-License-Identifier: Apache-2.0
// Float warm-up, and fine-tuning of a discrete network. The search between them: search.cpp.
#include "epoch_loop.h"
#include "numerics.h"
#include "phase.h"

#include <mixgrad/optim.h>

#include <limits>

namespace mixgrad::train {
namespace {

double quality(const Graph& graph, const data::Splits& splits, const Task& task) {
  return evaluate(graph, splits.validation, all_images, &task).quality();
}

}  // namespace

const Task& task_of(const Schedule& s, const Graph* graph, const data::Splits& splits) {
  return task_for(s.task, graph == nullptr ? "" : graph->task, splits.train.known());
}

double validate(const Graph& graph, const data::Splits& splits, const Task& task, EpochReport& report) {
  const Score score = evaluate(graph, splits.validation, all_images, &task);
  report.val_loss = score.mean_loss();
  report.val_metric = score.value();
  report.parameters = graph.parameters();
  return score.quality();
}

data::Loader training_loader(const data::Dataset& train, const Schedule& s, uint64_t stream) {
  return {train,
          {.batch_size = s.batch_size,
           .shuffle = true,
           .augmentation = s.augmentation,
           .seed = s.seed * 3 + stream,
           .drop_last = train.size() >= s.batch_size}};
}

double annealed_lr(const Schedule& s, int64_t step, int64_t steps_per_epoch) {
  if (!s.anneal) return s.lr;
  return optim::cosine(s.lr, s.epochs_before * steps_per_epoch + step,
                       (s.epochs_before + s.epochs + s.epochs_after) * steps_per_epoch);
}

TapeObserver* observer_of(const Schedule& s) {
  static NumericsCheck check;
  return s.check_numerics ? &check : nullptr;
}

namespace {

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
      case Role::slope:
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
  simplified(net, splits.train.image_shape());  // refuse now what could not be evaluated after an epoch
  const Task& task = task_of(s, nullptr, splits);
  data::Loader loader = training_loader(splits.train, s, 0);
  const int64_t steps = s.epochs * loader.batches();
  optim::Sgd sgd(groups_of(net, s), {.lr = s.lr, .momentum = 0.9, .nesterov = true});
  std::vector<Tensor> state;
  for (const nn::NamedTensor& t : nn::state_of(net)) state.push_back(t.tensor);
  Best best(state, s.patience);
  const auto now = [&] { return quality(simplified(net, splits.train.image_shape()), splits, task); };

  EpochLoop loop("warmup", task, splits, s, observer, checkpoints);
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
  optim::Adam adam(parameter_groups(graph, s.weight_decay, s.clip_lr_scale), {.lr = s.lr});
  Best best(adam.parameters(), s.patience);

  EpochLoop loop("finetune", task, splits, s, observer, checkpoints);
  loop.state.add("parameter", adam.parameters());
  adam.list_state(loop.state, "adam");
  best.list_state(loop.state);
  loop.resume();
  if (!best.known() && loop.goes_on()) best.offer_start(quality(graph, splits, task));
  const std::vector<Tensor> scales = best.known() ? released_scales(graph) : std::vector<Tensor>();
  while (loop.goes_on()) {
    EpochReport report = loop.run_epoch(loader, [&](const data::Batch& batch, int64_t step_index) {
      adam.set_lr(annealed_lr(s, step_index, loader.batches()));
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

std::vector<Tensor> calibration_batches(const data::Dataset& train, int64_t batch_size, uint64_t seed) {
  data::Loader loader(train, {.batch_size = batch_size, .shuffle = true, .seed = seed * 3});
  loader.start(0);
  std::vector<Tensor> batches;
  for (int64_t i = 0; i < std::min<int64_t>(8, loader.batches()); ++i) batches.push_back(loader.batch(i).x);
  return batches;
}

}  // namespace mixgrad::train
