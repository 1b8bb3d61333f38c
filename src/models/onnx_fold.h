// SPDX-License-Identifier: Apache-2.0
// What exporters compute from constants and shapes, computed while the file is read.
#pragma once

#include "onnx_file.h"

#include <string>

namespace mixgrad::models {

/// Whether folding knows an operator of constants.
bool can_fold(const std::string& op);
/// Whether all inputs of a node that can be folded are constants by now.
bool all_constant(const onnx_file::File& file, const onnx_file::Node& node);
/// The constant that a node makes of constants; bad_input naming the node where it has none, or one of more than
/// `most_values`.
onnx_file::Constant fold(const onnx_file::File& file, const onnx_file::Node& node, int64_t most_values);
/// A constant of int64 in one dimension.
onnx_file::Constant integers(std::vector<int64_t> values);

}  // namespace mixgrad::models
