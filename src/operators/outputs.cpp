// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/layout.h>
#include <kernels/move.h>
#include <src/internal/value.h>

#include <fmt/core.h>

#include <set>

namespace mixgrad {
namespace {

/// An output's place in the row of all.
struct Part {
  int64_t channels, positions, at;
  int64_t size() const { return channels * positions; }
};

std::vector<Part> parts_of(const std::vector<Tensor>& values) {
  if (values.empty()) bad_input("[outputs] no outputs: expected at least one");
  std::vector<Part> parts;
  int64_t at = 0;
  for (const Tensor& v : values) {
    const Shape& s = v.shape();
    if (s.rank() < 2 || s[0] != values[0].dim(0) || s.size() == 0)
      bad_input("[outputs] output {} next to {}: expected values for each of the same images", s.str(),
                values[0].shape().str());
    parts.push_back({.channels = s[1], .positions = s.size() / (s[0] * s[1]), .at = at});
    at += parts.back().size();
  }
  return parts;
}

std::vector<std::string> numbered(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(fmt::format("output{}", i));
  return names;
}

void check_names(const std::vector<std::string>& names, size_t count) {
  if (names.size() != count) bad_input("[outputs] {} names for {} outputs: expected one for each", names.size(), count);
  if (std::set(names.begin(), names.end()).size() != count)
    bad_input("[outputs] two outputs have one name: expected different ones");
}

}  // namespace

Tensor outputs(const std::vector<Tensor>& values, std::vector<std::string> names) {
  const std::vector<Part> parts = parts_of(values);
  if (names.empty()) names = numbered(parts.size());
  check_names(names, parts.size());
  const int64_t n = values[0].dim(0), all = parts.back().at + parts.back().size();
  const Tensor y = Tensor::empty({n, all});
  for (size_t i = 0; i < parts.size(); ++i) {
    std::vector<float> rows(static_cast<size_t>(n * parts[i].size()));
    kernels::channels_last_to_rows(n, parts[i].channels, parts[i].positions, values[i].data(), rows);
    kernels::put_channels<float>(n, parts[i].size(), rows.data(), all, parts[i].at, y.data().data());
  }
  return record(op::Outputs{{.names = std::move(names)}}, y, values, [n, all, parts](const Backward& b) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const Grad gx = b.grad(static_cast<int>(i));
      if (!gx) continue;
      std::vector<float> rows(static_cast<size_t>(n * parts[i].size()));
      kernels::put_channels_grad<float>(n, parts[i].size(), b.grad_output().data(), all, parts[i].at,
                                        {.data = rows.data()});
      kernels::rows_to_channels_last(n, parts[i].channels, parts[i].positions, rows, gx);
    }
  });
}

Value op::Outputs::run(const RunContext& c) const {
  std::vector<Tensor> values;
  for (const Value* v : c.inputs) values.push_back(cast(real(*v), DType::float32));
  return {outputs(values, attrs.names)};
}

}  // namespace mixgrad
