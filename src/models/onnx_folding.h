// SPDX-License-Identifier: Apache-2.0
// Constant folding: one function per operator.
#pragma once

#include "onnx_file.h"

#include <fmt/ranges.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad::models::onnx_folding {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::File;
using onnx_file::Node;
using Dims = std::vector<int64_t>;

/// A node being folded.
struct Folding {
  const File& file;
  const Node& node;
  int64_t most_values;
  Attributes attributes;

  [[noreturn]] void refuse(const std::string& why) const {
    file.fail(fmt::format("{}, an operator on constants: {}", node.called(), why));
  }
  bool has(size_t i) const { return i < node.inputs.size() && !node.inputs[i].empty(); }
  const Constant& input(size_t i) const {
    if (!has(i)) refuse(fmt::format("too few inputs: {}", node.inputs.size()));
    const Constant& c = *file.constant(node.inputs[i]);
    if (c.size() != size_of(c.dims))
      refuse(fmt::format("'{}' has type {}, expected floats or integers", c.name, c.type));
    return c;
  }
  /// The integers at input i, or in an attribute as in older opsets.
  Dims numbers(size_t i, const char* attribute) const {
    if (!has(i)) return attributes.list(attribute);
    if (!input(i).floats.empty())
      refuse(fmt::format("'{}' has type {}, expected integers", input(i).name, input(i).type));
    return input(i).integers;
  }

  int64_t size_of(const Dims& dims) const {
    int64_t size = 1;
    for (const int64_t d : dims) {
      if (d < 0) refuse(fmt::format("[{}] has a negative dimension", fmt::join(dims, ", ")));
      if (d > 0 && size > most_values / d) {
        refuse(fmt::format("[{}] needs too much memory: {} values are left", fmt::join(dims, ", "), most_values));
      }
      size *= d;
    }
    return size;
  }
  /// Negative axes count from the end.
  size_t axis(int64_t a, size_t rank) const {
    const int64_t from_start = a < 0 ? a + static_cast<int64_t>(rank) : a;
    if (from_start < 0 || from_start >= static_cast<int64_t>(rank)) {
      refuse(fmt::format("axis {} is out of range for {} dimensions", a, rank));
    }
    return static_cast<size_t>(from_start);
  }
};

/// Row-major strides.
Dims strides(const Dims& dims);
/// Calls `visit(index)` for every element of `dims`, in row-major order.
void for_each_index(const Dims& dims, const std::function<void(const Dims&)>& visit);

// onnx_fold_moves.cpp: operators that only move values
Constant concat(const Folding& f);
Constant gather(const Folding& f);
Constant identity(const Folding& f);
Constant reshape(const Folding& f);
Constant slice(const Folding& f);
Constant squeeze(const Folding& f);
Constant transpose(const Folding& f);
Constant unsqueeze(const Folding& f);

}  // namespace mixgrad::models::onnx_folding
