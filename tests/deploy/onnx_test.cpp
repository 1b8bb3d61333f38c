// SPDX-License-Identifier: Apache-2.0
// ONNX files in ONNX's own checker and in the real ONNX Runtime.
#include "../networks.h"
#include "../onnx_runtime.h"

#include <doctest/doctest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

int64_t same_top1(std::span<const float> a, std::span<const float> b, int64_t images) {
  const auto size = std::ssize(a) / images;
  int64_t same = 0;
  for (int64_t n = 0; n < images; ++n) {
    const auto of = [&](std::span<const float> v) {
      const auto row = v.subspan(static_cast<size_t>(n * size), static_cast<size_t>(size));
      return std::ranges::max_element(row) - row.begin();
    };
    same += of(a) == of(b);
  }
  return same;
}

Tensor batch_of(const data::Dataset& images) {
  data::Loader loader(images, {.batch_size = images.size()});
  loader.start(0);
  return loader.batch(0).x;
}

struct Case {
  std::string name;
  Graph graph;
  data::Dataset images;
};

std::vector<Case> cases() {
  const models::Model resnet8 = test::random_model("resnet8", 61), mobilenet = test::random_model("mobilenet_v1", 62),
                      ds_cnn = test::random_model("ds_cnn", 63), autoencoder = test::random_model("autoencoder", 64);
  std::vector<Case> out;
  out.push_back({"resnet8 per channel", test::random_export(resnet8, MixPrecType::PER_CHANNEL, {2, 4, 8}, 1),
                 data::glyphs(1, 0.1, {.train = 100, .test = 1000}).test});
  out.push_back({"resnet8 pruned", test::random_export(resnet8, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, 2),
                 data::glyphs(2, 0.1, {.train = 100, .test = 200}).test});
  out.push_back({"mobilenet_v1", test::random_export(mobilenet, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, 3, {3, 48, 48}),
                 test::random_images(50, {3, 48, 48}, 3)});
  out.push_back({"ds_cnn", test::random_export(ds_cnn, MixPrecType::PER_LAYER, {2, 4, 8}, 4),
                 test::random_images(200, ds_cnn.input_shape, 4)});
  out.push_back({"autoencoder", test::random_export(autoencoder, MixPrecType::PER_CHANNEL, {2, 4, 8}, 5),
                 test::random_images(50, {640, 1, 1}, 5)});
  for (const bool quantize_output : {false, true})
    out.push_back({"every op", test::every_op(quantize_output, 6), test::random_images(200, {3, 16, 16}, 6)});
  return out;
}

}  // namespace

TEST_CASE("ONNX out: ONNX's checker accepts the files, and weights are integers") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    onnx::ModelProto model;
    REQUIRE(model.ParseFromString(to_onnx(to_integer(c.graph), 13)));
    CHECK_NOTHROW(onnx::checker::check_model(model));
    int64_t integers = 0;
    for (const auto& t : model.graph().initializer())
      integers += t.data_type() == onnx::TensorProto::INT8 && t.dims_size() > 1;
    CHECK(integers == std::ranges::count_if(c.graph.nodes, &Node::is_layer));
  }
}

TEST_CASE("ONNX out: ONNX Runtime gives the same top-1, with INT8 and INT4") {
  if (!test::has_onnx_runtime()) return;
  for (const Case& c : cases()) {
    const Tensor x = batch_of(c.images);
    const std::vector<float> expected = c.graph.forward(x).to_vector();
    const auto [low, high] = std::ranges::minmax(expected);
    for (const int opset : {13, 21}) {
      CAPTURE(c.name);
      CAPTURE(opset);
      const std::vector<float> got = test::run_onnx(to_onnx(to_integer(c.graph), opset), x);
      REQUIRE(got.size() == expected.size());
      CHECK(same_top1(got, expected, c.images.size()) * 1000 >= c.images.size() * 999);
      double total = 0;
      for (size_t i = 0; i < got.size(); ++i) total += std::abs(static_cast<double>(got[i]) - expected[i]);
      CHECK(total / static_cast<double>(got.size()) <= 1e-3 * (high - low));
    }
  }
}
