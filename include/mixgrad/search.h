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

/// θ = softmax(α / temperature), of α with Gumbel noise where asked for (SPEC §1). One θ for all holders of a slot.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options), noise_(options.seed, "gumbel") {}

  Thetas operator()(const Graph& graph, double temperature);
  /// While on, every call gives the θ of the last one before, without gradients for α.
  void disable_sampling(bool on) { frozen_ = on; }
  /// Lists what a sample changes, apart from what disable_sampling keeps.
  void list_state(State& state) { state.add("noise", noise_.state()); }

 private:
  Tensor theta(const Tensor& alpha, const std::vector<int>& precisions, double temperature);

  SamplerOptions options_;
  Rng noise_;
  bool frozen_ = false;
  Thetas last_;
};

/// α at the beginning (SPEC §1): α_p = b_p / max(b), or all equal.
enum class AlphaInit { SCALED, SAME };

/// What is different for some layers. `name` is a layer's (or an Add's), or a pattern with * and ?.
struct LayerOverride {
  std::string name;
  std::vector<int> weight_precisions = {};      ///< candidates; empty: the network's
  std::vector<int> activation_precisions = {};  ///< of the output's quantizer; empty: the network's
  bool exclude = false;                         ///< stays float, output included
};

/// How calibration sets the clip of an activation's quantizer: the clip of the least squared error, a different one
/// for each bit-width; or a percentile of |x| (100: the maximum). Zeros are not counted: ReLUs and sparse features
/// are full of them.
struct ClipRule {
  std::optional<double> percentile = {};  ///< empty: the least squared error
};
/// "max", "percentile=N" with N above 50, up to 100, or "mse"; throws bad_input for any other.
ClipRule parse_clip_rule(const std::string& text);

/// The cost that a search lowers: a model, or the name of one that cost::find knows (it throws bad_input for others).
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
  std::vector<int> weight_precisions = {2, 4, 8};  ///< candidates, 2..8; per channel also 0: the channel is pruned
  MixPrecType w_mixprec_type = MixPrecType::PER_LAYER;
  Regularizer regularizer = cost::size();
  std::vector<int> input_precisions = {8};     ///< candidates of the network's input
  double temperature = 1.0;                    ///< θ = softmax(α / temperature)
  std::vector<Tensor> calibration = {};        ///< batches that set the clips; without any, clips start at 6 (input: 1)
  ClipRule clips = {};                         ///< how the batches set them
  std::optional<ValueRange> input_range = {};  ///< of all images, where it is known (data::Dataset::known_range)
  std::function<void(const std::string&)> on_note = {};  ///< told of clips that fit badly, a sentence each
  std::vector<std::string> exclude_names = {};           ///< layers that stay float, output included
  std::vector<LayerOverride> overrides = {};             ///< the first that fits a layer holds
  SamplerOptions sampler = {};
  AlphaInit alpha_init = AlphaInit::SCALED;
  std::shared_ptr<const ActivationQuantizer> activation_quantizer = quant::find_activation("pact");  ///< or your own
  std::shared_ptr<const WeightQuantizer> weight_quantizer = quant::find_weight("minmax");            ///< or your own
  bool quantize_output = false;  ///< a quantizer on the network's output too
};

struct LayerSummary {
  std::string name;
  std::vector<int> weight_bits;  ///< one per output channel that is left; empty where excluded
  int64_t pruned = 0;            ///< output channels that were removed
  std::optional<int> in_bits, out_bits;
  int64_t weights, macs;
};

/// A bound on one cost of the discrete network.
struct Target {
  cost::Model model;
  double limit;  ///< in the model's unit
};

struct ExportOptions {
  std::span<const Target> targets = {};
  bool refine = false;  ///< without targets: raise weights where that does not raise the regularizer's cost
};

class MixPrec {
 public:
  /// Traces `model`, folds its batch norms and places quantizers (SPEC §5). The model itself is left as it is.
  MixPrec(nn::Module& model, const MixPrecOptions& options);
  /// The same from a float graph.
  MixPrec(const Graph& graph, const MixPrecOptions& options);

  /// In training the soft mixture, in evaluation the discrete network (arg max, integer codes).
  Tensor forward(const Tensor& x);
  /// θ of one training step, for the network and its costs.
  Thetas sample() { return sampler_(graph_, temperature_); }
  /// The cost of the regularizer at θ, a scalar on the tape; multiply by the strength. Without θ: of softmax(α / τ).
  Tensor get_regularization_loss(const Thetas& thetas) const;
  Tensor get_regularization_loss() const { return get_regularization_loss(graph_.softmax_thetas(temperature_)); }

  /// Bit-widths, weights and MACs of every layer, by the arg max of α.
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
  /// θ stays as it was sampled last; α gets no gradients.
  void disable_sampling(bool on = true) { sampler_.disable_sampling(on); }
  void train(bool on = true) { training_ = on; }
  void eval() { train(false); }

