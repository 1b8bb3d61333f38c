// SPDX-License-Identifier: Apache-2.0
#include "float_network.h"

#include <mixgrad/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace mixgrad {

namespace {

data::Augmentation augmentation(const RunConfig& config, const data::Splits& splits) {
  data::Augmentation suitable = splits.augmentation;
  if (config.augment == Augment::none) return {};
  if (config.augment == Augment::enlarge) return {.flip = suitable.flip, .least_area = data::Augmentation::usual_area};
  if (config.augment == Augment::shift || suitable.crop > 0)
    suitable = {.flip = suitable.flip, .crop = config.max_shift};
  if (suitable.crop >= std::min(splits.train.height, splits.train.width))
    bad_input("max-shift: {}: images {} of '{}' are too small to be shifted so far", suitable.crop,
              splits.train.image_shape().str(), config.data);
  return suitable;
}

}  // namespace

train::Schedule schedule(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                         const train::Task& task, int epochs, double lr) {
  return {.epochs = epochs,
          .batch_size = config.batch_size,
          .lr = lr,
          .check_numerics = config.check_numerics,
          .patience = config.patience,
          .dtype = dtype_of(config.dtype),
          .augmentation = augmentation(config, splits),
          .seed = config.seed,
          .communicator = communicator,
          .task = &task};
}

train::Score test_score(const char* phase, const Graph& network, const train::Task& task, const data::Splits& splits,
                        const std::string& untrained, train::Confusion* confusion) {
  const train::Score score = train::evaluate(network, splits.test, train::all_images, &task, confusion);
  if (std::isfinite(score.loss)) return score;
  if (!untrained.empty())
    bad_input("{}: the network's outputs are NaN or infinite: expected weights that keep them finite", untrained);
  failed_run("{}: the network's outputs became NaN or infinite: try a smaller lr", phase);
}

WarmedUp warmed_up(const RunConfig& config, const data::Splits& splits, const Communicator* communicator,
                   train::Observer& observer, train::Checkpoints& checkpoints, bool train_further) {
  models::Model model = make_model(config, splits.train);
  State weights;
  for (const nn::NamedTensor& t : nn::state_of(*model.net)) weights.add(t.name, t.tensor);
  if (checkpoints.finished("warmup")) {
    weights.restore(checkpoints.result("warmup"));
    return {.net = std::move(model.net)};
  }
  bool kept_start = false;
  if (!model.trained) nn::initialize(*model.net, Rng(config.seed, "init"));
  if (!config.init.empty()) {
    nn::load_state(*model.net, config.init);
  } else if (!model.trained || train_further) {
    train::Schedule warmup =
        schedule(config, splits, communicator, run_task(config, splits.train), config.warmup_epochs, config.lr);
    warmup.weight_decay = config.weight_decay;
    warmup.start_counts = model.trained;
    kept_start = train::warm_up(*model.net, splits, warmup, observer, &checkpoints);
  }
  checkpoints.finish("warmup", weights.content());
  return {.net = std::move(model.net), .kept_start = kept_start};
}

Graph float_graph(const RunConfig& config, nn::Module& net, const data::Splits& splits) {
  Graph graph = simplified(net, splits.train.image_shape());
  graph.normalization = splits.train.normalization;
  graph.task = run_task(config, splits.train).name;
  return graph;
}

std::string weights_file(const RunConfig& config) {
  if (!config.init.empty()) return config.init;
  return models::is_file(config.model) ? config.model : "";
}

FloatResult run_warm_up(const RunConfig& config, train::Observer& observer, train::Checkpoints* kept) {
  config.validate();
  if (!config.loss.empty() && train::find_task(config.loss).taught)
    bad_input("loss: {} is for searches: a float network can't learn from itself: expected another task", config.loss);
  const train::Threads threads(config.threads);
  const data::Splits splits = load_data(config, &observer);
  const train::Task& task = run_task(config, splits.train);
  train::Checkpoints none;
  train::Checkpoints& checkpoints = kept != nullptr ? *kept : none;
  checkpoints.needs("data", data::checksum(splits));
  for (const std::string& note : splits.notes) observer.on_note(note);
  WarmedUp warm = warmed_up(config, splits, nullptr, observer, checkpoints, true);
  FloatResult result{.net = std::move(warm.net),
                     .normalize = to_string(image_normalization(config, splits.train.channels)),
                     .task = task.name,
                     .test = {},
                     .kept_start = warm.kept_start};
  result.interrupted = observer.stop();
  const bool untrained = result.kept_start || config.warmup_epochs == 0;
  result.test = test_score("warmup", float_graph(config, *result.net, splits), task, splits,
                           untrained ? weights_file(config) : "");
  return result;
}

}  // namespace mixgrad
