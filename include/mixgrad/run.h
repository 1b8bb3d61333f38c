// SPDX-License-Identifier: Apache-2.0
// A whole run: warm-up, search, export, fine-tuning, test. Reads data, writes nothing (run_folder.h does).
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

/// The weight of the cost in the loss where no strength is given: every regularizer starts alike.
double default_strength(const Graph& floating, const cost::Model& regularizer);

/// The configured model; `classes` as for models::make.
models::Model make_model(const RunConfig& config, int64_t classes);

/// Of the images, before what the network's own file does to them: as config.normalize says, or as the weights in
/// config.init were trained. Throws bad_input where the two differ.
Normalization image_normalization(const RunConfig& config, int64_t channels);

/// What the network is trained for: as config.loss says; without it, as the weights in config.init were trained; else
/// what a built-in model is for; else what `images` ask for: classify where they have labels, reconstruct without.
const train::Task& run_task(const RunConfig& config, const data::Dataset& images);

/// The data for the configured model, normalized as it wants them, without labels if its task does not read them.
/// Throws bad_input when data, model and task don't fit.
data::Splits load_data(const RunConfig& config);

/// One cost model's count of three networks; nothing where the model has no cost of one of its layers.
struct CostReport {
  std::string name, unit;
  double found;
  std::optional<double> uniform8, floating;
};

/// A target and what the network found costs.
struct TargetReport {
  std::string name, unit;
  double limit, found;
};

struct RunResult {
  Graph network;  ///< exported and fine-tuned
  std::vector<LayerSummary> layers;
  std::vector<CostReport> costs;  ///< every built-in model that has a cost of the network found
  std::vector<TargetReport> targets;
  std::optional<Repair> repair;    ///< how the targets were met
  double strength = 0;             ///< 0 with targets
  std::vector<std::string> notes;  ///< what Observer::on_note was told
  bool kept_start = false;         ///< no epoch of fine-tuning was as good on the validation images as its start
  bool interrupted = false;        ///< the observer ended it before all epochs were done
  int threads = 0;
  int64_t test_images = 0;
  train::Score floating, searched, final;  ///< on the test set; searched: the discrete network before fine-tuning
  struct Seconds {
    double warmup = 0, search = 0, finetune = 0, total = 0;
  } seconds;
};

/// A float network after its warm-up.
struct FloatResult {
  std::unique_ptr<nn::Module> net;
  std::string normalize;  ///< of the images, kept in its file: as RunConfig::normalize, in numbers
  std::string task;       ///< that it was trained for, by its name; kept in its file
  train::Score test;      ///< on the test set
  bool kept_start =
      false;  ///< no epoch was as good on the validation images as the network that the model's file holds
  bool interrupted = false;
};

/// What float.safetensors holds: weights by name, and in the metadata how the images were normalized, and the task.
io::Safetensors float_weights(const FloatResult& result);
/// Of that, whatever the task.
std::string checksum(const FloatResult& result);

/// Throws bad_input for what data and network make impossible (a target out of reach, a candidate without a cost):
/// before an hour of training, not after. The runs share model and data.
void check_possible(std::span<const RunConfig> runs);

/// The warm-up alone.
FloatResult run_warm_up(const RunConfig& config, train::Observer& observer, train::Checkpoints* checkpoints = nullptr);

/// Validates `config`, reads the data and runs all phases. `observer` is told of every step and epoch. With
/// `checkpoints`, finished phases are not run again, and the one that was running goes on; what lies between phases is
/// computed anew.
RunResult run_search(const RunConfig& config, train::Observer& observer, train::Checkpoints* checkpoints = nullptr,
                     const Communicator* communicator = nullptr);

}  // namespace mixgrad
