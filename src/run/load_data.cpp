// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/run.h>

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

void check_fit(const RunConfig& config, const models::Model& model, const data::Splits& splits,
               const train::Task& task) {
  const data::Dataset& train = splits.train;
  if (train.image_shape() != model.input_shape) {
    bad_input("data: images of '{}' are {}, but model {} takes {}", config.data, train.image_shape().str(),
              config.model, model.input_shape.str());
  }
  task.check({.images = train,
              .data = config.data,
              .input = model.input_shape,
              .output = model.output_shape,
              .network = "model " + config.model,
              .left_out = model.left_out,
              .notes = fmt::format("{}", fmt::join(splits.notes, "; "))});
}

/// The normalization in the model's file, for images from the loader, which scales bytes to 0 to 1.
Normalization normalization_of(const models::Model& model, const data::Dataset& images) {
  Normalization out = model.normalization;
  if (!model.pixels_to_255 || images.pixels.empty()) return out;
  for (std::vector<float>* values : {&out.mean, &out.std}) {
    for (float& v : *values) v /= 255;
  }
  return out;
}

/// Whether the model's input is the data's unless the settings say otherwise.
bool takes_any_shape(const RunConfig& config) {
  return config.input_shape.empty() && !models::task_of(config.model).empty();
}

data::ReadOptions read_options(const RunConfig& config, train::Observer* observer) {
  data::ReadOptions options{.image_shape = make_model(config, 1).input_shape,
                            .fixed = !takes_any_shape(config),
                            .layout = config.layout,
                            .skip_unreadable = config.skip_unreadable};
  if (!config.image_size.empty()) {
    const auto [height, width] = parse_image_size(config.image_size);
    const int64_t channels = options.fixed ? options.image_shape[0] : 1;  // 1: grey images may be grey
    options.image_shape = {channels, height, width};
    options.fixed = true;
  }
  if (observer != nullptr)
    options.progress = [observer](int64_t done, int64_t images) { observer->on_read(done, images); };
  return options;
}

}  // namespace

Normalization image_normalization(const RunConfig& config, int64_t channels) {
  const Normalization given = parse_normalization(config.normalize, channels);
  const std::string trained_with = said_by_init(config, normalize_key);
  if (trained_with.empty()) return given;
  const Normalization trained = parse_normalization(trained_with, channels);
  if (!given.empty() && given != trained) {
    bad_input("normalize: {} was trained on images normalized by {}, not by {}: leave out --normalize", config.init,
              trained_with, config.normalize);
  }
  return trained;
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

const train::Task& run_task(const RunConfig& config, const data::Dataset& images) {
  if (!config.loss.empty()) return train::find_task(config.loss);
  if (const std::string name = said_by_init(config, task_key); !name.empty())
    return train::find_task(name, config.init + ": task");
  return train::task_for(nullptr, models::task_of(config.model), !images.labels.empty());
}

models::Model make_model(const RunConfig& config, int64_t classes) {
  models::Options options;
  if (!config.input_shape.empty())
    options.input_shape = Shape(std::vector<int64_t>(config.input_shape.begin(), config.input_shape.end()));
  return models::make(config.model, classes, options);
}

models::Model make_model(const RunConfig& config, const data::Dataset& images) {
  const int64_t classes = std::max<int64_t>(images.classes(), 1);
  if (!takes_any_shape(config)) return make_model(config, classes);
  return models::make(config.model, classes, {.input_shape = images.image_shape()});
}

data::Splits load_data(const RunConfig& config, train::Observer* observer) {
  data::Splits splits = data::load(config.data, config.data_seed, config.val_split, read_options(config, observer));
  const models::Model model = make_model(config, splits.train);
  const train::Task& task = run_task(config, splits.train);
  check_fit(config, model, splits, task);
  const Normalization normalization =
      composed(image_normalization(config, model.input_shape[0]), normalization_of(model, splits.train));
  for (data::Dataset* set : {&splits.train, &splits.validation, &splits.test}) {
    set->normalization = normalization;
    if (!task.reads_labels) set->labels.clear();
  }
  splits.notes.insert(splits.notes.end(), model.notes.begin(), model.notes.end());
  return splits;
}

}  // namespace mixgrad
