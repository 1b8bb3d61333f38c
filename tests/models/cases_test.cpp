// SPDX-License-Identifier: Apache-2.0
// Networks as written by exporters are imported correctly; several outputs are one row of values.
#include "cases.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <set>

using namespace mixgrad;
namespace fs = std::filesystem;

namespace {

const fs::path cases_folder = fs::path(MIXGRAD_SOURCE_DIR) / "tests/models/cases";

std::set<std::string> all_names() {
  std::set<std::string> out;
  for (const auto& file : fs::directory_iterator(cases_folder)) {
    if (file.path().extension() == ".onnx") out.insert(file.path().stem().string());
  }
  return out;
}

models::Options options_for(const std::string& name) {
  return name == "resnet8_dynhw" ? models::Options{.input_shape = {3, 32, 32}} : models::Options{};
}

void check_case(const std::string& name) {
  CAPTURE(name);
  const std::string file = cases_folder / (name + ".onnx");
  models::Model model = models::make(file, 1, options_for(name));
  const test::Array x = test::read_npy(cases_folder / (name + ".x.npy")),
                    y = test::read_npy(cases_folder / (name + ".y.npy"));
  CHECK(test::range_error(test::outputs_of(model, x, y.values), y.values) < 1e-4);
}

}  // namespace

TEST_CASE("ONNX cases: imported correctly") {
  for (const std::string& name : all_names()) check_case(name);
}
