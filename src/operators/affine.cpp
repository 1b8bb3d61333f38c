// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>

#include <src/internal/value.h>

namespace mixgrad {
namespace {

/// weight_c x + bias_c as a batch norm with mean 0 and variance 1.
Tensor scaled(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Tensor zeros = Tensor::zeros(weight.shape()), ones = Tensor::full(weight.shape(), 1);
  return batch_norm(x, weight, bias ? bias : zeros, zeros, ones, {.eps = 0});
}

}  // namespace

namespace op {

LayerShape Affine::layer_shape(const Node& node) const {
  const bool image = node.shape.rank() == 3;
  return {.groups = node.shape[0], .positions = {image ? node.shape[1] : 1, image ? node.shape[2] : 1}};
}

Sweep Affine::sweep(const Node& node, const Shape&) const {
  const std::array<int64_t, 2> positions = layer_shape(node).positions;
  return {.input = positions, .output = positions};
}

Value Affine::run(const RunContext& c) const {
  const Binding::NodeBinding& b = c.binding;
  const Tensor given = b.scale ? c.input().tensor : real(c.input());
  const Tensor x = cast(given, DType::float32);
  if (b.scale) return {scaled(x, b.weight, {}), nullptr, b.scale, b.bias};
  return {cast(scaled(x, b.weight, b.bias), given.dtype())};
}

}  // namespace op

}  // namespace mixgrad
