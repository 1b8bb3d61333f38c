// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/graph.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/channels.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

namespace mixgrad {
namespace {

/// max_c Σ|q_w,c|
double largest_row_sum(const Tensor& codes) {
  const int64_t rows = codes.dim(0), columns = codes.size() / rows;
  double largest = 0;
  for (int64_t r = 0; r < rows; ++r) {
    double total = 0;
    for (int64_t k = 0; k < columns; ++k) total += std::abs(codes.data()[r * columns + k]);
    largest = std::max(largest, total);
  }
  return largest;
}

constexpr double most_bias_steps = 0x1p30;  // leaves room in 32 bits for the sums that a bias is added to
constexpr double least_step = least_scale;  // below it, steps and their inverses exceed float32's range
constexpr float least_clip = 1e-3F;

/// The scale that makes a channel's accumulator steps large enough for its bias.
float scale_for_bias(const WeightQuantizer& quantizer, double bias, int bits, double input_step) {
  const double step = std::max(std::abs(bias) / most_bias_steps, least_step);
  return static_cast<float>(quantizer.scale_of_step(step / input_step, quantizer.range(bits)));
}

/// The scales of a layer with fixed bit-widths, before they are raised for its bias.
Tensor own_scales(const Node& node) {
  if (node.weight_scales) return node.weight_scales;
  return weight_scales(node.weight(), node.weight_slot->bits, *node.weight_slot->quantizer);
}

/// Fixed weights on quantized input: integer codes, and the real value of one accumulator step.
void bind_codes(const Node& node, const Tensor& scales, const ActivationSlot& input, Binding::NodeBinding& b) {
  const std::vector<int>& bits = node.weight_slot->bits;
  const WeightQuantizer& quantizer = *node.weight_slot->quantizer;
  b.weight = quantize_weight(node.weight(), scales, bits, quantizer);
  b.scale = scale(weight_steps(scales, bits, quantizer), input.step());
  b.bound = largest_row_sum(b.weight) * input.largest_code();
}

/// The distinct bit-widths of a fixed slot, and its channels' θ over them.
std::vector<int> checked(const WeightSlot& slot) { return quant::checked_precisions("weight bits", slot.bits, 0); }
Tensor fixed_theta(const WeightSlot& slot) { return quant::one_hot(slot.bits, checked(slot)); }

/// The bias of a layer without the channels that their slot prunes; θ of a slot that searches is in `thetas`.
Tensor without_pruned(const Tensor& bias, const WeightSlot* slot, const Thetas& thetas) {
  if (!bias || slot == nullptr) return bias;
  return slot->fixed() ? mask_bias(bias, fixed_theta(*slot), checked(*slot))
                       : mask_bias(bias, thetas.at(slot), slot->precisions);
}

/// The same for a layer that passes on the channels of other layers.
Tensor without_pruned(const Graph& graph, const Tensor& bias, const std::vector<ChannelOrigin>& channels,
                      const Thetas& thetas) {
  const auto of_slot = [&](const WeightSlot* slot) {
    if (slot == nullptr) return Tensor();
    const std::vector<int> bits = slot->fixed() ? checked(*slot) : slot->precisions;
    if (bits[0] != 0) return Tensor();
    return pruned_and_kept(slot->fixed() ? fixed_theta(*slot) : thetas.at(slot), bits);
  };
  const Tensor shares = pruned_and_kept(graph, channels, of_slot);
  return shares ? mask_bias(bias, shares, std::array{0, op::Affine::weight_bits}) : bias;
}

/// A clip or scale below zero would flip its quantizer, so an optimizer step can't take it below `least`.
void keep_positive(const Tensor& learned, float least) {
  for (float& v : learned.data()) v = std::max(v, least);
}

}  // namespace

Thetas Graph::softmax_thetas(double temperature) const {
  const auto tau = static_cast<float>(temperature);
  Thetas thetas;
  for (const auto& slot : activation_slots()) {
    if (!slot->fixed()) thetas[slot.get()] = softmax(slot->alpha, tau);
  }
  for (const auto& slot : weight_slots()) {
    if (!slot->fixed()) thetas[slot.get()] = softmax(slot->alpha, tau);
  }
  return thetas;
}

Tensor Graph::coded_scales(const Node& node) const {
  const WeightSlot& slot = *node.weight_slot;
  const Tensor own = own_scales(node);
  const ActivationSlot* input = input_slot(node);
  if (input == nullptr || !input->fixed()) return own;
  Tensor raised = own.clone();
  for (size_t c = 0; c < slot.bits.size(); ++c) {
    if (slot.bits[c] == 0) continue;
    const double bias = node.bias() ? static_cast<double>(node.bias().data()[c]) : 0;
    float& scale = raised.data()[c];
    scale = std::max(scale, scale_for_bias(*slot.quantizer, bias, slot.bits[c], input->step()));
  }
  return record("coded_scales", raised, {own}, [](const Backward& b) {
    const auto gown = b.grad(0);
    for (int64_t c = 0; gown && c < std::ssize(b.input(0)); ++c) {
      const auto at = static_cast<size_t>(c);
      gown.put(c, b.input(0)[at] == b.output()[at] ? b.grad_output()[at] : 0.0F);
    }
  });
}

int64_t Graph::channels_set_by_bias(const Node& node) const {
  if (!node.weight_slot || !node.weight_slot->fixed() || !node.bias()) return 0;
  const Tensor own = own_scales(node), coded = coded_scales(node);
  int64_t count = 0;
  for (int64_t c = 0; c < own.size(); ++c) count += node.bias().data()[c] != 0 && coded.data()[c] > own.data()[c];
  return count;
}

Binding Graph::bind(const Thetas& thetas) const {
  Binding binding;
  binding.nodes.resize(nodes.size());
  const Origins origins = std::ranges::any_of(nodes, passes_channels) ? channel_origins(*this) : Origins();
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const ModuleScope scope(node.name);
    Binding::NodeBinding& b = binding.nodes[i];
    if (const ActivationSlot* slot = node.output_slot.get()) {
      if (slot->learn_clip) keep_positive(slot->clip, least_clip);
      b.clip = slot->clip;
      if (!slot->fixed()) b.theta = thetas.at(slot);
    }
    if (node.as<op::PRelu>()) b.weight = node.params[0];
    if (!node.is_layer()) continue;
    const WeightSlot* slot = node.weight_slot.get();
    const ActivationSlot* input = input_slot(node);
    b.weight = node.weight();
    b.bias = passes_channels(node) ? without_pruned(*this, node.bias(), origins[i], thetas)
                                   : without_pruned(node.bias(), slot, thetas);
    if (slot == nullptr) continue;
    const WeightQuantizer& quantizer = *slot->quantizer;
    if (quantizer.learns_scale) keep_positive(node.weight_scales, least_scale);
    if (!slot->fixed()) {
      b.weight = weight_mixture(node.weight(), thetas.at(slot), node.weight_scales, slot->precisions, quantizer);
      continue;
    }
    if (input && input->fixed()) {
      bind_codes(node, coded_scales(node), *input, b);
    } else {
      b.weight = weight_mixture(node.weight(), fixed_theta(*slot), node.weight_scales, checked(*slot), quantizer);
    }
  }
  return binding;
}

Binding Binding::with_leaves(std::vector<Tensor>& leaves, std::vector<Tensor>& sources) const {
  Binding copy = *this;
  std::map<const void*, Tensor> leaf_of;
  for (NodeBinding& b : copy.nodes) {
    for (Tensor* t : {&b.weight, &b.bias, &b.theta, &b.clip}) {
      if (!t->needs_grad()) continue;
      Tensor& leaf = leaf_of[t->id()];
      if (!leaf) {
        leaf = t->detach().requires_grad();
        leaves.push_back(leaf);
        sources.push_back(*t);
      }
      *t = leaf;
    }
  }
  return copy;
}

}  // namespace mixgrad
