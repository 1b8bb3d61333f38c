// SPDX-License-Identifier: Apache-2.0
// Networks have an integer form whatever their last operator, and those without one are detected before training.
#include "../networks.h"
#include "../shell.h"
#include "../skip.h"
#include "ends.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace mixgrad;
using test::FormCase;

namespace {

Graph searched(const MixPrecOptions& changes) {
  MixPrecOptions options = changes;
  options.input_shape = {3, 32, 32};
  Graph graph = simplified(*test::random_resnet8(3), options.input_shape);
  place_quantizers(graph, options);
  calibrate(graph, options);
  return graph;
}

}  // namespace

TEST_CASE("ends of networks: codes, or sums if a layer, an Add or a Mul produces the result, in every form") {
  for (const bool quantize_output : {false, true}) {
    const std::vector<FormCase> cases = test::networks_by_end(quantize_output);
    for (const FormCase& c : cases) {
      CAPTURE(c.name);
      const bool made_by_layer = c.name == "an image" || c.name == "a ReLU" || c.name == "a ReLU6" ||
                                 c.name == "an Add" || c.name == "an Add of flattened images" || c.name == "a Mul";
      CHECK(c.network.result().raw == (made_by_layer && !quantize_output));
      for (size_t o = 0; const GraphOutput& output : c.graph.outputs())
        CHECK(c.network.outputs[o++].shape == c.graph.nodes[static_cast<size_t>(output.node)].shape);
      check_engine(c);
    }
    if (test::has("gcc")) check_c(cases);
  }
  if (!test::has("gcc")) test::skip("no gcc: apt-get install gcc");
}

TEST_CASE("ends of networks: a ReLU6 clamps an unquantized result at 6") {
  for (const FormCase& c : test::networks_by_end(false)) {
    if (c.name != "a ReLU6") continue;
    Graph graph = c.graph.clone();
    for (float& b : std::ranges::find(graph.nodes, "head", &Node::name)->params[1].data()) b = 5.5F;
    const FormCase high("a ReLU6 that is reached", graph, c.images);
    const std::vector<float> results = graph.forward(high.x).to_vector();
    CHECK(std::ranges::max(results) == 6);
    CHECK(std::ranges::min(results) < 5);
    check_engine(high);
    if (test::has("gcc")) test::check_c({high});
  }
}

TEST_CASE("ends of networks: classes as images of one position are trained as usual") {
  const FormCase c = std::move(test::networks_by_end(false)[1]);
  REQUIRE(c.network.outputs[0].shape == Shape{5, 1, 1});
  data::Dataset labelled = c.images;
  for (int64_t i = 0; i < labelled.size(); ++i) labelled.labels.push_back(static_cast<int32_t>(i % 5));
  const train::Score score = train::evaluate(c.graph, labelled);
  CHECK(score.metric == train::find_task("classify").metric);
  CHECK(score.images == 20);
}

TEST_CASE("ends of networks: one from before pools worked on codes is refused with advice") {
  const FormCase c = std::move(test::networks_by_end(false)[2]);
  Graph old = c.graph.clone();
  std::ranges::find(old.nodes, "head", &Node::name)->output_slot = nullptr;
  CHECK_THROWS_WITH(
      to_integer(old),
      "'head' has no quantizer, but 'flatten' after it works on codes: search the network again to add one");
}

TEST_CASE("ends of networks: a missing integer form is detected before training") {
  CHECK(integer_obstacle(searched({})) == "");
  CHECK(integer_obstacle(searched({.exclude_names = {"stack2.conv1"}})).find("'stack2.conv1'") == 0);
  CHECK(integer_obstacle(searched({.activation_quantizer = quant::find_activation("plinio-pact")}))
            .find("is quantized by plinio-pact") != std::string::npos);
}
