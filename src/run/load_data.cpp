// SPDX-License-Identifier: Apache-2.0
#include "float_network.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/run.h>

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad {
namespace {

constexpr const char *normalize_key = "normalize", *task_key = "task";  // in the metadata of float weights

/// Metadata of the weights that the run starts from; "" if the file does not have it, or there is none.
std::string said_by_init(const RunConfig& config, const char* key) {
  if (config.init.empty()) return "";
  const io::Safetensors weights = io::read_safetensors(config.init);
  const auto found = weights.metadata.find(key);
  return found == weights.metadata.end() ? "" : found->second;
}

/// Labels and targets are about one output.
void check_outputs(const RunConfig& config, const models::Model& model, const train::Task& task) {
  if (model.outputs.size() < 2 || task.taught) return;
  bad_input("loss: model {} has the outputs '{}', but {} is for networks with one: expected --loss imitate",
            config.model, on_one_line(fmt::format("{}", fmt::join(model.outputs, "', '"))), task.name);
}

void check_fit(const RunConfig& config, const models::Model& model, const data::Splits& splits,
               const train::Task& task) {
  const data::Dataset& train = splits.train;
  check_image_shape(train, config.data, model.input_shape, "model " + config.model);
  task.check({.images = train,
              .data = config.data,
              .input = model.input_shape,
              .output = model.output_shape,
              .network = "model " + config.model,
              .left_out = model.left_out,
              .notes = fmt::format("{}", fmt::join(splits.notes, "; "))});
}

/// For values from 0 to 1 instead of 0 to 255.
Normalization of_small(Normalization n) {
  for (std::vector<float>* values : {&n.mean, &n.std}) {
    for (float& v : *values) v /= 255;
  }
  return n;
}

}  // namespace

void check_image_shape(const data::Dataset& images, const std::string& data, const Shape& wanted,
                       const std::string& network) {
  if (images.image_shape() != wanted)
    bad_input("data: images of '{}' are {}, but {} takes {}", data, images.image_shape().str(), network, wanted.str());
}

bool takes_any_shape(const RunConfig& config) {
  return config.input_shape.empty() && !models::task_of(config.model).empty();
}

data::ReadOptions read_options(const RunConfig& config, data::ReadOptions usual) {
  if (config.layout != data::Layout::automatic) usual.layout = config.layout;
  usual.skip_unreadable = usual.skip_unreadable || config.skip_unreadable;
  if (!config.image_size.empty()) {
    const auto [height, width] = parse_image_size(config.image_size);
    const int64_t channels = usual.fixed ? usual.image_shape[0] : 1;  // 1: grey images may be grey
    usual.image_shape = {channels, height, width};
    usual.fixed = true;
  }
  return usual;
}

Normalization image_normalization(const RunConfig& config, int64_t channels) {
  const Normalization given =
      composed(parse_input_scale(config.input_scale, channels), parse_normalization(config.normalize, channels));
  const std::string trained_with = said_by_init(config, normalize_key);
  if (trained_with.empty()) return given;
  const Normalization trained = parse_normalization(trained_with, channels);
  if (!given.empty() && given != trained) {
    bad_input(
        "normalize: {} was trained on images normalized by {}, not by {}: leave out --normalize and --input-scale",
        config.init, trained_with, to_string(given));
  }
  return trained;
}

Normalization input_normalization(const RunConfig& config, const models::Model& model, bool of_bytes) {
  const Normalization said = image_normalization(config, model.input_shape[0]);
  if (!said.empty()) return composed(said, model.normalization);
  if (of_bytes && model.asks_input_scale) {
    bad_input(
        "input-scale: model {} doesn't say what range of pixels it takes: expected --input-scale 0..255, 0..1 or "
        "-1..1, as it was trained",
        config.model);
  }
  if (of_bytes && !model.advised.empty()) return composed(of_small(model.advised), model.normalization);
  return of_bytes && model.pixels_to_255 ? of_small(model.normalization) : model.normalization;
}

io::Safetensors float_weights(const FloatResult& result) {
  io::Safetensors content = nn::to_safetensors(*result.net);
  if (!result.normalize.empty()) content.metadata[normalize_key] = result.normalize;
  content.metadata[task_key] = result.task;
  return content;
}

std::string checksum(const FloatResult& result) {
  io::Safetensors content = float_weights(result);
  content.metadata.erase(task_key);
  return io::checksum(content);
}

std::string task_of_float(const RunConfig& config) {
  const std::string name = said_by_init(config, task_key);
  if (!name.empty()) train::find_task(name, config.init + ": task");
  return name.empty() ? models::task_of(config.model) : name;
}

const train::Task& run_task(const RunConfig& config, const data::Dataset& images) {
  return train::task_for(nullptr, config.loss.empty() ? task_of_float(config) : config.loss, images.known());
}

train::Task task_for_search(const RunConfig& config, const Graph& floating, const data::Dataset& images) {
  const train::Task& task = run_task(config, images);
  if (!task.taught) return task;
  Graph network = floating;  // shares its tensors
  network.task = task_of_float(config);
  return task.taught(train::teacher(network, images));
}

models::Model make_model(const RunConfig& config, int64_t classes) {
  models::Options options;
  if (!config.input_shape.empty())
    options.input_shape = Shape(std::vector<int64_t>(config.input_shape.begin(), config.input_shape.end()));
  return models::make(config.model, classes, options);
}

/// The first size in which the weights and a network with one output differ.
int64_t outputs_of_init(const RunConfig& config) {
  if (config.init.empty()) return 1;
  const io::Safetensors weights = io::read_safetensors(config.init);
  const models::Model model = make_model(config, 1);
  for (const nn::NamedTensor& t : nn::state_of(*model.net)) {
    if (!weights.contains(t.name)) continue;
    const Shape &stored = weights.at(t.name).shape(), &own = t.tensor.shape();
    if (stored.rank() > 0 && stored.rank() == own.rank() && stored[0] != own[0]) return stored[0];
  }
  return 1;
}

namespace {

/// Throws bad_input if there is nothing to imitate.
void check_teacher(const RunConfig& config, const models::Model& model, const train::Task& task) {
  if (!task.taught || model.trained || !config.init.empty()) return;
  bad_input(
      "loss: {} imitates the outputs of a trained network, but model {} has no weights: expected --init with those of "
      "mixgrad train, or a model from a file",
      task.name, config.model);
}

}  // namespace

models::Model make_model(const RunConfig& config, const data::Dataset& images) {
  int64_t outputs = images.classes() > 1 ? images.classes() : outputs_of_init(config);
  if (run_task(config, images).reads_targets)
    outputs = images.target_shape.rank() == 0 ? 1 : images.target_shape[0];  // also of a map
  return make_model(config, outputs, images.image_shape());
}

models::Model make_model(const RunConfig& config, int64_t classes, const Shape& image_shape) {
  if (!takes_any_shape(config)) return make_model(config, classes);
  return models::make(config.model, classes, {.input_shape = image_shape});
}

data::Splits load_data(const RunConfig& config, train::Observer* observer) {
  models::Model model = make_model(config, 1);
  data::ReadOptions options =
      read_options(config, {.image_shape = model.input_shape, .fixed = !takes_any_shape(config)});
  if (observer != nullptr)
    options.progress = [observer](int64_t done, int64_t images) { observer->on_read(done, images); };
  data::Splits splits = data::load(config.data, config.data_seed, config.val_split, options);
  if (!models::is_file(config.model)) model = make_model(config, splits.train);  // as many outputs as classes
  const train::Task& task = run_task(config, splits.train);
  check_outputs(config, model, task);
  check_teacher(config, model, task);
  check_fit(config, model, splits, task);
  const Normalization normalization = input_normalization(config, model, !splits.train.pixels.empty());
  for (data::Dataset* set : {&splits.train, &splits.validation, &splits.test}) {
    set->normalization = normalization;
    if (!task.reads_labels) set->labels.clear();
    if (!task.reads_targets) set->targets.clear();
  }
  splits.notes.insert(splits.notes.end(), model.notes.begin(), model.notes.end());
  return splits;
}

}  // namespace mixgrad
