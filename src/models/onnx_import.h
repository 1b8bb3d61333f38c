// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/models.h>

namespace mixgrad::models {

/// The float network of an ONNX file with its weights: Conv, Gemm, MatMul, BatchNormalization, Relu, Clip to [0, 6],
/// Add, pools with the Pads before them, arithmetic by constants, and whatever changes shapes alone. bad_input counts
/// all other operators by kind.
Model from_onnx(const std::string& path, const Options& options);

}  // namespace mixgrad::models
