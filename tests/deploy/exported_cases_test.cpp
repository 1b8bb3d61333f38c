// SPDX-License-Identifier: Apache-2.0
// Networks as PyTorch exports them (tests/models/cases) at 8 bits without training: close to the floats, and the same
// in simulation, engine, C and ONNX.
#include "../models/cases.h"
#include "../networks.h"
#include "../onnx_runtime.h"
#include "forms.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

using namespace mixgrad;
using test::FormCase;
namespace fs = std::filesystem;

namespace {

constexpr int64_t images_each = 12;

struct Exported {
  FormCase at_8_bits;
  std::vector<float> float_outputs;
};

Exported exported(const fs::path& file) {
  const models::Options options =
      file.stem() == "resnet8_dynhw" ? models::Options{.input_shape = {3, 32, 32}} : models::Options{};
  const models::Model model = models::make(file, 1, options);
  const Graph floating = simplified(*model.net, model.input_shape);
  const data::Dataset images = test::random_images(images_each, model.input_shape, 3);
  const Tensor x = test::random_batch(64, model.input_shape, 2, 5).x;
  MixPrec search(
      floating,
      {.input_shape = model.input_shape, .activation_precisions = {8}, .weight_precisions = {8}, .calibration = {x}});
  FormCase form(file.stem(), search.arch_export(), images);
  std::vector<float> outputs = floating.forward(form.x).to_vector();
  return {std::move(form), std::move(outputs)};
}

/// Relative to the range of the expected values.
double mean_error(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  const auto [low, high] = std::ranges::minmax(expected);
  double total = 0;
  for (size_t k = 0; k < got.size(); ++k) total += std::abs(got[k] - expected[k]);
  return total / static_cast<double>(got.size()) / static_cast<double>(high - low);
}

std::vector<Exported> all_exported() {
  std::vector<Exported> out;
  for (const auto& entry : fs::directory_iterator(fs::path(MIXGRAD_SOURCE_DIR) / "tests/models/cases"))
    if (entry.path().extension() == ".onnx") out.push_back(exported(entry.path()));
  return out;
}

}  // namespace

TEST_CASE("exported cases: at 8 bits without training close to float, and every form the same") {
  std::vector<FormCase> forms;
  for (const Exported& e : all_exported()) {
    CAPTURE(e.at_8_bits.name);
    CHECK(mean_error(e.at_8_bits.graph.forward(e.at_8_bits.x).to_vector(), e.float_outputs) < 0.01);
    check_engine(e.at_8_bits);
    forms.push_back(e.at_8_bits);
  }
  check_c(forms);
  const auto images = std::ssize(forms) * images_each;
  if (test::has_onnx_runtime()) CHECK(check_onnx(forms) * 50 <= images);
}
