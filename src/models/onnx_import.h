// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "onnx_file.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

/// Imports a float network and its weights from what a file's reader found: Conv, Gemm, MatMul, BatchNormalization,
/// Relu, Clip to [0, 6], Add, pools with their Pads, arithmetic with constants, and operators that only change shapes.
/// Throws bad_input that counts all other operators by kind.
Model import_network(onnx_file::Content content, const Options& options);

Model from_onnx(const std::string& path, const Options& options);
/// float32 models; also those with weights of 16 bits or in codes of 8 bits, which are read as floats.
Model from_tflite(const std::string& path, const Options& options);

}  // namespace mixgrad::models
