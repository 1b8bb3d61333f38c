// SPDX-License-Identifier: Apache-2.0
#include "onnx_runtime.h"

#include "shell.h"
#include "skip.h"

#include <mixgrad/io.h>

#include <fmt/ranges.h>

#include <cstring>
#include <filesystem>

namespace mixgrad::test {
namespace {

const std::string runtime = std::string(MIXGRAD_SOURCE_DIR) + "/tests/onnx";

}  // namespace

bool has_onnx_runtime() {
  if (has("node") && std::filesystem::exists(runtime + "/node_modules/onnxruntime-node")) return true;
  skip("no ONNX Runtime: apt-get install nodejs npm, then npm ci --ignore-scripts in tests/onnx");
  return false;
}

std::vector<float> run_onnx(const std::string& model, const std::vector<float>& values, const std::vector<int64_t>& dims) {
  const Folder folder;
  io::write_file(folder.path / "model.onnx", model);
  io::write_file(folder.path / "input", {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  folder.run(fmt::format("node '{}/run.js' model.onnx input output {}", runtime, fmt::join(dims, " ")));
  const std::string bytes = io::read_file(folder.path / "output");
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::vector<float> run_onnx(const std::string& model, const Tensor& x) {
  const auto dims = x.shape().dims();
  return run_onnx(model, x.to_vector(), {dims.begin(), dims.end()});
}

}  // namespace mixgrad::test
