// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/graph.h>
#include <mixgrad/ops.h>

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

/// Fixed weights on quantized input: integer codes, and the bias on the accumulator's grid (SPEC §4).
void bind_codes(const Node& node, const ActivationSlot& input, Binding::NodeBinding& b) {
  b.weight = quantize_weight(node.weight(), node.weight_slot->bits);
  b.scale = scale(weight_scale(node.weight(), node.weight_slot->bits), input.step());
  b.bound = largest_row_sum(b.weight) * input.largest_code();
  if (node.bias()) b.bias = quantize_bias(node.bias(), b.scale);
}

/// ŵ of a fixed slot as real values, for a layer whose input is not quantized.
Tensor dequantized(const Tensor& w, const std::vector<int>& bits) {
  const std::vector<int> precisions = quant::checked_precisions("weight bits", bits, 0);
  return weight_mixture(w, quant::one_hot(bits, precisions), precisions);
}

/// A clip that an optimizer's step took across zero would turn its quantizer over: it stays a little above.
void keep_positive(const Tensor& clip) {
  for (float& c : clip.data()) c = std::max(c, 1e-3F);
}

}  // namespace

Binding Graph::bind(double temperature) const {
  const auto tau = static_cast<float>(temperature);
  Binding binding;
  binding.nodes.resize(nodes.size());
  std::map<const void*, Tensor> thetas;  // slots that nodes share have one θ
  const auto theta_of = [&](const void* slot, const Tensor& alpha) {
    Tensor& theta = thetas[slot];
    if (!theta) theta = softmax(alpha, tau);
    return theta;
  };
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    Binding::NodeBinding& b = binding.nodes[i];
    if (const ActivationSlot* slot = node.output_slot.get()) {
      keep_positive(slot->clip);
      b.clip = slot->clip;
      if (!slot->fixed()) b.theta = theta_of(slot, slot->alpha);
    }
    if (!node.is_layer()) continue;
    const WeightSlot* slot = node.weight_slot.get();
    const ActivationSlot* input = nodes[static_cast<size_t>(quantized_by(node.inputs[0]))].output_slot.get();
    b.weight = node.weight();
    b.bias = node.bias();
    if (slot && !slot->fixed()) b.weight = weight_mixture(node.weight(), theta_of(slot, slot->alpha), slot->precisions);
    if (slot && slot->fixed() && input && input->fixed()) bind_codes(node, *input, b);
    if (slot && slot->fixed() && !(input && input->fixed())) b.weight = dequantized(node.weight(), slot->bits);
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
