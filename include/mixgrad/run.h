// SPDX-License-Identifier: Apache-2.0
// A whole run: warm-up, search, export, fine-tuning, test. Reads data, writes nothing (report.h does).
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/graph.h>
#include <mixgrad/models.h>
#include <mixgrad/search.h>
#include <mixgrad/train.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mixgrad {

/// What `mixgrad search` can be told: every field is a flag, and a key of its configuration file, of the same name.
struct RunConfig {
  std::string model = "resnet8";      ///< a name that models::make knows
  std::vector<int> input_shape = {};  ///< C, H, W of the images, for a model's file that leaves them open
  std::string data = "glyphs";        ///< what data::load takes
  std::string loss = "";              ///< what to train for, a name that train::find_task knows; "": run_task says
  std::string normalize =
      "";                  ///< of the images, "MEAN/STD" (parse_normalization); "": the network's own, if it has one
  double val_split = 0.1;  ///< share of the training images held out for every choice
  std::string scheme = "per-channel";  ///< or "per-layer"
  std::vector<int> weight_bits = {2, 4, 8};
  std::vector<int> act_bits = {8};
  std::vector<int> input_bits = {8};
  std::string override_layers = "";     ///< "conv=8 fc=8/8 stack2.*=float" (parse_overrides)
  std::string method = "dnas";          ///< the search, or a baseline: uniform, sensitivity, random (baselines.h)
  std::string target = "";              ///< bounds on costs, "size=40KiB,macs=30%" (parse_targets)
  std::string regularizer = "";         ///< a name that cost::find knows, "": size; without targets
  std::optional<double> strength = {};  ///< without one, 0.6 / cost of the uniform 8-bit network; without targets
  bool refine = false;    ///< raise weights where that does not raise the regularizer's cost; without targets
  std::string init = "";  ///< weights to start from instead of a warm-up (nn::load_state)
  int warmup_epochs = 12, search_epochs = 8, finetune_epochs = 4;
  int64_t batch_size = 64;
  double lr = 0.15;       ///< of the warm-up, at its highest; search and fine-tuning take shares of it
  double arch_lr = 1e-2;  ///< of α
  double tau_start = 5, tau_end = 0.1;
  std::string tau_schedule = "geometric";  ///< from tau_start to tau_end; or "exp", the paper's τ ← τ exp(-0.045)
  std::string sampler = "softmax";         ///< or "gumbel"
  bool hard = false;                       ///< hard samples: one-hot θ with the gradient of the soft one
  std::string alpha_init = "scaled";       ///< α in proportion to the bits, or "same"
  std::string act_quantizer = "pact";      ///< a name that quant::find_activation knows
  std::string calibration = "mse";         ///< how clips start: or "max", "percentile=N" (parse_clip_rule)
  bool quantize_output = false;            ///< a quantizer on the network's output too
  double arch_split = 0;                   ///< share of the training images kept for α's own steps; 0: joint steps
  int patience = 0;                        ///< stop a phase after so many epochs without improvement; 0: never
  bool check_numerics = false;  ///< look for NaN and infinity in every op, not only in every step's gradients
  std::string dtype = "f32";    ///< of the search's activations: f32, bf16, or auto (bf16 where the CPU is fast at it)
  uint64_t seed = 0;
  int threads = 0;  ///< 0: as many as OpenMP finds

  /// Throws bad_input naming the field that can't be right.
  void validate() const;
};

/// "f32", "bf16" or "auto"; throws bad_input for any other, and for bf16 on a CPU that has no instructions for it.
DType parse_dtype(const std::string& name);

/// Throws bad_input unless `threads` is 0 (all) or a sensible number of threads.
void check_threads(int threads);

/// The name of the cost that a run lowers: its first target's, else the regularizer.
std::string cost_to_lower(const RunConfig& config);

/// What `config` asks of a search, without calibration batches; with targets, the first takes the regularizer's place.
MixPrecOptions mix_prec_options(const RunConfig& config, std::span<const Target> targets = {});

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
