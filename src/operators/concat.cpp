// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/move.h>
#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

#include <algorithm>

namespace mixgrad {
namespace {

/// The output's shape: that of the inputs, which may differ in their channels only.
Shape concat_shape(const std::vector<Tensor>& inputs) {
  if (inputs.empty()) bad_input("[concat] no inputs: expected at least one");
  Shape out = inputs[0].shape();
  rows_channels(op::Concat::name(), out);
  out[1] = 0;
  for (const Tensor& x : inputs) {
    Shape same = x.shape();
    if (same.rank() == out.rank()) same[1] = out[1];
    if (same != out) {
      bad_input("[concat] shapes {} and {} differ in more than their channels", inputs[0].shape().str(),
                x.shape().str());
    }
    out[1] += x.dim(1);
  }
  return out;
}

}  // namespace

Tensor concat(const std::vector<Tensor>& inputs) {
  const Shape shape = concat_shape(inputs);
  const int64_t all = shape[1], rows = all == 0 ? 0 : shape.size() / all;
  return by_dtype(inputs[0].dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(shape, inputs[0].dtype());
    std::vector<int64_t> at = {0};
    for (const Tensor& x : inputs) {
      kernels::put_channels<T>(rows, x.dim(1), x.data<T>().data(), all, at.back(), y.data<T>().data());
      at.push_back(at.back() + x.dim(1));
    }
    return record(op::Concat(), y, inputs, [rows, all, at](const Backward& b) {
      for (size_t i = 0; i + 1 < at.size(); ++i) {
        if (auto gx = b.grad<T>(static_cast<int>(i)))
          kernels::put_channels_grad<T>(rows, at[i + 1] - at[i], b.grad_output<T>().data(), all, at[i], gx);
      }
    });
  });
}

namespace op {

ChannelSources Concat::sources(const std::vector<int64_t>& channels, int64_t) const {
  ChannelSources out;
  for (size_t i = 0; i < channels.size(); ++i) {
    for (int64_t c = 0; c < channels[i]; ++c) out.push_back({.input = i, .channel = c});
  }
  return out;
}

/// Codes of one quantizer stay codes.
Value Concat::run(const RunContext& c) const {
  const Value& first = c.input();
  const bool codes =
      std::ranges::all_of(c.inputs, [&](const Value* v) { return v->codes_of && v->codes_of == first.codes_of; });
  std::vector<Tensor> parts;
  for (const Value* v : c.inputs) parts.push_back(codes ? v->tensor : real(*v));
  return codes ? Value{concat(parts), first.codes_of, first.steps} : Value{concat(parts)};
}

}  // namespace op

}  // namespace mixgrad
