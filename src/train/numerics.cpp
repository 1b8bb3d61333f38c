// SPDX-License-Identifier: Apache-2.0
#include "numerics.h"

#include <mixgrad/error.h>

#include <kernels/elementwise.h>
#include <src/internal/by_dtype.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

namespace mixgrad::train {
namespace {

template <typename T>
std::optional<std::string> bad_number(std::span<const T> values) {
  if (kernels::all_finite(values)) return std::nullopt;
  const auto at = std::ranges::find_if(values, [](T v) { return !std::isfinite(static_cast<float>(v)); });
  return fmt::format("{} at element {}", std::isnan(static_cast<float>(*at)) ? "NaN" : "infinity", at - values.begin());
}

/// "NaN at element 7"; nothing if all values (or all of the gradient's) are finite.
std::optional<std::string> bad_value(const Tensor& t) {
  return by_dtype(t.dtype(), [&]<typename T>() { return bad_number(std::span<const T>(t.data<T>())); });
}
std::optional<std::string> bad_gradient(const Tensor& t) {
  return by_dtype(t.dtype(), [&]<typename T>() { return bad_number(std::span<const T>(t.grad<T>())); });
}

std::string name_of(const Record& r) {
  return r.module.empty() ? fmt::format("op {}", r.op) : fmt::format("op {} of layer {}", r.op, r.module);
}

}  // namespace

void NumericsCheck::recorded(const Record& r) {
  const auto bad = bad_value(r.output);
  if (!bad) return;
  for (size_t i = 0; i < r.inputs.size(); ++i) {
    const auto before = r.inputs[i] ? bad_value(r.inputs[i]) : std::nullopt;
    // outputs of other ops were checked when they were recorded
    if (before)
      failed_run("{}: {} of its input {}, {}, which comes from weights or data", name_of(r), *before, i,
                 r.inputs[i].shape().str());
  }
  failed_run("{}: {} of its output, {}, from finite inputs", name_of(r), *bad, r.output.shape().str());
}

void NumericsCheck::played(const Record& r) {
  for (size_t i = 0; i < r.inputs.size(); ++i) {
    const auto bad = r.inputs[i] && r.inputs[i].has_grad() ? bad_gradient(r.inputs[i]) : std::nullopt;
    if (bad) failed_run("{}: {} of the gradient of its input {}, {}", name_of(r), *bad, i, r.inputs[i].shape().str());
  }
}

bool finite_gradients(std::span<const Tensor> tensors) {
  return std::ranges::all_of(
      tensors, [](const Tensor& t) { return !t.has_grad() || kernels::all_finite(std::span<const float>(t.grad())); });
}

}  // namespace mixgrad::train
