// SPDX-License-Identifier: Apache-2.0
#include "placement.h"

#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <src/internal/channels.h>
#include <src/internal/parameters.h>

#include <algorithm>

namespace mixgrad {
namespace {

/// Weights and biases divided by the initial Σ θ_p over the candidates that keep a channel, so that the mixture starts
/// at the float network's magnitude (SPEC §2; PLiNIO's compensate_weights_values).
void compensate(Graph& graph, double temperature) {
  const Thetas thetas = graph.softmax_thetas(temperature);
  const Origins origins = channel_origins(graph);
  const auto of_slot = [&](const WeightSlot* slot) {
    return slot == nullptr || slot->precisions[0] != 0 ? Tensor() : pruned_and_kept(thetas.at(slot), slot->precisions);
  };
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (!node.is_layer()) continue;
    const bool own = !passes_channels(node);
    const Tensor shares = own ? of_slot(node.weight_slot.get()) : pruned_and_kept(graph, origins[i], of_slot);
    if (!shares) continue;
    const int64_t channels = node.weight().dim(0), row = node.weight().size() / channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float kept = 1 - shares.data()[static_cast<size_t>(c)];
      for (int64_t k = c * row; own && k < (c + 1) * row; ++k) node.weight().data()[static_cast<size_t>(k)] /= kept;
      if (node.bias()) node.bias().data()[static_cast<size_t>(c)] /= kept;
    }
    if (own) start_scales(node);
  }
}

}  // namespace

Graph simplified(nn::Module& model, const Shape& input_shape) {
  Graph graph = trace(model, input_shape);
  fold_batch_norm(graph);
  fuse_relu(graph);
  return graph.clone();
}

MixPrec::MixPrec(nn::Module& model, const MixPrecOptions& options)
    : MixPrec(simplified(model, options.input_shape), options) {}

MixPrec::MixPrec(const Graph& graph, const MixPrecOptions& options)
    : graph_(graph.clone()),
      regularizer_(options.regularizer.model()),
      sampler_(options.sampler),
      temperature_(options.temperature) {
  set_temperature(options.temperature);
  fold_batch_norm(graph_);
  fuse_relu(graph_);
  place_quantizers(graph_, options);
  calibrate(graph_, options);
  if (!options.sampler.hard) compensate(graph_, temperature_);  // one-hot samples have no share of 0
  train_net_and_nas();
}

Tensor MixPrec::forward(const Tensor& x) {
  if (training_) return graph_.run(graph_.bind(sample()), x);
  return discretize(graph_).forward(x);
}

Tensor MixPrec::get_regularization_loss(const Thetas& thetas) const { return cost::soft(graph_, regularizer_, thetas); }

std::vector<LayerSummary> MixPrec::arch_summary() const { return summarize(exported(discretize(graph_)), graph_); }

std::vector<nn::NamedTensor> MixPrec::alpha_summary() const {
  const std::vector<Parameter> alphas = graph_.parameters(Role::alpha);
  return {alphas.begin(), alphas.end()};
}

std::vector<Tensor> MixPrec::net_parameters() const { return net_tensors(graph_); }

std::vector<Tensor> MixPrec::nas_parameters() const { return tensors_of(graph_.parameters(Role::alpha)); }

Graph exported(const Graph& discrete) {
  Graph out = discrete;
  remove_pruned_channels(out);
  out = out.clone();
  for (Parameter& p : out.parameters()) p.tensor.requires_grad();  // whatever the search trained last
  return out;
}

MetTargets exported(MetTargets met) {
  met.network = exported(met.network);
  return met;
}

Graph MixPrec::arch_export(const ExportOptions& options) const {
  if (!options.targets.empty()) return exported(meet_targets(graph_, options.targets).network);
  return exported(options.refine ? mixgrad::refine(graph_, regularizer_) : discretize(graph_));
}

void MixPrec::set_trained(bool net, bool nas) {
  for (Tensor& t : net_parameters()) t.requires_grad(net);
  for (Tensor& t : nas_parameters()) t.requires_grad(nas);
}

void MixPrec::set_temperature(double temperature) {
  if (!(temperature > 0)) bad_input("temperature {} must be above 0", temperature);
  temperature_ = temperature;
}

double MixPrec::mean_entropy() const {
  double total = 0;
  int count = 0;
  for (const Tensor& alpha : nas_parameters()) {
    if (alpha.dim(0) < 2) continue;
    total += quant::entropy(alpha, temperature_);
    ++count;
  }
  return count == 0 ? 0 : total / count;
}

void MixPrec::list_state(State& state) {
  state.add("parameter", net_parameters());
  state.add("alpha", nas_parameters());
  sampler_.list_state(state);
}

std::vector<LayerSummary> summarize(const Graph& graph, const Graph& original) {
  std::vector<LayerSummary> out;
  for (const Node& node : graph.nodes) {
    if (!node.is_layer()) continue;
    const auto bits_of = [](const ActivationSlot* slot) {
      return slot != nullptr ? std::optional(slot->precisions[0]) : std::nullopt;
    };
    const Node& before = *std::ranges::find(original.nodes, node.name, &Node::name);
    out.push_back({.name = node.name,
                   .weight_bits = node.weight_slot ? node.weight_slot->bits : std::vector<int>(),
                   .pruned = before.weight().dim(0) - node.weight().dim(0),
                   .in_bits = bits_of(graph.input_slot(node)),
                   .out_bits = bits_of(node.output_slot.get()),
                   .weights = node.weight().size(),
                   .macs = node.macs()});
  }
  return out;
}

}  // namespace mixgrad
