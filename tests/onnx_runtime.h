// SPDX-License-Identifier: Apache-2.0
// The real ONNX Runtime (npm's onnxruntime-node), for tests that compare with it.
#pragma once

#include <mixgrad/tensor.h>

#include <string>
#include <vector>

namespace mixgrad::test {

/// Whether it is installed; where not, the running test case is skipped and says how to get it.
bool has_onnx_runtime();
/// What it makes of an input of these values and dimensions, its graph optimisations off. `model`: the bytes of an ONNX
/// file.
std::vector<float> run_onnx(const std::string& model, const std::vector<float>& values,
                            const std::vector<int64_t>& dims);
std::vector<float> run_onnx(const std::string& model, const Tensor& x);

struct OnnxJob {
  std::string model;
  std::vector<float> values;
  std::vector<int64_t> dims;
};
/// The same of many models in one process; nothing for one that does not load or run, and the log says why.
std::vector<std::vector<float>> run_onnx(const std::vector<OnnxJob>& jobs);

}  // namespace mixgrad::test
