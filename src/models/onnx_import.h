// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/models.h>

namespace mixgrad::models {

/// The float network of an ONNX file with its weights: Conv, Gemm, MatMul and Add, BatchNormalization, Relu, Clip to [0, 6], Add,
/// pooling, flattening, and Transposes that only come from another layout. bad_input lists all other operators by node.
Model from_onnx(const std::string& path);

}  // namespace mixgrad::models
