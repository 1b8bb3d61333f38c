// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

using namespace mixgrad;

namespace {

Graph placed(MixPrecOptions options, std::vector<LayerOverride> overrides) {
  Graph graph = simplified(*test::random_resnet8(1), {3, 32, 32});
  options.overrides = std::move(overrides);
  place_quantizers(graph, options);
  return graph;
}

const Node& layer(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes) {
    if (node.name == name) return node;
  }
  FAIL("no layer " << name);
  return graph.nodes[0];
}

const MixPrecOptions per_layer{.activation_precisions = {2, 4, 8}, .weight_precisions = {2, 4, 8}};
const MixPrecOptions pruning{
    .activation_precisions = {8}, .weight_precisions = {0, 2, 4, 8}, .w_mixprec_type = MixPrecType::PER_CHANNEL};

std::string message(const MixPrecOptions& options, const std::string& text) {
  return test::refusal([&] { placed(options, parse_overrides(text)); });
}

}  // namespace

TEST_CASE("overrides: weights, outputs and float layers by name and pattern; the first that fits holds") {
  const Graph graph = placed(
      per_layer,
      parse_overrides("conv=8  stack1.conv1=/8 stack2.conv1=float fc=4,2 stack2.*=/4,8 stack3.shortcut=2 stack3.*=4"));
  CHECK(layer(graph, "conv").weight_slot->precisions == std::vector{8});
  CHECK(layer(graph, "stack1.conv1").output_slot->precisions == std::vector{8});
  CHECK(layer(graph, "fc").weight_slot->precisions == std::vector{2, 4});
  CHECK(layer(graph, "stack2.conv1").weight_slot == nullptr);
  CHECK(layer(graph, "stack2.conv1").output_slot == nullptr);
  CHECK(layer(graph, "stack2.conv2").weight_slot->precisions == std::vector{2, 4, 8});
  CHECK(layer(graph, "stack2.conv2").output_slot->precisions == std::vector{4, 8});
  CHECK(layer(graph, "stack3.shortcut").weight_slot->precisions == std::vector{2});
  CHECK(layer(graph, "stack3.conv2").weight_slot->precisions == std::vector{4});
  CHECK(layer(graph, "stack1.conv1").weight_slot->precisions == std::vector{2, 4, 8});
}

TEST_CASE("overrides: layers without 0 bits keep the channels of all that are tied to them") {
  const Graph graph = placed(pruning, parse_overrides("conv=8"));
  CHECK(layer(graph, "conv").weight_slot->precisions == std::vector{8});
  CHECK(layer(graph, "stack1.conv2").weight_slot->precisions == std::vector{2, 4, 8});  // meets conv in an Add
  CHECK(layer(graph, "stack1.conv1").weight_slot->precisions == std::vector{0, 2, 4, 8});
  CHECK(layer(graph, "stack3.conv2").weight_slot == layer(graph, "stack3.shortcut").weight_slot);
}

TEST_CASE("overrides: a layer's own weight quantizer, with or without bits of its own") {
  const Graph graph = placed(per_layer, parse_overrides("conv=8:mse-signed fc=:minmax/8 stack2.*=4:lsq-odd"));
  const auto quantizer = [&](const char* name) { return layer(graph, name).weight_slot->quantizer->name; };
  CHECK(quantizer("conv") == "mse-signed");
  CHECK(layer(graph, "conv").weight_slot->precisions == std::vector{8});
  CHECK(quantizer("fc") == "minmax");
  CHECK(layer(graph, "fc").weight_slot->precisions == std::vector{2, 4, 8});
  CHECK(quantizer("stack2.conv2") == "lsq-odd");
  CHECK(layer(graph, "stack2.conv2").weight_scales);
  CHECK(quantizer("stack1.conv1") == per_layer.weight_quantizer->name);
  CHECK(message(per_layer, "conv=8:lsq").find("unknown quantizer of weights 'lsq': expected minmax,") !=
        std::string::npos);
  CHECK(message(pruning, "stack3.conv2=:mse-odd").find("another quantizer") != std::string::npos);
}

