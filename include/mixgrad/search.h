// SPDX-License-Identifier: Apache-2.0
// MixPrec: differentiable search of bit-widths (Risso et al. 2022, arXiv 2206.08852), under the names that users of
// PLiNIO know.
#pragma once

#include <mixgrad/cost.h>
#include <mixgrad/graph.h>
#include <mixgrad/nn.h>
#include <mixgrad/rng.h>
#include <mixgrad/state.h>
#include <mixgrad/tensor.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad {

/// One α vector for all weights of a layer, or one per output channel.
enum class MixPrecType { PER_LAYER, PER_CHANNEL };

enum class SamplerKind { SOFTMAX, GUMBEL };

struct SamplerOptions {
  SamplerKind kind = SamplerKind::SOFTMAX;
  bool hard = false;  ///< forward the one-hot of θ's arg max, with the gradient of the soft θ
  uint64_t seed = 0;  ///< of the Gumbel noise
};

/// θ = softmax(α / temperature), with Gumbel noise on α if configured (SPEC §1). Nodes that share a slot share its θ.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options), noise_(options.seed, "gumbel") {}

  Thetas operator()(const Graph& graph, double temperature);
  /// While on, every call returns the previous θ, without gradients for α.
  void disable_sampling(bool on) { frozen_ = on; }
  /// Lists the state that sampling changes, except the θ that disable_sampling keeps.
  void list_state(State& state) { state.add("noise", noise_.state()); }

 private:
  Tensor theta(const Tensor& alpha, const std::vector<int>& precisions, double temperature);

  SamplerOptions options_;
  Rng noise_;
  bool frozen_ = false;
  Thetas last_;
};

/// Initial α (SPEC §1): α_p = b_p / max(b), or all equal.
enum class AlphaInit { SCALED, SAME };

/// Settings for some layers only. `name` is the name of a layer or an Add, or a pattern with * and ?.
struct LayerOverride {
  std::string name;
  std::vector<int> weight_precisions = {};      ///< candidates; empty: the network's
  std::vector<int> activation_precisions = {};  ///< of the output's quantizer; empty: the network's
  std::shared_ptr<const WeightQuantizer> weight_quantizer = nullptr;  ///< null: the network's
  bool exclude = false;                                               ///< stays float, output included
};

/// How calibration sets the clip of an activation quantizer: the clip with the least squared error, one for each
/// bit-width, or a percentile of |x| (100: the maximum). Zeros are ignored: ReLUs and sparse features are full of them.
struct ClipRule {
  std::optional<double> percentile = {};  ///< unset: the least squared error
};
/// "max", "percentile=N" with N above 50, up to 100, or "mse"; throws bad_input for any other.
ClipRule parse_clip_rule(const std::string& text);

/// The cost that a search lowers: a model, or a name for cost::find, which throws bad_input for unknown names.
class Regularizer {
 public:
  Regularizer(cost::Model model) : model_(std::move(model)) {}
  Regularizer(const std::string& name) : model_(cost::find(name)) {}
  Regularizer(const char* name) : model_(cost::find(name)) {}

  const cost::Model& model() const { return model_; }

 private:
  cost::Model model_;
};

struct MixPrecOptions {
  Shape input_shape = {};                          ///< C, H, W
  std::vector<int> activation_precisions = {8};    ///< candidates, 2..8
  std::vector<int> weight_precisions = {2, 4, 8};  ///< candidates, 1..8; per channel also 0: the channel is pruned
  MixPrecType w_mixprec_type = MixPrecType::PER_LAYER;
  Regularizer regularizer = cost::size();
  std::vector<int> input_precisions = {8};  ///< candidates of the network's input
  double temperature = 1.0;                 ///< θ = softmax(α / temperature)
  std::vector<Tensor> calibration = {};     ///< batches that set the clips; without them, clips start at 6 (input: 1)
  ClipRule clips = {};                      ///< how the batches set them
  std::optional<ValueRange> input_range = {};            ///< of all images, if known (data::Dataset::known_range)
  std::function<void(const std::string&)> on_note = {};  ///< hears of clips that fit badly and of unpruned layers
  std::vector<std::string> exclude_names = {};           ///< layers that stay float, output included
  std::vector<LayerOverride> overrides = {};             ///< the first match applies
  SamplerOptions sampler = {};
  AlphaInit alpha_init = AlphaInit::SCALED;
  std::shared_ptr<const ActivationQuantizer> activation_quantizer = quant::find_activation("pact");  ///< or your own
  std::shared_ptr<const WeightQuantizer> weight_quantizer = quant::find_weight("minmax");            ///< or your own
  bool quantize_output = false;  ///< a quantizer on the network's output too
};

