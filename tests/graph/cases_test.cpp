// SPDX-License-Identifier: Apache-2.0
// ONNX files as PyTorch exports them, whose batch norms and ReLU6s stand where no layer of their own precedes them.
#include "../networks.h"
#include "../refusal.h"

#include <mixgrad/io.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace mixgrad;

namespace {

std::string file(const std::string& name) { return std::string(MIXGRAD_SOURCE_DIR) + "/tests/graph/cases/" + name; }

/// The float32 values of a .npy file of version 1.
std::vector<float> values(const std::string& name) {
  const std::string bytes = io::read_file(file(name));
  const size_t begin = 10 + static_cast<uint8_t>(bytes.at(8)) + 256U * static_cast<uint8_t>(bytes.at(9));
  std::vector<float> out((bytes.size() - begin) / sizeof(float));
  std::memcpy(out.data(), bytes.data() + begin, out.size() * sizeof(float));
  return out;
}

/// Whether the discrete network's codes are the same in integers, with random α.
void check_codes(const std::string& name) {
  CAPTURE(name);
  const models::Model model = models::make(file(name), 10);
  const Shape& s = model.input_shape;
  MixPrec search(simplified(*model.net, s), {.input_shape = s,
                                             .activation_precisions = {2, 4, 8},
                                             .weight_precisions = {0, 2, 4, 8},
                                             .w_mixprec_type = MixPrecType::PER_CHANNEL,
                                             .calibration = {test::random_batch(4, s, 2, 5).x}});
  test::randomize_architecture(search, 1);
  const Graph discrete = search.arch_export();
  const Agreement agreement = compare(discrete, to_integer(discrete), test::random_images(20, s, 3));
  for (const TensorAgreement& t : agreement.tensors) CHECK(t.equal == t.codes);
}

}  // namespace

TEST_CASE("a ReLU6 around which others read: ONNX Runtime's outputs, and the same codes as integers") {
  const models::Model model = models::make(file("relu6_shared.onnx"), 10);
  const std::vector<float> x = values("relu6_shared.x.npy"), y = values("relu6_shared.y.npy");
  const Shape& s = model.input_shape;
  const Tensor images = Tensor::from({std::ssize(x) / s.size(), s[0], s[1], s[2]}, x);
  Graph graph = simplified(*model.net, s);
  const std::vector<float> got = graph.forward(images).to_vector();
  REQUIRE(got.size() == y.size());
  for (size_t i = 0; i < y.size(); ++i) CHECK(got[i] == doctest::Approx(y[i]).epsilon(1e-4));
  check_codes("relu6_shared.onnx");
}

TEST_CASE("batch norms that no node can absorb: layers of their own, with the same codes as integers") {
  for (const auto& [name, stay] : {std::pair("preact.onnx", 1), std::pair("bn_after_relu.onnx", 1)}) {
    CAPTURE(name);
    const models::Model model = models::make(file(name), 10);
    const Graph graph = simplified(*model.net, model.input_shape);
    CHECK(std::ranges::count(graph.nodes, "affine", &Node::op_name) >= stay);
    check_codes(name);
  }
}
