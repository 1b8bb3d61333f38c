// SPDX-License-Identifier: Apache-2.0
// A whole run: warm-up, search, export, fine-tuning, test. It reads data but writes nothing; run_folder.h does.
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/models.h>
#include <mixgrad/run_config.h>
#include <mixgrad/search.h>
#include <mixgrad/train.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mixgrad {

/// The weight of the cost in the loss if no strength is given: it makes all regularizers start with the same loss.
double default_strength(const Graph& floating, const cost::Model& regularizer);

/// The configured model; `classes` as for models::make.
models::Model make_model(const RunConfig& config, int64_t classes);
/// The same for images of this shape: a built-in model takes it unless config.input_shape gives it another.
models::Model make_model(const RunConfig& config, int64_t classes, const Shape& image_shape);
/// The configured model for these images, with as many outputs as they have classes or targets or, if neither is known,
/// as the weights in config.init are for.
models::Model make_model(const RunConfig& config, const data::Dataset& images);

/// How images are normalized before any normalization in the network's own file: by config.input_scale and
/// config.normalize, or as for the weights in config.init. Throws bad_input if the two differ.
Normalization image_normalization(const RunConfig& config, int64_t channels);
/// The same with the normalization in the model's file, for images of bytes, which the loader scales to 0 to 1, or of
/// other values, which it leaves. Throws bad_input if nothing tells the range of pixels.
Normalization input_normalization(const RunConfig& config, const models::Model& model, bool of_bytes);

/// The task, from the first of these that is set: config.loss, the task of the weights in config.init, the task of a
/// built-in model, the default for what is known about `images` (train::task_for). One that imitates still needs its
/// teacher.
const train::Task& run_task(const RunConfig& config, const data::Dataset& images);

/// The task of search and fine-tuning: run_task, with `floating` as its teacher if it imitates one.
train::Task task_for_search(const RunConfig& config, const Graph& floating, const data::Dataset& images);

/// What the configured float network itself was trained for, as far as is known: the task of the weights in config.init
/// or of a built-in model; else "".
std::string task_of_float(const RunConfig& config);

/// The data for the configured model, normalized for it, without labels or targets if its task does not read them.
/// `observer` is told of images read. Throws bad_input if data, model and task do not fit together.
data::Splits load_data(const RunConfig& config, train::Observer* observer = nullptr);

/// One cost of three networks; nothing if the cost model does not support one of the layers.
struct CostReport {
  std::string name, unit;
  double found;
  std::optional<double> uniform8, floating;
};

/// A target and the cost of the network found.
struct TargetReport {
  std::string name, unit;
  double limit, found;
};

struct RunResult {
  Graph network;  ///< exported and fine-tuned
  std::vector<LayerSummary> layers;
  std::vector<CostReport> costs;  ///< all built-in cost models that support the network found
  std::vector<TargetReport> targets;
  std::optional<Repair> repair;    ///< how the targets were met
  double strength = 0;             ///< 0 with targets
  std::vector<std::string> notes;  ///< as passed to Observer::on_note
  bool kept_start = false;         ///< no epoch of fine-tuning was as good on the validation images as the start
  bool interrupted = false;        ///< the observer stopped it before the last epoch
  int threads = 0;
  int64_t test_images = 0;
  train::Score floating, searched, final;  ///< on the test set; searched: the discrete network before fine-tuning
  train::Confusion floating_confusion = {}, confusion = {};  ///< of the float network and of the one found, on the test
                                                             ///< set; empty if the task is not about classes
  std::shared_ptr<const train::Teacher> teacher = {};        ///< if the task is to imitate it
  struct Seconds {
    double warmup = 0, search = 0, finetune = 0, total = 0;
  } seconds;
};

/// A float network after its warm-up.
struct FloatResult {
  std::unique_ptr<nn::Module> net;
  std::string normalize;    ///< of the images, as RunConfig::normalize but in numbers; stored in its file
  std::string task;         ///< name of the task that it was trained for; stored in its file
  train::Score test;        ///< on the test set
  bool kept_start = false;  ///< no epoch was as good on the validation images as the network in the model's file
  bool interrupted = false;
};

/// The content of float.safetensors: weights by name, and the images' normalization and the task in the metadata.
io::Safetensors float_weights(const FloatResult& result);
/// Checksum of that content, apart from the task.
std::string checksum(const FloatResult& result);

/// Throws bad_input if data and network make a run impossible (a target out of reach, a candidate without a cost), so
/// that this shows before an hour of training and not after. The runs share model and data.
void check_possible(std::span<const RunConfig> runs);

/// Runs the warm-up alone.
FloatResult run_warm_up(const RunConfig& config, train::Observer& observer, train::Checkpoints* checkpoints = nullptr);

/// Validates `config`, reads the data and runs all phases. `observer` is notified of every step and epoch. With
/// `checkpoints`, finished phases are skipped, the phase that was running resumes, and whatever is done between phases
/// is computed again.
RunResult run_search(const RunConfig& config, train::Observer& observer, train::Checkpoints* checkpoints = nullptr,
                     const Communicator* communicator = nullptr);

}  // namespace mixgrad