struct LayerSummary {
  std::string name;
  std::vector<int> weight_bits;  ///< per remaining output channel; empty for excluded layers
  int64_t pruned = 0;            ///< removed output channels
  std::optional<int> in_bits, out_bits;
  int64_t weights, macs;
  std::map<std::string, double> costs =
      {};  ///< what it adds to each cost that is a sum over layers, by the cost's name
};

/// A bound on one cost of the discrete network.
struct Target {
  cost::Model model;
  double limit;  ///< in the model's unit
};

struct ExportOptions {
  std::span<const Target> targets = {};
  bool refine = false;  ///< without targets: give weights more bits if that doesn't raise the regularizer's cost
};

class MixPrec {
 public:
  /// Traces `model`, folds its batch norms and places quantizers (SPEC §5). The model itself doesn't change.
  MixPrec(nn::Module& model, const MixPrecOptions& options);
  /// The same from a float graph.
  MixPrec(const Graph& graph, const MixPrecOptions& options);

  /// In training, runs the soft mixture; in evaluation, the discrete network (arg max, integer codes).
  Tensor forward(const Tensor& x);
  /// θ of one training step, for the network and its costs.
  Thetas sample() { return sampler_(graph_, temperature_); }
  /// The regularizer's cost at θ, a scalar on the tape, without the strength. Default θ: softmax(α / τ).
  Tensor get_regularization_loss(const Thetas& thetas) const;
  Tensor get_regularization_loss() const { return get_regularization_loss(graph_.softmax_thetas(temperature_)); }

  /// Bit-widths, weights and MACs of every layer at the arg max of α.
  std::vector<LayerSummary> arch_summary() const;
  /// Every α by the name of its layer ("stack1.conv1.alpha_w", "stack1.conv1.alpha_a").
  std::vector<nn::NamedTensor> alpha_summary() const;

  /// All of graph().parameters() but α: weights and biases, scales of weight quantizers, clips.
  std::vector<Tensor> net_parameters() const;
  /// Every α.
  std::vector<Tensor> nas_parameters() const;

  void train_nas_only() { set_trained(false, true); }
  void train_net_only() { set_trained(true, false); }
  void train_net_and_nas() { set_trained(true, true); }
  /// Keeps the last sampled θ; α gets no gradients.
  void disable_sampling(bool on = true) { sampler_.disable_sampling(on); }
  void train(bool on = true) { training_ = on; }
  void eval() { train(false); }

  void set_temperature(double temperature);
  double temperature() const { return temperature_; }
  const cost::Model& regularizer() const { return regularizer_; }
  double discrete_cost() const { return cost::discrete(graph_, regularizer_); }
  /// Mean entropy of θ over all α tensors (a layer, an activation) with more than one candidate, in nats.
  double mean_entropy() const;
  /// Lists everything that a search changes: weights, biases, clips, α and the noise generator.
  void list_state(State& state);

  /// The discrete network: fixed quantizers, pruned channels removed, parameters of its own. With targets, its costs
  /// meet them (meet_targets).
  Graph arch_export(const ExportOptions& options = {}) const;
  const Graph& graph() const { return graph_; }

 private:
  void set_trained(bool net, bool nas);

  Graph graph_;
  cost::Model regularizer_;
  Sampler sampler_;
  double temperature_;
  bool training_ = true;
};

/// "conv=8 fc=8/8 stack2.*=2,4:mse-odd stack3.conv1=float": weight bits, the name of a weight quantizer after a :,
/// output bits after a /, or float. Throws bad_input for any other form.
std::vector<LayerOverride> parse_overrides(const std::string& text);
/// The override that applies to a layer, or nullptr.
const LayerOverride* override_of(const MixPrecOptions& options, const std::string& name);
/// Throws bad_input naming an override or excluded name that matches no layer.
void check_names(const Graph& graph, const MixPrecOptions& options);

/// "size=40KiB,macs=30%": limits by cost name; % is a share of the network at uniform 8 bits, and memory may be in B,
/// KiB or MiB. `network` is a float graph. Throws bad_input for any other form.
std::vector<Target> parse_targets(const std::string& text, const Graph& network);
/// Σ over targets of max(0, cost / limit - 1) at the θ of a step, a scalar on the tape; 0 if all targets are met. The
/// loss of a constrained search adds it with a growing strength (Burrello et al. 2023, arXiv 2310.07217).
Tensor constraint_violation(const Graph& graph, std::span<const Target> targets, const Thetas& thetas);
/// Throws bad_input if no network of the candidates is found that meets all targets. The message gives the smallest
/// cost within reach (for peak-ram also the node and tensors that need it) or, if only all targets together can't be
/// met, the costs of the nearest network. Costs need not fall with the bits. src/search/reach.h says what is exact.
void check_reachable(const Graph& searched, std::span<const Target> targets);