  void set_temperature(double temperature);
  double temperature() const { return temperature_; }
  const cost::Model& regularizer() const { return regularizer_; }
  double discrete_cost() const { return cost::discrete(graph_, regularizer_); }
  /// Mean entropy of θ over all α tensors (a layer, an activation) with more than one candidate, in nats.
  double mean_entropy() const;
  /// Lists everything that a search changes: weights, biases, clips, α, the noise.
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

/// "conv=8 fc=8/8 stack2.*=2,4 stack3.conv1=float": weight bits, behind / the output's; or float. Throws bad_input
/// where a part is not of this form.
std::vector<LayerOverride> parse_overrides(const std::string& text);
/// The override that holds for a layer, or nullptr.
const LayerOverride* override_of(const MixPrecOptions& options, const std::string& name);
/// Throws bad_input naming an override, or an excluded name, that fits no layer.
void check_names(const Graph& graph, const MixPrecOptions& options);

/// "size=40KiB,macs=30%": bounds by cost name, a share with % meaning that of the network at uniform 8 bits, size also
/// in B, KiB or MiB. `network` is a float graph. Throws bad_input where a part is not of this form.
std::vector<Target> parse_targets(const std::string& text, const Graph& network);
/// Σ over targets of max(0, cost / limit - 1) at the θ of a step, a scalar on the tape: 0 where all hold. Times a
/// strength that grows it is what steers a search under constraints (Burrello et al. 2023, arXiv 2310.07217).
Tensor constraint_violation(const Graph& graph, std::span<const Target> targets, const Thetas& thetas);
/// Throws bad_input where no network of the candidates is found within all targets: with the smallest cost that they
/// reach, for peak-ram also the node and the tensors that need it; or, where each target can be met but not all at
/// once, with what the nearest network costs. Costs need not fall with the bits. What is exact: src/search/reach.h.
void check_reachable(const Graph& searched, std::span<const Target> targets);
/// What networks that meet the targets are compared by. Without it, the one from the arg max is taken.
struct Judge {
  std::function<double(const Graph&)> quality = {};  ///< larger is better: a run's, on its validation images
  std::function<double(const Graph&)> loss = {};     ///< on some training images; for the start at sensitivities
};

/// How a discrete network came to meet its targets.
struct Repair {
  /// What it was made from: "the arg max", "whole layers" (α's means over their channels), "the sensitivities of
  /// layers" or "uniform 4-bit weights, 8-bit activations".
  std::string start;
  int64_t choices = 0, moved = 0;  ///< channels, layers and tensors that choose; those that ended beside their arg max
  std::optional<double> quality_at_arg_max = {}, quality = {};  ///< by Judge::quality
  struct Cost {
    std::string name;
    double largest, arg_max, found, limit;  ///< largest: with every choice at its most bits
    /// Of what was saved between the largest network and the one found, the share that is not the arg max's doing.
    double share() const;
  };
  std::vector<Cost> costs = {};  ///< by target
};
/// As JSON, in the form that summary.json and checkpoints hold. Throws bad_input for what is none.
std::string to_json(const Repair& repair);
Repair repair_from_json(const std::string& text);

struct MetTargets {
  Graph network;  ///< discrete; parameters stay shared with the search
  Repair repair;
};
/// A discrete network of a search within every target. From the arg max of α, bit-widths are changed where that gives
/// up least of α for the cost it saves, one by one or as many as pay together (a tile's worth, a layer), until all
/// targets hold; then raised wherever they still fit, least loss of α first, so that the budget is used and what no
/// target counts has its most bits. Where α leads to no such network, from one that check_reachable knows back towards
/// α. With a judge, networks made from other starts (Repair::start) are its rivals, and the best by `quality` is taken,
/// the first where equal: no uniform network of the candidates within the targets is better. Throws what
/// check_reachable throws.
MetTargets meet_targets(const Graph& searched, std::span<const Target> targets, const Judge& judge = {});
/// The discrete network of a search, its weights raised to more bits wherever the cost does not exceed what it was
/// (partly filled tiles, widths that cost no less), least loss of α first; activations stay where α has them.
Graph refine(const Graph& searched, const cost::Model& model);

/// A discrete graph with its pruned channels removed and parameters of its own.
Graph exported(const Graph& discrete);
MetTargets exported(MetTargets met);

// --- what a search is compared with ----------------------------------------------------------------------------

// Each meets the targets; Repair tells where from.

/// Every layer's weights at one of the candidates and every activation at one, each chosen apart: of the pairs within
/// the targets to which no other has more bits in both, the best by `quality`, or without one that with most weight
/// bits. Bit-widths of which a target has no cost are passed over. Throws bad_input with the smallest cost among these
/// networks where none meets the targets.
MetTargets uniform_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets,
                            const std::function<double(const Graph&)>& quality = {});
/// Throws what uniform_baseline would.
void check_uniform(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets);
/// Layer by layer: what each candidate alone adds to the loss when all else has its largest; a knapsack over these
/// (meet_targets) decides. `loss` of a discrete graph on some images.
MetTargets sensitivity_baseline(const Graph& floating, MixPrecOptions options, std::span<const Target> targets,
                                const std::function<double(const Graph&)>& loss);
/// α uniform at random, then meet_targets.
MetTargets random_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets,
                           uint64_t seed);

/// What arch_summary() says, of a discrete graph. Pruned channels are those that it has lost
/// since it was `original`.
std::vector<LayerSummary> summarize(const Graph& graph, const Graph& original);

/// Traces, folds batch norms and fuses ReLUs: the float graph that a search starts from. `still_trained`: refuses too
/// what further training could make impossible (fold_batch_norm).
Graph simplified(nn::Module& model, const Shape& input_shape, bool still_trained = false);

/// Gives every layer and every tensor its slot (SPEC §5).
void place_quantizers(Graph& graph, const MixPrecOptions& options);

/// Fills the clips of all activation slots from what the float network does on the calibration batches (SPEC §3). An
/// input of known range gets a clip that covers it, not learned at one precision; other clips are learned, unless below
/// 0.01. Tells on_note of each tensor that fits its largest candidate badly: more than 1% of the values saturate, or
/// more than 10% of Σx² is cut off; or the values take fewer codes than 4 and half of those there are, and are more
/// than these codes. Throws bad_input where a value is NaN or infinite.
void calibrate(Graph& graph, const MixPrecOptions& options);

}  // namespace mixgrad
