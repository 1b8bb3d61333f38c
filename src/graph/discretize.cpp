// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/graph.h>

#include <map>

namespace mixgrad {
namespace {

/// The scale of each channel's chosen candidate: [C_out] from [P, C_out].
Tensor chosen_scales(const Tensor& scales, const std::vector<size_t>& best) {
  const auto channels = static_cast<size_t>(scales.dim(1));
  Tensor out = Tensor::empty({scales.dim(1)});
  for (size_t c = 0; c < channels; ++c) out.data()[c] = scales.data()[best[c] * channels + c];
  return out.requires_grad();
}

void fix_weights(Node& node) {
  const WeightSlot& slot = *node.weight_slot;
  auto out = std::make_shared<WeightSlot>(slot);
  if (!slot.fixed()) {
    std::vector<size_t> best = quant::arg_max(slot);
    if (best.size() == 1) best.resize(static_cast<size_t>(node.weight().dim(0)), best[0]);
    out->precisions.clear();
    out->alpha = {};
    out->kept.clear();
    for (const size_t p : best) out->bits.push_back(slot.precisions[p]);
    if (node.weight_scales) node.weight_scales = chosen_scales(node.weight_scales, best);
  }
  node.weight_slot = out;
}

std::shared_ptr<ActivationSlot> fixed(const ActivationSlot& slot) {
  const size_t best = slot.fixed() ? 0 : quant::arg_max(slot)[0];
  auto out = std::make_shared<ActivationSlot>();
  out->precisions = {slot.precisions[best]};
  out->clip = Tensor::full({1}, slot.clip.data()[best]).requires_grad(slot.learn_clip);
  out->is_signed = slot.is_signed;
  out->quantizer = slot.quantizer;
  out->learn_clip = slot.learn_clip;
  return out;
}

}  // namespace

Graph discretize(const Graph& graph) {
  Graph out = graph;
  std::map<const ActivationSlot*, std::shared_ptr<ActivationSlot>> shared;
  for (Node& node : out.nodes) {
    if (node.weight_slot) fix_weights(node);
    if (!node.output_slot) continue;
    auto& slot = shared[node.output_slot.get()];
    if (!slot) slot = fixed(*node.output_slot);
    node.output_slot = slot;
  }
  return out;
}

}  // namespace mixgrad