/// A cost of the cheapest network within reach, and of that with the most bits, in the model's unit.
struct CostRange {
  double least, most;
};
CostRange cost_range(const Graph& searched, const cost::Model& model);

/// How networks that meet the targets are compared. Without a quality, the network from the arg max is chosen.
struct Judge {
  std::function<double(const Graph&)> quality = {};  ///< larger is better; in a run, on the validation images
  std::function<double(const Graph&)> loss = {};     ///< on some training images; measures the layers' sensitivities
};

/// How a discrete network was made to meet its targets.
struct Repair {
  /// The network it was made from: "the arg max", "whole layers" (α's means over their channels), "the sensitivities of
  /// layers" or "uniform 4-bit weights, 8-bit activations".
  std::string start;
  int64_t choices = 0, moved = 0;  ///< channels, layers and tensors with a choice; those that left their arg max
  std::optional<double> quality_at_arg_max = {}, quality = {};  ///< by Judge::quality
  struct Cost {
    std::string name;
    double largest, arg_max, found, limit;  ///< largest: with every choice at its most bits
    /// The part of the saving, from the largest network to the one found, that was made after the arg max.
    double share() const;
  };
  std::vector<Cost> costs = {};  ///< by target
};
/// As JSON, in the form used by summary.json and checkpoints. Throws bad_input for any other text.
std::string to_json(const Repair& repair);
Repair repair_from_json(const std::string& text);

struct MetTargets {
  Graph network;  ///< discrete; parameters stay shared with the search
  Repair repair;
};
/// A discrete network of a search that meets every target. Starting from the arg max of α, bit-widths change where that
/// gives up the least α for the cost it saves, one by one or in groups that pay only together (a tile, a layer), until
/// all targets hold. Then bit-widths rise wherever the targets allow it, least loss of α first: the budget is used, and
/// whatever no target counts gets its most bits. If α leads to no such network, one found by check_reachable is moved
/// towards α instead. With a judge, the network competes with and without the bits raised at the end, and with networks
/// from other starts (Repair::start); the best by `quality` wins, the first on ties. So no uniform network of the
/// candidates that meets the targets is better. Throws like check_reachable.
MetTargets meet_targets(const Graph& searched, std::span<const Target> targets, const Judge& judge = {});
/// The discrete network of a search, with more bits for weights wherever that doesn't raise the cost (partly filled
/// tiles, bit-widths that cost the same), least loss of α first. Activations stay at their arg max.
Graph refine(const Graph& searched, const cost::Model& model);

/// A discrete graph with its pruned channels removed and parameters of its own.
Graph exported(const Graph& discrete);
MetTargets exported(MetTargets met);

// --- baselines for a search ----------------------------------------------------------------------------------------

// Each meets the targets; Repair says from which start.

/// All weights at one bit-width and all activations at one. Among the pairs that meet the targets and are not dominated
/// by one with more bits in both, the best by `quality`, or without it the one with the most weight bits. Skips
/// bit-widths for which a target has no cost. Throws bad_input with the smallest cost of these networks if none meets
/// the targets.
MetTargets uniform_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets,
                            const std::function<double(const Graph&)>& quality = {});
/// Throws like uniform_baseline.
void check_uniform(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets);
/// Measures per layer how much each candidate alone adds to the loss, with everything else at its most bits, and solves
/// a knapsack over these (meet_targets). `loss`: of a discrete graph on some images.
MetTargets sensitivity_baseline(const Graph& floating, MixPrecOptions options, std::span<const Target> targets,
                                const std::function<double(const Graph&)>& loss);
/// α uniform at random, then meet_targets.
MetTargets random_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets,
                           uint64_t seed);

/// The same as arch_summary(), for a discrete graph. Pruned channels are those of `original` that it lacks.
std::vector<LayerSummary> summarize(const Graph& graph, const Graph& original);

/// Traces, folds batch norms and fuses ReLUs: the float graph that a search starts from.
Graph simplified(nn::Module& model, const Shape& input_shape);

/// Gives every layer and every tensor its slot (SPEC §5).
void place_quantizers(Graph& graph, const MixPrecOptions& options);

/// Sets the clips of all activation slots from the float network's values on the calibration batches (SPEC §3). An
/// input of known range gets a clip that covers it, which is not learned at a single precision; other clips are learned
/// unless below 0.01. Reports to on_note each tensor that its largest candidate fits badly: more than 1% of the values
/// saturate, more than 10% of Σx² is cut off, or the values use fewer than 4 codes and fewer than half of all codes,
/// although there are more distinct values. Throws bad_input if a value is NaN or infinite.
void calibrate(Graph& graph, const MixPrecOptions& options);

}  // namespace mixgrad
