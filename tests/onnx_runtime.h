// SPDX-License-Identifier: Apache-2.0
// The real ONNX Runtime (npm's onnxruntime-node), for tests that compare with it.
#pragma once

#include <mixgrad/tensor.h>

#include <string>
#include <vector>

namespace mixgrad::test {

/// Whether it is installed; if not, skips the running test case with a message on how to get it.
bool has_onnx_runtime();
/// Its outputs for an input of these values and dimensions, without graph optimisations. `model`: the bytes of an ONNX
/// file.
std::vector<float> run_onnx(const std::string& model, const std::vector<float>& values,
                            const std::vector<int64_t>& dims);
std::vector<float> run_onnx(const std::string& model, const Tensor& x);

struct OnnxJob {
  std::string model;
  std::vector<float> values;
  std::vector<int64_t> dims;
};
/// The same for many models in one process; unset for one that does not load or run, with the reason in the log.
std::vector<std::vector<float>> run_onnx(const std::vector<OnnxJob>& jobs);

}  // namespace mixgrad::test
