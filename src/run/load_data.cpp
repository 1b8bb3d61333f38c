// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>
#include <mixgrad/models.h>
#include <mixgrad/run.h>

#include <fmt/ranges.h>

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

void check_fit(const RunConfig& config, const models::Model& model, const data::Splits& splits) {
  const data::Dataset& train = splits.train;
  const Shape is = train.image_shape(), &wanted = model.input_shape;
  if (is != wanted) {
    const bool channels_first = is == Shape{wanted[2], wanted[0], wanted[1]};  // read as height, width, channels
    bad_input("data: images of '{}' are {}, but model {} takes {}{}", config.data, is.str(), config.model, wanted.str(),
              channels_first ? ": store the channels last, x.transpose(0, 2, 3, 1)" : "");
  }
  if (model.reconstructs) return;
  if (model.output_shape.rank() == 3 && model.output_shape.size() != model.output_shape[0]) {
    bad_input(
        "data: '{}' has one label per image, but model {} returns images {}: end it with a global pool or a linear "
        "layer",
        config.data, config.model, model.output_shape.str());
  }
  if (train.labels.empty())
    bad_input("data: '{}' has no labels, but model {} is a classifier", config.data, config.model);
  if (model.trained && model.classes != train.classes()) {
    const std::string notes =
        splits.notes.empty() ? "" : fmt::format(" (of the data: {})", fmt::join(splits.notes, "; "));
    bad_input("data: '{}' has {} classes, but model {} returns {} values: expected one value per class{}", config.data,
              train.classes(), config.model, model.classes, notes);
  }
}

/// What the model's file does to images that the loader gives it: bytes come as 0 to 1.
Normalization normalization_of(const models::Model& model, const data::Dataset& images) {
  Normalization out = model.normalization;
  if (!model.pixels_to_255 || images.pixels.empty()) return out;
  for (std::vector<float>* values : {&out.mean, &out.std}) {
    for (float& v : *values) v /= 255;
  }
  return out;
}

}  // namespace

Normalization image_normalization(const RunConfig& config, int64_t channels) {
  const Normalization given = parse_normalization(config.normalize, channels);
  const std::string trained_with = normalization_of_init(config);
  if (trained_with.empty()) return given;
  const Normalization trained = parse_normalization(trained_with, channels);
  if (!given.empty() && given != trained) {
    bad_input("normalize: {} was trained on images normalized by {}, not by {}: leave --normalize out", config.init,
              trained_with, config.normalize);
  }
  return trained;
}

io::Safetensors float_weights(const FloatResult& result) {
  io::Safetensors content = nn::to_safetensors(*result.net);
  if (!result.normalize.empty()) content.metadata[normalize_key] = result.normalize;
  return content;
}

models::Model make_model(const RunConfig& config, int64_t classes) {
  models::Options options;
  if (!config.input_shape.empty())
    options.input_shape = Shape(std::vector<int64_t>(config.input_shape.begin(), config.input_shape.end()));
  return models::make(config.model, classes, options);
}

data::Splits load_data(const RunConfig& config) {
  const models::Model model = make_model(config, 1);
  data::Splits splits = data::load(config.data, config.seed, config.val_split, model.input_shape);
  check_fit(config, model, splits);
  const Normalization normalization =
      composed(image_normalization(config, model.input_shape[0]), normalization_of(model, splits.train));
  for (data::Dataset* set : {&splits.train, &splits.validation, &splits.test}) {
    set->normalization = normalization;
    if (model.reconstructs) set->labels.clear();
  }
  splits.notes.insert(splits.notes.end(), model.notes.begin(), model.notes.end());
  return splits;
}

}  // namespace mixgrad
