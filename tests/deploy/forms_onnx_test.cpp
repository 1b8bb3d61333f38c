// SPDX-License-Identifier: Apache-2.0
// Random networks, and networks that failed in the past, in ONNX Runtime.
#include "../networks.h"
#include "../onnx_runtime.h"
#include "ends.h"
#include "forms.h"
#include "small_weights.h"
#include "src/internal/names.h"

#include <doctest/doctest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <set>

using namespace mixgrad;
using test::FormCase;

namespace {

constexpr int64_t images_each = test::images_of_random_networks;

void check_random_networks(uint64_t count) {
  if (!test::has_onnx_runtime()) return;
  int64_t others = 0;
  test::for_each_batch(count, [&](const std::vector<FormCase>& batch) { others += check_onnx(batch); });
  CHECK(others * 200 <= static_cast<int64_t>(count) * images_each);
}

/// Networks whose flattening is followed by something other than a linear layer.
class FlatRelu : public nn::Module {
 public:
  explicit FlatRelu(bool adds)
      : adds_(adds), conv_({.in_channels = 3, .out_channels = 6}), fc_({.in_features = 6, .out_features = 4}) {
    add_module("conv", conv_);
    add_module("fc", fc_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_(x), mean = flatten(global_avg_pool2d(y));
    return fc_(adds_ ? add(mean, flatten(max_pool2d(y, {.kernel = {6, 6}}))) : relu(mean));
  }

 private:
  bool adds_;
  nn::Conv2d conv_;
  nn::Linear fc_;
};

Graph flat_relu(bool adds) {
  FlatRelu net(adds);
  nn::initialize(net, Rng(4, "init"));
  MixPrec search(net, {.input_shape = {3, 8, 8}, .calibration = {test::random_batch(4, {3, 8, 8}, 2, 5).x}});
  return search.arch_export();
}

}  // namespace

TEST_CASE("forms: Flatten before a ReLU or an Add loads in ONNX Runtime") {
  if (!test::has_onnx_runtime()) return;
  const data::Dataset images = test::random_images(10, {3, 8, 8}, 4);
  CHECK(test::check_onnx({{"relu", flat_relu(false), images}, {"add", flat_relu(true), images}}) == 0);
}

TEST_CASE("forms: networks give the same results in ONNX Runtime whatever their last operator") {
  if (!test::has_onnx_runtime()) return;
  for (const bool quantize_output : {false, true}) CHECK(test::check_onnx(test::networks_by_end(quantize_output)) <= 1);
}

TEST_CASE("forms: channels with small weights give the same results in ONNX Runtime") {
  if (!test::has_onnx_runtime()) return;
  CHECK(test::check_onnx(test::networks_with_small_weights()) <= 1);
}

TEST_CASE("forms: an ONNX file takes raw values and normalizes them itself") {
  if (!test::has_onnx_runtime()) return;
  Graph graph = test::every_op(false, 3);
  graph.normalization = {.mean = {0.5F, 0.25F, -1}, .std = {0.5F, 2, 0.125F}};
  CHECK(test::check_onnx({{"normalized", std::move(graph), test::random_images(20, {3, 16, 16}, 2)}}) == 0);
}

TEST_CASE("forms: names in an ONNX file are UTF-8, and all values have different names") {
  Graph graph = test::every_op(false, 3);
  const std::vector<std::string> names = {"a", "a/weight", "a/bias", "caf\xe9", "*/\n", "output", "a/sum", "a/value"};
  for (size_t i = 1; i < graph.nodes.size() && i <= names.size(); ++i) graph.nodes[i].name = names[i - 1];
  const test::FormCase c("names", std::move(graph), test::random_images(10, {3, 16, 16}, 2));
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(to_onnx(c.network, 13)));
  CHECK_NOTHROW(onnx::checker::check_model(model));
  std::set<std::string> seen;
  for (const auto& node : model.graph().node()) {
    CHECK(valid_utf8(node.output(0)) == node.output(0));
    CHECK(seen.insert(node.output(0)).second);
  }
  for (const auto& constant : model.graph().initializer()) CHECK(seen.insert(constant.name()).second);
  if (test::has_onnx_runtime()) CHECK(test::check_onnx({c}) == 0);
}

TEST_CASE("forms: 30 random networks give the same results in ONNX Runtime") { check_random_networks(30); }
TEST_CASE("forms: 500 random networks give the same results in ONNX Runtime" * doctest::skip()) {
  check_random_networks(500);
}

TEST_CASE("forms: pruned networks of the zoo give the same results in ONNX Runtime") {
  if (test::has_onnx_runtime()) CHECK(test::check_onnx(test::zoo_cases()) <= 1);
}
