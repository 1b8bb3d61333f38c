// SPDX-License-Identifier: Apache-2.0
// Channels whose weights are negligible compared with their biases still compute the right function.
#include "small_weights.h"

#include "../networks.h"
#include "../shell.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

TEST_CASE("small weights: 8 bits give the float network's function, whatever γ and β") {
  for (const float largest : {0.0F, 1e-3F, 2.0F, 1e4F, 1e12F}) {
    for (const MixPrecType type : {MixPrecType::PER_LAYER, MixPrecType::PER_CHANNEL}) {
      CAPTURE(largest);
      const test::FormCase coded = test::coded_with_small_weights(largest, type);
      const std::vector<float> expected = test::float_with_small_weights(largest).forward(coded.x).to_vector(),
                               got = coded.graph.forward(coded.x).to_vector();
      float size = 1, off = 0;  // values of the other channels are near 1
      for (size_t i = 0; i < got.size(); ++i) {
        size = std::max(size, std::abs(expected[i]));
        off = std::max(off, std::abs(got[i] - expected[i]));
        CHECK(std::isfinite(got[i]));
      }
      CHECK(off < 0.02F * size);
    }
  }
}

TEST_CASE("small weights: simulation, engine and C agree") {
  const std::vector<test::FormCase> cases = test::networks_with_small_weights();
  for (const test::FormCase& c : cases) check_engine(c);
  if (test::has("gcc")) check_c(cases);
}

TEST_CASE("small weights: their channels are counted, and others are bound as usual") {
  const Graph graph = test::coded_with_small_weights(2, MixPrecType::PER_CHANNEL).graph;
  const Binding binding = graph.bind();
  int layers = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.is_layer()) continue;
    CAPTURE(node.name);
    CHECK(graph.channels_set_by_bias(node) == (node.as<op::Conv2d>() ? 7 : 0));  // γ of 1e-5 and less
    const Tensor own = weight_scales(node.weight(), node.weight_slot->bits, *node.weight_slot->quantizer);
    for (const size_t c : {0U, 1U}) CHECK(graph.coded_scales(node).data()[c] == own.data()[c]);
    for (const int32_t code : bias_codes(binding.nodes[i].bias, binding.nodes[i].scale))
      CHECK(std::abs(code) <= 1.0001 * 0x1p30);
    ++layers;
  }
  CHECK(layers == 3);
}

TEST_CASE("small weights: fine-tuning keeps gradients finite and biases in range") {
  Graph graph = test::coded_with_small_weights(2, MixPrecType::PER_CHANNEL).graph;
  const data::Batch batch = test::random_batch(16, graph.input_shape(), 4, 6);
  std::vector<Tensor> parameters;
  for (const Parameter& p : graph.parameters()) parameters.push_back(p.tensor);
  optim::Adam adam({{.parameters = parameters}}, {.lr = 1e-3});
  for (int i = 0; i < 5; ++i) {
    CHECK(std::isfinite(train::step(graph, batch).task.loss));
    adam.step();
  }
  CHECK_NOTHROW(to_integer(graph));
}
