// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/graph.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <map>

namespace mixgrad {
namespace {

/// What flows between nodes: real values, or integers of which one step is worth `steps` [1] or [C]: the codes of a
/// fixed quantizer, or (`codes_of` empty) the accumulators of a layer on such codes, to which `bias` is still to be
/// added.
struct Value {
  Tensor tensor;
  const ActivationSlot* codes_of = nullptr;
  Tensor steps = {}, bias = {};
};

Value codes(const Tensor& tensor, const ActivationSlot* slot) {
  return {tensor, slot, Tensor::full({1}, slot->step())};
}

Tensor real(const Value& v) { return v.steps ? rescale(v.tensor, v.steps, quantize_bias(v.bias, v.steps)) : v.tensor; }

using Inputs = std::vector<const Value*>;
using Replay = Value (*)(const Node&, const Binding::NodeBinding&, const Inputs&);

template <typename A>
const A& attrs(const Node& node) {
  return std::get<A>(node.attrs);
}

Value run_conv2d(const Node& node, const Binding::NodeBinding& b, const Inputs& in) {
  const auto& a = attrs<Conv2dAttrs>(node);
  if (b.scale) return {conv2d_codes(in[0]->tensor, b.weight, a, b.bound), nullptr, b.scale, b.bias};
  return {conv2d(real(*in[0]), b.weight, b.bias, a)};
}

Value run_linear(const Node&, const Binding::NodeBinding& b, const Inputs& in) {
  if (b.scale) return {linear_codes(in[0]->tensor, b.weight, b.bound), nullptr, b.scale, b.bias};
  return {linear(cast(real(*in[0]), DType::float32), b.weight, b.bias)};
}

/// Codes of one shared quantizer are added as integers.
Value run_add(const Node&, const Binding::NodeBinding&, const Inputs& in) {
  if (in[0]->codes_of != nullptr && in[0]->codes_of == in[1]->codes_of)
    return {add(in[0]->tensor, in[1]->tensor), nullptr, in[0]->steps};
  return {add(real(*in[0]), real(*in[1]))};
}

Value run_batch_norm(const Node& node, const Binding::NodeBinding&, const Inputs& in) {
  const auto& p = node.params;
  return {batch_norm(real(*in[0]), p[0], p[1], p[2], p[3], attrs<BatchNormAttrs>(node))};
}

Value run_avg_pool(const Node& node, const Binding::NodeBinding&, const Inputs& in) {
  const auto& a = attrs<Pool2dAttrs>(node);
  return {in[0]->codes_of ? avg_pool2d_codes(in[0]->tensor, a) : avg_pool2d(in[0]->tensor, a), in[0]->codes_of,
          in[0]->steps};
}

Value run_max_pool(const Node& node, const Binding::NodeBinding&, const Inputs& in) {
  return {max_pool2d(in[0]->tensor, attrs<Pool2dAttrs>(node)), in[0]->codes_of, in[0]->steps};
}

Value run_flatten(const Node&, const Binding::NodeBinding&, const Inputs& in) {
  return {flatten(in[0]->tensor), in[0]->codes_of, in[0]->steps};
}

Value run_relu(const Node&, const Binding::NodeBinding&, const Inputs& in) {
  return {relu(in[0]->tensor), in[0]->codes_of, in[0]->steps};
}

/// On codes: at most the one that lies nearest to 6.
Value run_relu6(const Node&, const Binding::NodeBinding&, const Inputs& in) {
  const ActivationSlot* slot = in[0]->codes_of;
  return {slot ? clipped_relu(in[0]->tensor, slot->code_of(6)) : relu6(real(*in[0])), slot, in[0]->steps};
}

/// How a graph replays each op: one line an op.
const std::map<std::string, Replay>& replay_table() {
  static const std::map<std::string, Replay> table = {
      {"add", run_add},         {"avg_pool2d", run_avg_pool}, {"batch_norm", run_batch_norm}, {"conv2d", run_conv2d},
      {"flatten", run_flatten}, {"linear", run_linear},       {"max_pool2d", run_max_pool},   {"relu", run_relu},
      {"relu6", run_relu6},
  };
  return table;
}

/// ReLU and output quantizer of a node.
Value finish(const Node& node, const Binding::NodeBinding& b, const Value& v) {
  const ActivationSlot* slot = node.output_slot.get();
  if (slot == nullptr) {
    if (v.codes_of != nullptr) return v;  // handed on
    return {node.relu6 ? relu6(real(v)) : node.relu ? relu(real(v)) : real(v)};
  }
  const ActivationFormat format{.is_signed = slot->is_signed, .relu = node.relu};
  if (!slot->fixed()) {
    if (slot->quantizer)
      return {activation_mixture(real(v), b.theta, b.clip, slot->precisions, format, *slot->quantizer)};
    return {activation_mixture(real(v), b.theta, b.clip, slot->precisions, format)};
  }
  const int bits = slot->precisions[0];
  if (slot->quantizer) return codes(quantize_activation(real(v), b.clip, bits, format, *slot->quantizer), slot);
  if (v.steps) return codes(requantize(v.tensor, v.steps, v.bias, b.clip, bits, format), slot);
  return codes(quantize_activation(v.tensor, b.clip, bits, format), slot);
}

}  // namespace

bool can_replay(const std::string& op) { return replay_table().contains(op); }

Tensor Graph::run(const Binding& binding, const Tensor& x, std::vector<Tensor>* kept, DType dtype) const {
  const Shape& expected = input_shape();
  if (x.shape().rank() != expected.rank() + 1 || !std::ranges::equal(x.shape().dims().subspan(1), expected.dims())) {
    bad_input("[graph] input {} does not fit this network: expected N × {}", x.shape().str(), expected.str());
  }
  std::vector<Value> values(nodes.size());
  const ActivationSlot* first = nodes[0].output_slot.get();
  const bool coded = first != nullptr && first->fixed();  // rounded to dtype, the input's codes would not be its codes
  for (size_t i = 0; i < nodes.size(); ++i) {
    const ModuleScope scope(nodes[i].name);
    if (i == 0) {
      values[i] = finish(nodes[i], binding.nodes[i], {coded ? x : cast(x, dtype)});
      continue;
    }
    Inputs inputs;
    for (int n : nodes[i].inputs) inputs.push_back(&values[static_cast<size_t>(n)]);
    const Replay replay = replay_table().at(nodes[i].op);
    values[i] = finish(nodes[i], binding.nodes[i], replay(nodes[i], binding.nodes[i], inputs));
  }
  if (kept != nullptr) {
    kept->clear();
    for (const Value& v : values) kept->push_back(v.tensor);
  }
  return real(values[static_cast<size_t>(output)]);
}

}  // namespace mixgrad
