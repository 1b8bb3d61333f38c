// SPDX-License-Identifier: Apache-2.0
#include "onnx_runtime.h"

#include "shell.h"
#include "skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
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

std::vector<std::vector<float>> run_onnx(const std::vector<OnnxJob>& jobs) {
  const Folder folder;
  std::string list;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const std::vector<float>& values = jobs[i].values;
    io::write_file(folder.path / fmt::format("{}.onnx", i), jobs[i].model);
    io::write_file(folder.path / fmt::format("{}.in", i),
                   {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
    list += fmt::format("{0}.onnx {0}.in {0}.out {1}\n", i, fmt::join(jobs[i].dims, " "));
  }
  io::write_file(folder.path / "jobs", list);
  folder.run(fmt::format("node '{}/run.js' jobs", runtime));
  if (!folder.said().empty()) MESSAGE(folder.said());
  std::vector<std::vector<float>> results;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const std::filesystem::path file = folder.path / fmt::format("{}.out", i);
    const std::string bytes = std::filesystem::exists(file) ? io::read_file(file) : "";
    std::vector<float>& out = results.emplace_back(bytes.size() / sizeof(float));
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  }
  return results;
}

std::vector<float> run_onnx(const std::string& model, const std::vector<float>& values,
                            const std::vector<int64_t>& dims) {
  std::vector<float> out = run_onnx({OnnxJob{model, values, dims}})[0];
  REQUIRE(!out.empty());
  return out;
}

std::vector<float> run_onnx(const std::string& model, const Tensor& x) {
  const auto dims = x.shape().dims();
  return run_onnx(model, x.to_vector(), {dims.begin(), dims.end()});
}

}  // namespace mixgrad::test
