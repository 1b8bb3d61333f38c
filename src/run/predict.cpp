// SPDX-License-Identifier: Apache-2.0
// Finds a network and images for it, and runs it batch by batch.
#include "file_names.h"
#include "float_network.h"
#include "origin.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/predict.h>
#include <mixgrad/run_folder.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

bool stands(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string name_of_images(const PredictOptions& o, const std::string& usual) {
  return !o.input.empty() ? o.input : o.data.empty() ? usual : o.data;
}

/// The images that were asked for; `usual`: where they come from if nothing was asked for, `as_usual`: how they are
/// read.
data::Dataset images_for(const PredictOptions& o, const std::string& usual, uint64_t seed, data::ReadOptions as_usual,
                         std::vector<std::string>& notes) {
  const std::string name = name_of_images(o, usual);
  if (name.empty())
    bad_input("predict: no images for {}: expected --data with a data set, or --input with an array or images",
              o.network);
  check_reading(o.settings, name, o.input.empty() ? data::source_of(name) : data::kind_of(name));
  const data::ReadOptions options = read_options(o.settings, std::move(as_usual));
  data::Splits splits = o.input.empty() ? data::load(name, seed, 0.1, options) : data::images_only(name, options);
  std::ranges::move(splits.notes, std::back_inserter(notes));
  return std::move(splits.test);
}

void describe_outputs(Prediction& p, const Graph& graph) {
  p.output = graph.output_shape();
  for (const GraphOutput& o : graph.outputs())
    p.parts.push_back({.name = o.name, .shape = graph.nodes[static_cast<size_t>(o.node)].shape});
}

void use_graph(Prediction& p, Graph graph) {
  p.batch_size = 4 * train::micro_batch_size(graph);  // without a backward pass
  describe_outputs(p, graph);
  const auto shared = std::make_shared<const Graph>(std::move(graph));
  p.run = [shared, binding = std::make_shared<const Binding>(shared->bind())](const Tensor& x) {
    return shared->run(*binding, x);
  };
}

void use_integers(Prediction& p, const Graph& discrete) {
  describe_outputs(p, discrete);
  const auto network = std::make_shared<const IntegerNetwork>(to_integer(discrete));
  p.batch_size = train::micro_batch_size(discrete);
  const auto engine = std::make_shared<const IntegerEngine>(*network, p.batch_size);
  p.run = [network, engine, size = p.batch_size](const Tensor& x) {
    const std::vector<uint8_t> codes = network->quantize(x);
    const int64_t images = x.dim(0);
    return network->real_outputs(images == size ? engine->run(codes) : IntegerEngine(*network, images).run(codes),
                                 images);
  };
}

/// A network that a run has found, or one saved on its own.
Prediction of_saved_graph(const PredictOptions& o, Graph graph, const Origin& origin) {
  if (!o.settings.normalize.empty() || !o.settings.input_scale.empty()) {
    bad_input("normalize: the network in {} has its own normalization: leave out --normalize and --input-scale",
              o.network);
  }
  Prediction p{.network = o.network, .images = {}, .output = {}, .notes = {}, .run = {}};
  const uint64_t seed = o.data.empty() ? origin.data_seed : o.settings.data_seed;
  p.images = images_for(o, origin.data, seed, read_options(origin, graph.input_shape()), p.notes);
  check_image_shape(p.images, name_of_images(o, origin.data), graph.input_shape(), "the network in " + o.network);
  p.images.normalization = graph.normalization;
  if (o.integer)
    use_integers(p, graph);
  else
    use_graph(p, std::move(graph));
  return p;
}

/// A float network: a model from a file, or float weights for a model.
Prediction of_model(const PredictOptions& o, RunConfig config) {
  if (o.integer)
    bad_input("integer: {} is a float network, without an integer form: expected the folder of a search", o.network);
  const int64_t outputs = outputs_of_init(config);
  models::Model model = make_model(config, outputs);
  Prediction p{.network = o.network, .images = {}, .output = {}, .notes = model.notes, .run = {}};
  p.images = images_for(o, "", config.data_seed, {.image_shape = model.input_shape, .fixed = !takes_any_shape(config)},
                        p.notes);
  if (!model.trained) model = make_model(config, outputs, p.images.image_shape());
  if (!config.init.empty()) nn::load_state(*model.net, config.init);
  check_image_shape(p.images, name_of_images(o, ""), model.input_shape, "model " + config.model);
  p.images.normalization = input_normalization(config, model, !p.images.pixels.empty());
  use_graph(p, simplified(*model.net, model.input_shape));
  return p;
}

Prediction of_file(const PredictOptions& o, const std::string& file) {
  RunConfig config = o.settings;
  if (!file.ends_with(".safetensors")) {
    models::check_name(file);
    if (!models::task_of(file).empty()) {
      bad_input("predict: {} is a network without weights: expected the weights, float.safetensors, with --model {}",
                file, file);
    }
    config.model = file;
    return of_model(o, config);
  }
  io::Safetensors content = io::read_safetensors(file);
  if (holds_graph(content)) return of_saved_graph(o, graph_from(std::move(content)), {});
  config.init = file;
  return of_model(o, config);
}

}  // namespace

