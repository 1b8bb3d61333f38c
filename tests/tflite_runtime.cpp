// SPDX-License-Identifier: Apache-2.0
#include "tflite_runtime.h"

#include "shell.h"
#include "skip.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <filesystem>

namespace mixgrad::test {
namespace {

const std::string runtime = std::string(MIXGRAD_SOURCE_DIR) + "/tests/tflite";

}  // namespace

bool has_tflite_runtime() {
  if (has("node") && std::filesystem::exists(runtime + "/node_modules/@tensorflow/tfjs-tflite")) return true;
  skip("no TFLite interpreter: apt-get install nodejs npm, then npm ci --ignore-scripts in tests/tflite");
  return false;
}

std::vector<std::vector<int8_t>> run_tflite(const std::vector<TfliteJob>& jobs) {
  const Folder folder;
  std::string list;
  for (size_t i = 0; i < jobs.size(); ++i) {
    io::write_file(folder.path / fmt::format("{}.tflite", i), jobs[i].model);
    io::write_file(folder.path / fmt::format("{}.in", i),
                   {reinterpret_cast<const char*>(jobs[i].images.data()), jobs[i].images.size()});
    list += fmt::format("{0}.tflite {0}.in {0}.out\n", i);
  }
  io::write_file(folder.path / "jobs", list);
  folder.run(fmt::format("node '{}/run.js' jobs", runtime));
  if (!folder.said().empty()) MESSAGE(folder.said());
  std::vector<std::vector<int8_t>> results;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const std::filesystem::path file = folder.path / fmt::format("{}.out", i);
    const std::string bytes = std::filesystem::exists(file) ? io::read_file(file) : "";
    results.emplace_back(bytes.begin(), bytes.end());
  }
  return results;
}

}  // namespace mixgrad::test
