// SPDX-License-Identifier: Apache-2.0
// ONNX's own test cases, converted from PyTorch's tests: every case that can be imported gives the expected outputs.
#include "../skip.h"
#include "cases.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <regex>
#include <set>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

test::Array read_tensor(const fs::path& file) {
  onnx::TensorProto t;
  REQUIRE(t.ParseFromString(io::read_file(file)));
  REQUIRE(t.data_type() == onnx::TensorProto::FLOAT);
  test::Array out{.dims = {t.dims().begin(), t.dims().end()}, .values = {t.float_data().begin(), t.float_data().end()}};
  if (t.has_raw_data()) {
    out.values.resize(t.raw_data().size() / sizeof(float));
    std::memcpy(out.values.data(), t.raw_data().data(), t.raw_data().size());
  }
  return out;
}

/// The reason of an error message: the operator that it names, or its words without names.
std::string reason(const std::string& said) {
  std::smatch found;
  if (std::regex_search(said, found, std::regex("\n  1 x ([A-Za-z ]+) \\("))) return found[1];
  if (std::regex_search(said, found, std::regex("model.onnx: ([A-Z][A-Za-z0-9]*) '[^']*': ([^:\\[]*[a-z0-9])"))) {
    return fmt::format("{} ({})", found[1].str(), found[2].str());
  }
  if (std::regex_search(said, found, std::regex("model.onnx: (its [a-z]+) '[^']*' ([a-z ]*[a-z])"))) {
    return fmt::format("{} {}", found[1].str(), found[2].str());
  }
  return said;
}

}  // namespace

TEST_CASE("ONNX suite: cases converted from PyTorch give the expected outputs if they can be imported") {
  const fs::path folder = fs::path(test::shared_folder()) / "data/onnx-suite/pytorch-converted";
  if (!fs::exists(folder)) return test::skip("no suite: " + folder.string() + " is missing");
  std::set<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(folder)) cases.insert(entry.path());
  int64_t right = 0, read = 0;
  std::map<std::string, int> reasons;
  for (const fs::path& name : cases) {
    CAPTURE(name.string());
    std::optional<models::Model> model;
    try {
      model.emplace(models::make(name / "model.onnx", 1));
    } catch (const Error& e) {
      CHECK(e.kind() == Error::Kind::bad_input);
      ++reasons[reason(e.what())];
      continue;
    }
    ++read;
    const test::Array x = read_tensor(name / "test_data_set_0/input_0.pb"),
                      y = read_tensor(name / "test_data_set_0/output_0.pb");
    const double error = test::range_error(test::outputs_of(*model, x, y.values), y.values);
    CHECK(error < 1e-4);
    right += error < 1e-4 ? 1 : 0;
  }
  std::vector<std::string> refused;
  for (const auto& [why, count] : reasons) refused.push_back(fmt::format("{} {}", count, why));
  fmt::print(stderr, "ONNX suite: {} cases, {} read, {} right; refused: {}\n", cases.size(), read, right,
             fmt::join(refused, "; "));
  CHECK(read >= 23);
}

TEST_CASE("ONNX suite: classic networks give the expected outputs if they can be imported") {
  const fs::path folder = fs::path(test::shared_folder()) / "data/onnx-suite/light";
  if (!fs::exists(folder)) return test::skip("no suite: " + folder.string() + " is missing");
  std::set<std::string> refused;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    const std::string name = entry.path().stem();
    CAPTURE(name);
    try {
      models::Model model = models::make(entry.path(), 1);
      test::Array x{.dims = {1}, .values = std::vector<float>(static_cast<size_t>(model.input_shape.size()))};
      for (const int64_t d : model.input_shape.dims()) x.dims.push_back(d);
      for (size_t i = 0; i < x.values.size(); ++i)  // what the expected outputs were computed from
        x.values[i] = static_cast<float>(static_cast<double>(i) / static_cast<double>(x.values.size()));
      const test::Array y = read_tensor(folder / (name + "_output_0.pb"));
      CHECK(test::range_error(test::outputs_of(model, x, y.values), y.values) < 1e-4);
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find("LRN") != std::string::npos);
      refused.insert(name);
    }
  }
  CHECK(refused == std::set<std::string>{"light_bvlc_alexnet", "light_inception_v1", "light_zfnet512"});
}
