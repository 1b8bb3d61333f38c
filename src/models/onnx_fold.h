// SPDX-License-Identifier: Apache-2.0
// Constant folding: evaluates what exporters compute from constants and shapes.
#pragma once

#include "onnx_file.h"

#include <string>

namespace mixgrad::models {

/// Whether constant folding supports an operator.
bool can_fold(const std::string& op);
/// Whether a node can be folded and all its inputs are known constants.
bool all_constant(const onnx_file::File& file, const onnx_file::Node& node);
/// Evaluates a node on constants. Throws bad_input naming the node if it is invalid or its result has more than
/// `most_values` values.
onnx_file::Constant fold(const onnx_file::File& file, const onnx_file::Node& node, int64_t most_values);
/// A one-dimensional int64 constant.
onnx_file::Constant integers(std::vector<int64_t> values);

}  // namespace mixgrad::models
