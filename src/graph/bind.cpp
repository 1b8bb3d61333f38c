// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/graph.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <algorithm>
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

/// Fixed weights on quantized input: integer codes, and what one step of their accumulator is worth.
void bind_codes(const Node& node, const ActivationSlot& input, Binding::NodeBinding& b) {
  const WeightSlot& slot = *node.weight_slot;
  const Tensor magnitude = slot.magnitude ? slot.magnitude : weight_magnitude(node.weight());
  b.weight = quantize_weight(node.weight(), magnitude, slot.bits);
  b.scale = scale(weight_scale(magnitude, slot.bits), input.step());
  b.bound = largest_row_sum(b.weight) * input.largest_code();
}

/// The distinct bit-widths of a fixed slot, and its channels' θ over them.
std::vector<int> checked(const WeightSlot& slot) { return quant::checked_precisions("weight bits", slot.bits, 0); }
Tensor fixed_theta(const WeightSlot& slot) { return quant::one_hot(slot.bits, checked(slot)); }

/// A clip that an optimizer's step took across zero would turn its quantizer over: it stays a little above.
void keep_positive(const Tensor& clip) {
  for (float& c : clip.data()) c = std::max(c, 1e-3F);
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

Binding Graph::bind(const Thetas& thetas) const {
  Binding binding;
  binding.nodes.resize(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const ModuleScope scope(node.name);
    Binding::NodeBinding& b = binding.nodes[i];
    if (const ActivationSlot* slot = node.output_slot.get()) {
      keep_positive(slot->clip);
      b.clip = slot->clip;
      if (!slot->fixed()) b.theta = thetas.at(slot);
    }
    if (!node.is_layer()) continue;
    const WeightSlot* slot = node.weight_slot.get();
    const ActivationSlot* input = nodes[static_cast<size_t>(quantized_by(node.inputs[0]))].output_slot.get();
    b.weight = node.weight();
    b.bias = node.bias();
    if (slot == nullptr) continue;
    if (!slot->fixed()) {
      b.weight = weight_mixture(node.weight(), thetas.at(slot), slot->precisions);
      if (node.bias()) b.bias = gate(node.bias(), thetas.at(slot), slot->precisions);
      continue;
    }
    if (node.bias()) b.bias = gate(node.bias(), fixed_theta(*slot), checked(*slot));
    if (input && input->fixed()) {
      bind_codes(node, *input, b);
    } else {
      b.weight = weight_mixture(node.weight(), fixed_theta(*slot), checked(*slot));
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
