// SPDX-License-Identifier: Apache-2.0
// The real ONNX Runtime (npm's onnxruntime-node), for tests that compare with it.
#pragma once

#include <mixgrad/tensor.h>

#include <string>
#include <vector>

namespace mixgrad::test {

/// Whether it is installed; where not, the running test case is skipped and says how to get it.
bool has_onnx_runtime();
/// What it makes of an input of these values and dimensions, its graph optimisations off. `model`: the bytes of an ONNX file.
std::vector<float> run_onnx(const std::string& model, const std::vector<float>& values, const std::vector<int64_t>& dims);
std::vector<float> run_onnx(const std::string& model, const Tensor& x);

}  // namespace mixgrad::test