std::string Prediction::image_name(int64_t i) const {
  return images.files.empty() ? std::to_string(i) : images.files[static_cast<size_t>(i)];
}

std::string Prediction::class_name(int64_t c) const {
  return images.classes() == output[0] ? images.class_names[static_cast<size_t>(c)] : std::to_string(c);
}

Prediction load_prediction(const PredictOptions& o) {
  if (!o.data.empty() && !o.input.empty()) bad_input("predict: --data and --input: set only one of them");
  std::error_code error;
  if (!fs::is_directory(o.network, error)) return of_file(o, o.network);
  const fs::path folder = o.network;
  if (!stands(folder / summary_name) && stands(folder / float_name)) return of_file(o, folder / float_name);
  const Origin origin = read_origin(folder);
  return of_saved_graph(o, load_graph(folder / network_name), origin);
}

bool each_output(const Prediction& p, const std::function<bool(int64_t first, const Tensor& outputs)>& use) {
  const data::Loader loader(p.images, {.batch_size = p.batch_size});
  const int64_t at_once = 4 * train::threads();
  for (int64_t first = 0; first < loader.batches(); first += at_once) {
    std::vector<Tensor> outputs(static_cast<size_t>(std::min(at_once, loader.batches() - first)));
    kernels::parallel_tasks(std::ssize(outputs),
                            [&](int64_t i) { outputs[static_cast<size_t>(i)] = p.run(loader.batch(first + i).x); });
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!use((first + static_cast<int64_t>(i)) * p.batch_size, outputs[i])) return false;
    }
  }
  return true;
}

train::Confusion empty_confusion(const Prediction& p) {
  if (p.parts.size() > 1)
    bad_input("confusion: {} has {} outputs: expected a network with one", p.network, p.parts.size());
  if (p.images.labels.empty()) {
    bad_input("confusion: the images have no labels to compare with: expected a data set with classes{}{}",
              p.images.unlabelled.empty() ? "" : ": ", p.images.unlabelled);
  }
  train::task_for(nullptr, "classify", p.images.known())
      .check({.images = p.images,
              .data = p.images.name,
              .input = p.images.image_shape(),
              .output = p.output,
              .network = p.network,
              .left_out = "",
              .notes = ""});
  return {p.output, p.images};
}

train::Decisions decisions(const Prediction& p, int64_t first, const Tensor& outputs) {
  const int64_t each = p.images.label_map.size();
  const auto begin = p.images.labels.begin() + first * each;
  return {.truth = {begin, begin + outputs.dim(0) * each}, .chosen = train::largest_scores(outputs)};
}

std::vector<int64_t> largest(std::span<const float> row, int64_t count) {
  std::vector<int64_t> order(row.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  count = std::min(count, std::ssize(row));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int64_t a, int64_t b) {
    const float va = row[static_cast<size_t>(a)], vb = row[static_cast<size_t>(b)];
    return va != vb ? va > vb : a < b;
  });
  order.resize(static_cast<size_t>(count));
  return order;
}

}  // namespace mixgrad