TEST_CASE("overrides: what can't be is told by name") {
  CHECK(message(per_layer, "stem=8").find("no layer 'stem'") != std::string::npos);
  CHECK(message(per_layer, "stack9.*=8").find("no layer 'stack9.*'") != std::string::npos);
  CHECK(message(per_layer, "conv=0,8").find("0 bits") != std::string::npos);
  CHECK(message(pruning, "stack3.conv2=0,8").find("loses channels together") != std::string::npos);
  CHECK(message(per_layer, "stack1.conv2=8/4").find("meets others in an Add") != std::string::npos);
  for (const char* bad :
       {"conv", "=8", "conv=", "conv=8/", "conv=8,", "conv=8x", "conv=8/4/2", "conv=8/x", "conv=8,:minmax"}) {
    CAPTURE(bad);
    CHECK(message(per_layer, bad).find("is not of the form") != std::string::npos);
  }
}

TEST_CASE("overrides: a layer that is none is told with those that there are, and with the one that was meant") {
  const std::string all = "expected one of 'conv', 'stack1.conv1', 'stack1.conv2', ";
  CHECK(message(per_layer, "stem=8").find("no layer 'stem': " + all) != std::string::npos);
  CHECK(message(per_layer, "stem=8").find("did you mean") == std::string::npos);
  CHECK(message(per_layer, "stack1.con1=8").find("; did you mean 'stack1.conv1'?") != std::string::npos);
  const std::string slashes = message(per_layer, "/stack1/conv1=8");
  CHECK(slashes.find("no layer '/stack1/conv1' (the import replaced / in names by .): " + all) != std::string::npos);
  CHECK(slashes.find("; did you mean 'stack1.conv1'?") != std::string::npos);

  MixPrecOptions excluding = per_layer;
  excluding.exclude_names = {"fcc"};
  const std::string excluded = test::refusal([&] { placed(excluding, {}); });
  CHECK(excluded.find("exclude_names: the network has no layer 'fcc': " + all) != std::string::npos);
  CHECK(excluded.find("; did you mean 'fc'?") != std::string::npos);
}

TEST_CASE("overrides: names in quotes hold spaces, equal signs and pattern characters") {
  const std::vector<LayerOverride> read = parse_overrides(R"('my layer'=8 fc=4  "it's = x"=2,4/8 'a[0]'=float)");
  REQUIRE(read.size() == 4);
  CHECK(read[0].name == "my layer");
  CHECK(read[0].weight_precisions == std::vector{8});
  CHECK(read[1].name == "fc");
  CHECK(read[1].weight_precisions == std::vector{4});
  CHECK(read[2].name == "it's = x");
  CHECK(read[2].weight_precisions == std::vector{2, 4});
  CHECK(read[2].activation_precisions == std::vector{8});
  CHECK(read[3].name == "a[0]");
  CHECK(read[3].exclude);

  Graph graph = simplified(*test::random_resnet8(1), {3, 32, 32});
  for (Node& node : graph.nodes) node.name = node.name == "conv" ? "my layer" : node.name == "fc" ? "a[0]" : node.name;
  MixPrecOptions options = per_layer;
  options.overrides = parse_overrides("'my layer'=8 'a[0]'=4");
  place_quantizers(graph, options);
  CHECK(layer(graph, "my layer").weight_slot->precisions == std::vector{8});
  CHECK(layer(graph, "a[0]").weight_slot->precisions == std::vector{4});

  for (const char* bad : {"my layer=8", "'my layer=8", "''=8", "'conv'8", "'conv'"}) {
    CAPTURE(bad);
    CHECK(message(per_layer, bad).find("is not of the form") != std::string::npos);
    CHECK(message(per_layer, bad).find("'my layer'=8") != std::string::npos);
  }
}
