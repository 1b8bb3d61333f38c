// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/graph.h>

#include <map>

namespace mixgrad {
namespace {

std::shared_ptr<WeightSlot> fixed(const WeightSlot& slot, int64_t channels) {
  if (slot.fixed()) return std::make_shared<WeightSlot>(slot);
  const std::vector<size_t> best = quant::arg_max(slot.alpha, slot.precisions);
  auto out = std::make_shared<WeightSlot>();
  for (int64_t c = 0; c < channels; ++c) {
    out->bits.push_back(slot.precisions[best[best.size() == 1 ? 0 : static_cast<size_t>(c)]]);
  }
  return out;
}

std::shared_ptr<ActivationSlot> fixed(const ActivationSlot& slot) {
  const size_t best = slot.fixed() ? 0 : quant::arg_max(slot.alpha, slot.precisions)[0];
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
    if (node.weight_slot) node.weight_slot = fixed(*node.weight_slot, node.weight().dim(0));
    if (!node.output_slot) continue;
    auto& slot = shared[node.output_slot.get()];
    if (!slot) slot = fixed(*node.output_slot);
    node.output_slot = slot;
  }
  return out;
}

}  // namespace mixgrad
