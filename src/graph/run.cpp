// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/value.h>

#include <algorithm>

namespace mixgrad {
namespace {

bool searches(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& n) {
    return (n.weight_slot && !n.weight_slot->fixed()) || (n.output_slot && !n.output_slot->fixed());
  });
}

Value codes(const Tensor& tensor, const ActivationSlot* slot) {
  return {tensor, slot, Tensor::full({1}, slot->step())};
}

/// Applies a node's activation and output quantizer.
Value finish(const Node& node, const Binding::NodeBinding& b, const Value& v, DType dtype) {
  const ActivationSlot* slot = node.output_slot.get();
  if (slot == nullptr) {
    if (v.codes_of != nullptr) return v;  // passed on
    return {activate(node.activation, real(v))};
  }
  const ActivationQuantizer& quantizer = *slot->quantizer;
  const ActivationFormat format{.is_signed = slot->is_signed, .relu = node.activation != Activation::none};
  if (!slot->fixed()) return {activation_mixture(real(v), b.theta, b.clip, slot->precisions, format, quantizer)};
  const int bits = slot->precisions[0];
  // bfloat16 holds codes, which have at most 8 bits, exactly. Linear layers, which read all others, run in float32.
  const DType of_codes = node.shape.rank() == 3 ? dtype : DType::float32;
  if (v.codes_of == slot) return codes(cast(v.tensor, of_codes), slot);  // the operator's own
  if (v.steps && quantizer.requantize) {
    const Tensor sums = cast(v.tensor, DType::float32);
    return codes(quantizer.requantize(sums, v.steps, v.bias, b.clip, bits, format, of_codes), slot);
  }
  return codes(cast(quantize_activation(real(v), b.clip, bits, format, quantizer), of_codes), slot);
}

}  // namespace

Tensor real(const Value& v) {
  return v.steps ? rescale(cast(v.tensor, DType::float32), v.steps, quantize_bias(v.bias, v.steps)) : v.tensor;
}

Tensor Graph::run(const Binding& binding, const Tensor& x, std::vector<Tensor>* kept, DType dtype) const {
  const Shape& expected = input_shape();
  if (x.shape().rank() != expected.rank() + 1 || !std::ranges::equal(x.shape().dims().subspan(1), expected.dims())) {
    bad_input("[graph] input {} does not fit this network: expected N × {}", x.shape().str(), expected.str());
  }
  std::vector<Value> values(nodes.size());
  const ActivationSlot* first = nodes[0].output_slot.get();
  // Real values are rounded to dtype only while the network searches: in a discrete one, this could change its codes.
  const bool exact = !searches(*this) || (first != nullptr && first->fixed());
  const Value given{exact ? x : cast(x, dtype)};
  for (size_t i = 0; i < nodes.size(); ++i) {
    const ModuleScope scope(nodes[i].name);
    std::vector<const Value*> inputs;
    if (i == 0) inputs = {&given};
    for (int n : nodes[i].inputs) inputs.push_back(&values[static_cast<size_t>(n)]);
    const RunContext context{.node = nodes[i], .binding = binding.nodes[i], .inputs = inputs};
    const Value own = std::visit([&](const auto& op) { return op.run(context); }, nodes[i].op);
    values[i] = finish(nodes[i], binding.nodes[i], own, dtype);
  }
  if (kept != nullptr) {
    kept->clear();
    for (const Value& v : values) kept->push_back(v.tensor);
  }
  return real(values[static_cast<size_t>(output)]);
}

}  // namespace mixgrad
