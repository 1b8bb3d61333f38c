// SPDX-License-Identifier: Apache-2.0
// The configuration of a run, and what follows from it. For how users write it, see settings.h.
#pragma once

#include <mixgrad/data.h>
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mixgrad {

/// How long to train (set_effort).
enum class Effort { quick, normal, thorough };
/// How bit-widths are found: by a search, with measured (fisher.h) or learned α, or by a baseline (search.h).
enum class Method { fisher, dnas, uniform, sensitivity, random };
/// Whether the method trains while it chooses; baselines only fine-tune.
constexpr bool is_search(Method method) { return method == Method::fisher || method == Method::dnas; }
/// From tau_start to tau_end by a constant factor per epoch, or the paper's τ ← τ exp(-0.045).
enum class TauSchedule { geometric, exponential };
/// The type of activations between layers in search and fine-tuning; automatic: bfloat16 if the CPU has fast
/// instructions for it.
enum class ActivationType { float32, bfloat16, automatic };
/// Random changes to training images; automatic: those that suit the data (data::Splits::augmentation). Shifts and
/// enlarged parts are mirrored too, if that suits the data.
enum class Augment { automatic, none, shift, enlarge };
/// The kind of training step to time or inspect: of the search, of fine-tuning or of the warm-up.
enum class StepKind { search, fine_tune, warm_up };

/// How the steps of weights are found (SPEC §2, §2a): from the largest weight, by the least squared error, or learned.
enum class WeightSteps { minmax, mse, lsq };
/// The grid of learned and least-squares steps (SPEC §2a).
enum class WeightGrid { twos_complement, symmetric, odd };

/// A value of an enum and its name for users.
template <typename Enum>
struct Named {
  Enum value;
  const char* name;
};

// The names of all enum values that users can choose, in the order of the help text.
constexpr auto names_of(MixPrecType) {
  return std::to_array<Named<MixPrecType>>(
      {{MixPrecType::PER_LAYER, "per-layer"}, {MixPrecType::PER_CHANNEL, "per-channel"}});
}
constexpr auto names_of(Method) {
  return std::to_array<Named<Method>>({{Method::fisher, "fisher"},
                                       {Method::dnas, "dnas"},
                                       {Method::uniform, "uniform"},
                                       {Method::sensitivity, "sensitivity"},
                                       {Method::random, "random"}});
}
constexpr auto names_of(TauSchedule) {
  return std::to_array<Named<TauSchedule>>({{TauSchedule::geometric, "geometric"}, {TauSchedule::exponential, "exp"}});
}
constexpr auto names_of(Effort) {
  return std::to_array<Named<Effort>>(
      {{Effort::quick, "quick"}, {Effort::normal, "normal"}, {Effort::thorough, "thorough"}});
}
constexpr auto names_of(SamplerKind) {
  return std::to_array<Named<SamplerKind>>({{SamplerKind::SOFTMAX, "softmax"}, {SamplerKind::GUMBEL, "gumbel"}});
}
constexpr auto names_of(AlphaInit) {
  return std::to_array<Named<AlphaInit>>({{AlphaInit::SCALED, "scaled"}, {AlphaInit::SAME, "same"}});
}
constexpr auto names_of(WeightSteps) {
  return std::to_array<Named<WeightSteps>>(
      {{WeightSteps::minmax, "minmax"}, {WeightSteps::mse, "mse"}, {WeightSteps::lsq, "lsq"}});
}
constexpr auto names_of(WeightGrid) {
  return std::to_array<Named<WeightGrid>>(
      {{WeightGrid::twos_complement, "signed"}, {WeightGrid::symmetric, "symmetric"}, {WeightGrid::odd, "odd"}});
}
constexpr auto names_of(ActivationType) {
  return std::to_array<Named<ActivationType>>(
      {{ActivationType::float32, "f32"}, {ActivationType::bfloat16, "bf16"}, {ActivationType::automatic, "auto"}});
}
constexpr auto names_of(data::Layout) {
  return std::to_array<Named<data::Layout>>(
      {{data::Layout::automatic, "auto"}, {data::Layout::nchw, "nchw"}, {data::Layout::nhwc, "nhwc"}});
}
constexpr auto names_of(Augment) {
  return std::to_array<Named<Augment>>({{Augment::automatic, "auto"},
                                        {Augment::none, "none"},
                                        {Augment::shift, "shift"},
                                        {Augment::enlarge, "enlarge"}});
}
constexpr auto names_of(StepKind) {
  return std::to_array<Named<StepKind>>(
      {{StepKind::search, "search"}, {StepKind::fine_tune, "finetune"}, {StepKind::warm_up, "float"}});
}

template <typename Enum>
const char* name_of(Enum value) {
  for (const Named<Enum>& named : names_of(value)) {
    if (named.value == value) return named.name;
  }
  bad_input("{} is not a value of its enum: expected one that has a name", static_cast<int>(value));
}

/// The value with this name, if there is one.
template <typename Enum>
std::optional<Enum> find_by_name(std::string_view name) {
  for (const Named<Enum>& named : names_of(Enum{})) {
    if (named.name == name) return named.value;
  }
  return std::nullopt;
}

/// The settings of a run. Each field has a row in the table of settings (src/run/settings.cpp).
struct RunConfig {
  std::string model = "resnet8";      ///< a name that models::make knows
  std::vector<int> input_shape = {};  ///< C, H, W of the images, where the model leaves them open; {}: the data's
  std::string data = "glyphs";        ///< what data::load takes
  std::string image_size = "";  ///< of a folder's images, "H" or "HxW"; "": the network's, or theirs if all have one
  data::Layout layout = data::Layout::automatic;  ///< of arrays of images
  bool skip_unreadable = false;                   ///< go on without image files that can't be read
  Augment augment = Augment::automatic;
  int max_shift = data::Augmentation::usual_crop;  ///< pixels, where training images are shifted
  std::string loss = "";                           ///< the task, a name that train::find_task knows; "": see run_task
  std::string input_scale = "";  ///< range of pixels, "0..255" (parse_input_scale); "": the network file's, or 0..1
  std::string normalize = "";    ///< of the images, "MEAN/STD" (parse_normalization); "": the network's, if it has one
  double val_split = 0.1;        ///< share of the training images held out for validation
  uint64_t data_seed = 0;  ///< of that choice, and of drawn digits; apart from `seed`, so that runs with different
                           ///< seeds share one float network without validating on images that it was trained on
  MixPrecType scheme = MixPrecType::PER_CHANNEL;
  std::vector<int> weight_bits = {2, 4, 8};
  std::vector<int> act_bits = {8};
  std::vector<int> input_bits = {8};
  std::string override_layers = "";  ///< "conv=8 fc=8/8 stack2.*=float" (parse_overrides)
  Method method = Method::fisher;
  std::string target = "";                    ///< bounds on costs, "size=40KiB,macs=30%" (parse_targets)
  std::string regularizer = "";               ///< a name that cost::find knows; "": size; used without targets
  std::string from_front = "";                ///< folder of a front to pick the network from, instead of a search
  std::vector<std::string> costs = {"size"};  ///< of a front: those along which its networks lie
  double least_cost = 0.1;              ///< of a front: its smallest budget of each cost, as a share of the most bits
  std::optional<double> strength = {};  ///< unset: 0.6 / cost of the uniform 8-bit network; used without targets
  bool refine = false;    ///< raise weights' bits if the regularizer's cost does not grow; used without targets
  std::string init = "";  ///< weights to start from instead of a warm-up (nn::load_state)
  int warmup_epochs = 12, search_epochs = 4, finetune_epochs = 8;
  int64_t batch_size = 64;
  double distill = 0;          ///< share of the float network's outputs in the loss of search and fine-tuning
  double lr = 0.15;            ///< peak learning rate of the warm-up (SGD)
  double search_lr = 2e-3;     ///< of search and fine-tuning (Adam), which share one cosine: a new rise would undo much
  double weight_decay = 2e-4;  ///< of weights in the warm-up
  double arch_lr = 1e-2;       ///< of α
  double tau_start = 5, tau_end = 0.1;
  TauSchedule tau_schedule = TauSchedule::geometric;
  SamplerKind sampler = SamplerKind::SOFTMAX;
  bool hard = false;  ///< hard samples: one-hot θ with the gradient of the soft θ
  AlphaInit alpha_init = AlphaInit::SCALED;
  WeightSteps weight_quantizer = WeightSteps::lsq;
  WeightGrid weight_grid = WeightGrid::odd;  ///< ignored by minmax
  std::string act_quantizer = "pact";        ///< a name that quant::find_activation knows
  std::string calibration = "mse";           ///< initial clips: this, "max" or "percentile=N" (parse_clip_rule)
  bool quantize_output = false;              ///< put a quantizer on the network's output too
  double arch_split = 0;                     ///< share of the training images for separate steps of α; 0: joint steps
  int patience = 0;                          ///< stop a phase after this many epochs without improvement; 0: never
  bool check_numerics = false;               ///< check every op for NaN and infinity, not only every step's gradients
  ActivationType dtype = ActivationType::float32;
  uint64_t seed = 0;
  int threads = 0;  ///< 0: OpenMP's default

  /// Throws bad_input naming an invalid setting.
  void validate() const;
};

/// Sets the epochs of all phases, and the warm-up's learning rate and weight decay, to values that go together.
void set_effort(RunConfig& config, Effort effort);
/// The same for a front: it takes about as long as two searches.
void set_front_effort(RunConfig& config, Effort effort);

/// Height and width in "H" or "HxW". Throws bad_input if `text` has another form.
std::array<int64_t, 2> parse_image_size(const std::string& text);

/// Throws bad_input unless `data`, read as this source (data::source_of), have what the settings on reading choose.
void check_reading(const RunConfig& config, const std::string& data, const std::string& source);

/// The quantizer with these steps and, unless they are min-max, this grid.
std::shared_ptr<const WeightQuantizer> weight_quantizer(WeightSteps steps, WeightGrid grid);

/// Throws bad_input for bfloat16 on a CPU without instructions for it.
DType dtype_of(ActivationType type);

/// Throws bad_input unless `threads` is 0 (all) or a sensible number of threads.
void check_threads(int threads);

/// How the run finds bit-widths, in a word: its method or, from a front, "front" or "front-sensitivity".
std::string method_name(const RunConfig& config);

/// The name of the cost that a run minimizes: that of its first target, else the regularizer's.
std::string cost_to_lower(const RunConfig& config);
/// The model of that cost. `targets`: those of `config`.
cost::Model model_to_lower(const RunConfig& config, std::span<const Target> targets);

/// The search options of `config`, without calibration batches; with targets, the first one's cost is the regularizer.
MixPrecOptions mix_prec_options(const RunConfig& config, std::span<const Target> targets = {});

}  // namespace mixgrad
