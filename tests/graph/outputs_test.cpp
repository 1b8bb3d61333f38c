// SPDX-License-Identifier: Apache-2.0
// Networks with several outputs; tests/deploy covers their integer forms.
#include "../networks.h"
#include "../refusal.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <algorithm>

using namespace mixgrad;
using test::refusal;

namespace {

/// Scores of 4 classes, and the map [6, 8, 8] that they are made from, which may be read on before it is returned.
class TwoHeads : public nn::Module {
 public:
  TwoHeads()
      : stem_({.in_channels = 3, .out_channels = 6, .padding = {1, 1}}),
        head_({.in_channels = 6, .out_channels = 4, .kernel = {1, 1}}) {
    add_module("stem", stem_);
    add_module("head", head_);
    nn::initialize(*this, Rng(4, "init"));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = relu(stem_(x));
    return outputs({flatten(global_avg_pool2d(head_(map))), map}, {"scores", "map"});
  }

 private:
  nn::Conv2d stem_, head_;
};

const Shape image{3, 8, 8};

const ActivationSlot* slot(const Graph& graph, const std::string& name) {
  return std::ranges::find(graph.nodes, name, &Node::name)->output_slot.get();
}

}  // namespace

TEST_CASE("outputs: a row holds each output, in row-major order, by name") {
  TwoHeads net;
  const Graph graph = trace(net, image);
  CHECK(graph.output_shape() == Shape{4 + 6 * 64});
  const std::vector<GraphOutput> outputs = graph.outputs();
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].name == "scores");
  CHECK(outputs[1].name == "map");
  std::vector<Tensor> values;
  const Tensor row = graph.run(graph.bind(), test::random_batch(2, image, 1, 5).x, &values);
  const std::vector<float> map = values[static_cast<size_t>(outputs[1].node)].to_vector();
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t k = 0; k < 6 * 64; ++k)
      CHECK(row.to_vector()[static_cast<size_t>(n * 388 + 4 + k)] == map[static_cast<size_t>(n * 384 + k)]);
  }
}

TEST_CASE("outputs: saved graphs keep them; they only end a network") {
  TwoHeads net;
  const Graph graph = simplified(net, image);
  const io::Safetensors saved = to_safetensors(graph);
  const Graph read = graph_from(saved);
  const Tensor x = test::random_batch(2, image, 1, 5).x;
  CHECK(read.forward(x).to_vector() == graph.forward(x).to_vector());
  CHECK(read.outputs()[1].name == "map");

  io::Safetensors early = saved;
  std::string& structure = early.metadata.at("mixgrad");
  const std::string end = "\"output\":" + std::to_string(graph.output);
  REQUIRE(structure.find(end) != std::string::npos);
  structure.replace(structure.find(end), end.size(), "\"output\":1");
  CHECK(refusal([&] { graph_from(early); }).find("'outputs' must be the output node") != std::string::npos);

  struct Inside : nn::Module {
    Inside() {
      add_module("head", head);
      nn::initialize(*this, Rng(4, "init"));
    }
    Tensor forward(const Tensor& x) override { return head(outputs({x, x})); }
    nn::Linear head{{.in_features = 2 * 192, .out_features = 4}};
  } inside;
  CHECK(refusal([&] { trace(inside, image); }) ==
        "cannot convert outputs: outputs end a network, but other ops read them");
  CHECK(refusal([&] { outputs({x, x}, {"a"}); }) == "[outputs] 1 names for 2 outputs: expected one for each");
  CHECK(refusal([&] {
          outputs({x, x}, {"a", "a"});
        }) == "[outputs] two outputs have one name: expected different ones");
  CHECK(refusal([&] { outputs({}); }) == "[outputs] no outputs: expected at least one");
  CHECK(refusal([&] {
          outputs({x, Tensor::zeros({3, 2})});
        }) == "[outputs] output [3, 2] next to [2, 3, 8, 8]: expected values for each of the same images");
}

TEST_CASE("outputs: only what is read on has a quantizer, and no output loses channels") {
  TwoHeads net;
  MixPrecOptions options{.input_shape = image,
                         .weight_precisions = {0, 2, 8},
                         .w_mixprec_type = MixPrecType::PER_CHANNEL,
                         .calibration = {test::random_batch(4, image, 2, 5).x}};
  const MixPrec search(net, options);
  const Graph& graph = search.graph();
  CHECK(slot(graph, "stem") != nullptr);
  CHECK(slot(graph, "head") != nullptr);  // a pool works on its codes
  CHECK(graph.nodes[static_cast<size_t>(graph.output)].output_slot == nullptr);
  for (const auto& weights : graph.weight_slots()) CHECK(weights->precisions == std::vector{2, 8});
  // Memory: the input and the map, which stays; the scores before and after the pool.
  const double pixels = 64, peak = cost::discrete(graph, cost::activations());
  CHECK(peak == 8 * pixels * (6 + 4) + 8 * 4);
}
