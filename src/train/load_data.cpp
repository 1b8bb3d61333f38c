// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/run.h>

namespace mixgrad {
namespace {

constexpr const char* normalize_key = "normalize";  // in the metadata of float weights

/// Of the weights that the run starts from, as they were trained.
std::string normalization_of_init(const RunConfig& config) {
  if (config.init.empty()) return "";
  const io::Safetensors weights = io::read_safetensors(config.init);
  const auto found = weights.metadata.find(normalize_key);
  return found == weights.metadata.end() ? "" : found->second;
}

void check_fit(const RunConfig& config, const models::Model& model, const data::Dataset& train) {
  if (train.image_shape() != model.input_shape) {
    bad_input("data: images of '{}' are {}, but model {} takes {}", config.data, train.image_shape().str(), config.model,
              model.input_shape.str());
  }
  if (model.reconstructs) return;
  if (train.labels.empty()) bad_input("data: '{}' has no labels, but model {} is a classifier", config.data, config.model);
  if (model.trained && model.classes != train.classes()) {
    bad_input("data: '{}' has {} classes, but model {} returns {} values: expected one value per class", config.data, train.classes(),
              config.model, model.classes);
  }
}

}  // namespace

Normalization image_normalization(const RunConfig& config, int64_t channels) {
  const Normalization given = parse_normalization(config.normalize, channels);
  const std::string trained_with = normalization_of_init(config);
  if (trained_with.empty()) return given;
  const Normalization trained = parse_normalization(trained_with, channels);
  if (!given.empty() && given != trained) {
    bad_input("normalize: {} was trained on images normalized by {}, not by {}: leave --normalize out", config.init, trained_with,
              config.normalize);
  }
  return trained;
}

io::Safetensors float_weights(const FloatResult& result) {
  io::Safetensors content = nn::to_safetensors(*result.net);
  if (!result.normalize.empty()) content.metadata[normalize_key] = result.normalize;
  return content;
}

data::Splits load_data(const RunConfig& config) {
  const models::Model model = models::make(config.model, 1);
  data::Splits splits = data::load(config.data, config.seed, config.val_split, model.input_shape);
  check_fit(config, model, splits.train);
  const Normalization normalization = composed(image_normalization(config, model.input_shape[0]), model.normalization);
  for (data::Dataset* set : {&splits.train, &splits.validation, &splits.test}) {
    set->normalization = normalization;
    if (model.reconstructs) set->labels.clear();
  }
  splits.notes.insert(splits.notes.end(), model.notes.begin(), model.notes.end());
  return splits;
}

}  // namespace mixgrad
