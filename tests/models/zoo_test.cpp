// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../refusal.h"
#include "../worse.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <set>

using namespace mixgrad;
using nlohmann::json;

namespace {

/// A layer as text, so that layers can be compared in any order.
std::string described(const Node& node) {
  std::string out = std::string(node.op_name()) + " " + node.weight().shape().str();
  if (const auto* conv = node.as<op::Conv2d>()) {
    const Conv2dAttrs& a = conv->attrs;
    out += fmt::format(" stride {} {} padding {} {} groups {}", a.stride[0], a.stride[1], a.padding[0], a.padding[1],
                       a.groups);
  }
  return out + " to " + node.shape.str();
}

std::string described(const json& layer) {
  const auto shape = [](const json& j) { return Shape(j.get<std::vector<int64_t>>()).str(); };
  const bool conv = layer.at("type") == "Conv2d";
  std::string out = std::string(conv ? "conv2d" : "linear") + " " + shape(layer.at("weight"));
  if (conv) {
    int64_t top = 0, left = 0;
    REQUIRE(std::sscanf(layer.at("padding").get<std::string>().c_str(), "(%" SCNd64 ", %" SCNd64 ")", &top, &left) ==
            2);
    const auto stride = layer.at("stride").get<std::vector<int64_t>>();
    out += fmt::format(" stride {} {} padding {} {} groups {}", stride[0], stride[1], top, left,
                       layer.at("groups").get<int64_t>());
  }
  return out + " to " + shape(layer.at("out"));
}

MixPrecOptions options_for(const models::Model& model, MixPrecType type, std::vector<int> weight_bits) {
  return {.input_shape = model.input_shape,
          .activation_precisions = {2, 4, 8},
          .weight_precisions = std::move(weight_bits),
          .w_mixprec_type = type,
          .calibration = {test::random_batch(2, model.input_shape, 2, 5).x}};
}

/// The channels of every node's value that the export keeps, from the search network's discrete form.
std::vector<std::vector<int64_t>> kept_channels(const Graph& discrete) {
  std::vector<std::vector<int64_t>> out;
  for (const std::vector<ChannelOrigin>& origins : channel_origins(discrete)) {
    std::vector<int64_t>& kept = out.emplace_back();
    for (size_t c = 0; c < origins.size(); ++c) {
      const WeightSlot* slot = discrete.nodes[static_cast<size_t>(origins[c].node)].weight_slot.get();
      if (slot == nullptr || slot->bits[static_cast<size_t>(origins[c].channel)] != 0)
        kept.push_back(static_cast<int64_t>(c));
    }
  }
  return out;
}

/// Values of the kept channels of `whole` [N, C, ...], in NCHW order.
std::vector<float> kept(const Tensor& whole, const std::vector<int64_t>& live) {
  const std::vector<float> all = whole.to_vector();
  const int64_t n = whole.dim(0), c = whole.dim(1), positions = whole.size() / (n * c);
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t channel : live) {
      const auto first = all.begin() + (i * c + channel) * positions;
      out.insert(out.end(), first, first + positions);
    }
  }
  return out;
}

/// Checks that the codes of every node agree on the kept channels, and logits to 1e-5 of their range.
void check_export(MixPrec& net, const Tensor& x) {
  const Graph discrete = discretize(net.graph()), exported = net.arch_export();
  REQUIRE(exported.nodes.size() == discrete.nodes.size());
  std::vector<Tensor> searched_values, exported_values;
  const Tensor before = discrete.run(discrete.bind(), x, &searched_values),
               after = exported.run(exported.bind(), x, &exported_values);
  const std::vector<std::vector<int64_t>> channels = kept_channels(discrete);
  int64_t differing = 0;
  for (int i = 0; i < std::ssize(discrete.nodes); ++i) {
    const auto n = static_cast<size_t>(i);
    if (discrete.nodes[static_cast<size_t>(discrete.quantized_by(i))].output_slot == nullptr) continue;
    const std::vector<float> expected = kept(searched_values[n], channels[n]), got = exported_values[n].to_vector();
    REQUIRE(expected.size() == got.size());
    for (size_t k = 0; k < got.size(); ++k) differing += expected[k] != got[k];
  }
  CHECK(differing == 0);
  const std::vector<float> a = before.to_vector(), b = after.to_vector();
  const auto [low, high] = std::ranges::minmax(a);
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = test::worse(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  CHECK(worst <= 1e-5 * (high - low));
}

/// Checks that every removed channel is gone from its layer and from the layer's consumers.
void check_removed(const MixPrec& net, bool pruning) {
  const Graph discrete = discretize(net.graph()), exported = net.arch_export();
  const std::vector<std::vector<int64_t>> channels = kept_channels(discrete);
  int64_t removed = 0;
  for (int i = 1; i < std::ssize(discrete.nodes); ++i) {
    const Node& before = discrete.nodes[static_cast<size_t>(i)];
    const Node& after = exported.nodes[static_cast<size_t>(i)];
    if (!before.is_layer()) continue;
    const int64_t out = std::ssize(channels[static_cast<size_t>(i)]),
                  in = std::ssize(channels[static_cast<size_t>(before.inputs[0])]);
    const bool depthwise = before.layer_shape().groups > 1;
    const int64_t positions = before.weight().size() / before.weight().dim(0) / before.weight().dim(1);
    CHECK(after.weight().size() == out * (depthwise ? 1 : in) * positions);
    CHECK(after.bias().size() == out);
    CHECK(std::ranges::count(after.weight_slot->bits, 0) == 0);
    removed += before.weight().dim(0) - out;
  }
  CHECK((removed > 0) == pruning);
}

}  // namespace

TEST_CASE("zoo: layers, weights and MACs match the official definitions") {
  const json zoo = json::parse(io::read_file(MIXGRAD_SOURCE_DIR "/tests/golden/zoo.json"));
  REQUIRE(zoo.size() == 4);
  for (const auto& [name, expected] : zoo.items()) {
    CAPTURE(name);
    const models::Model model = test::random_model(name, 1);
    auto input = expected.at("input").get<std::vector<int64_t>>();
    input.resize(3, 1);
    CHECK(model.input_shape == Shape(input));
    const Graph graph = simplified(*model.net, model.input_shape);
    std::multiset<std::string> found, wanted;
    for (const Node& node : graph.nodes) {
      if (node.is_layer()) found.insert(described(node));
    }
    for (const json& layer : expected.at("layers")) wanted.insert(described(layer));
    CHECK(found == wanted);
    CHECK(cost::discrete(graph, cost::params()) == expected.at("weights").get<double>());
    CHECK(cost::discrete(graph, cost::ops()) == expected.at("macs").get<double>());
  }
}

TEST_CASE("zoo: parameters and MACs are those of the papers") {
  using namespace models;
  struct Case {
    const char* name;
    std::unique_ptr<nn::Module> net;
    Shape image;
    int64_t parameters;                           // of the authors' or torchvision's network
    double published_parameters, published_macs;  // in millions; 0: at other sizes
  };
  std::vector<Case> cases;
  const auto add = [&](const char* name, std::unique_ptr<nn::Module> net, const Shape& image, int64_t parameters,
                       double published_parameters, double published_macs) {
    cases.push_back({name, std::move(net), image, parameters, published_parameters, published_macs});
  };
  const Shape photo{3, 224, 224};
  add("mobilenet_v2", mobilenet_v2(), photo, 3504872, 3.5, 300);
  add("mobilenet_v2 0.35", mobilenet_v2({.width = 0.35}), photo, 0, 1.66, 59);
  add("mobilenet_v3_small", mobilenet_v3_small(), photo, 2542856, 2.5, 56);
  add("efficientnet_lite0", efficientnet_lite0(), photo, 4652008, 4.7, 407);
  add("squeezenet", squeezenet(), photo, 0, 1.24, 350);
  add("shufflenet_v2", shufflenet_v2(), photo, 2278604, 2.3, 146);
  add("shufflenet_v2 0.5", shufflenet_v2({.width = 0.5}), photo, 1366792, 1.4, 41);
  add("resnet20", resnet20(), {3, 32, 32}, 0, 0.27, 41);
  add("unet", unet(), {1, 16, 16}, 0, 31.0, 0);
  add("tiny_yolo", tiny_yolo(), {3, 416, 416}, 0, 15.9, 3490);
  for (const Case& c : cases) {
    CAPTURE(c.name);
    int64_t parameters = 0;
    for (const Tensor& p : c.net->parameters()) parameters += p.size();
    if (c.parameters > 0) CHECK(parameters == c.parameters);
    CHECK(static_cast<double>(parameters) / 1e6 == doctest::Approx(c.published_parameters).epsilon(0.02));
    if (c.published_macs == 0) continue;
    const double macs = cost::discrete(simplified(*c.net, c.image), cost::ops());
    CHECK(macs / 1e6 == doctest::Approx(c.published_macs).epsilon(0.06));
  }
}

TEST_CASE("zoo: every model trains, converts and searches, with finite losses and a gradient for every α") {
  for (const std::string& name : models::names()) {
    CAPTURE(name);
    const models::Model model = test::random_model(name, 2);
    const data::Batch batch = test::random_batch(4, model, 3);
    const train::Task& task = test::task_of(model);
    const train::StepResult warm = train::step(*model.net, batch, nullptr, &task);
    CHECK(std::isfinite(warm.task.loss));
    CHECK(warm.task.metric.name == (name == "autoencoder" || name == "tiny_yolo" ? "mean squared error"
                                    : name == "unet"                             ? "mean IoU"
                                                                                 : "accuracy"));
    MixPrec net(*model.net, options_for(model, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}));
    const train::StepResult result =
        train::step(net.graph(), batch,
                    {.sample = [&] { return net.sample(); },
                     .regularization = [&](const Thetas& t) { return net.get_regularization_loss(t); },
                     .task = &task});
    CHECK(std::isfinite(result.task.loss));
    CHECK(result.regularization > 0);
    for (const Tensor& alpha : net.nas_parameters()) CHECK((alpha.dim(0) == 1 || !alpha.grad().empty()));
  }
}

TEST_CASE("zoo: exported networks give the search network's codes, without the pruned channels") {
  uint64_t seed = 10;
  for (const std::string& name : models::names()) {
    const models::Model model = test::random_model(name, ++seed);
    const Tensor x = test::random_batch(2, model.input_shape, 2, seed).x;
    for (const auto& [type, bits] : {std::pair{MixPrecType::PER_LAYER, std::vector{2, 4, 8}},
                                     {MixPrecType::PER_CHANNEL, {2, 4, 8}},
                                     {MixPrecType::PER_CHANNEL, {0, 2, 4, 8}}}) {
      CAPTURE(name);
      CAPTURE(bits[0]);
      MixPrec net(*model.net, options_for(model, type, bits));
      test::randomize_architecture(net, seed);
      check_export(net, x);
      check_removed(net, bits[0] == 0);
    }
  }
}

TEST_CASE("zoo: every model takes images of any size that its strides can halve, and any number of channels") {
  struct Case {
    const char* name;
    Shape least;            // its number of channels is unusual
    int64_t goes_over = 2;  // the fewest rows or columns that a stride goes over
    Shape other{3, 21, 40};
  };
  for (const Case& c : std::vector<Case>{{"resnet8", {1, 3, 3}},
                                         {"mobilenet_v1", {4, 17, 17}},
                                         {"ds_cnn", {3, 2, 2}},
                                         {"autoencoder", {2, 1, 1}, 0},
                                         {"resnet20", {4, 3, 3}},
                                         {"mobilenet_v2", {4, 5, 5}},
                                         {"mobilenet_v3_small", {1, 5, 5}},
                                         {"efficientnet_lite0", {2, 5, 5}},
                                         {"squeezenet", {4, 8, 8}, 3},
                                         {"shufflenet_v2", {1, 5, 5}},
                                         {"unet", {1, 8, 8}, 2, {3, 24, 40}},
                                         {"tiny_yolo", {1, 17, 17}, 2, {3, 75, 40}}}) {
    CAPTURE(c.name);
    for (const Shape& shape : {c.least, c.other}) {
      const models::Model model = models::make(c.name, 7, {.input_shape = shape});
      CHECK(model.input_shape == shape);
      nn::initialize(*model.net, Rng(1, "zoo"));
      const Tensor x = test::random_batch(2, shape, 2, 3).x;
      const Shape got = (*model.net)(x).shape();
      CHECK(Shape(got.dims().subspan(1)) == model.output_shape);
      CHECK(model.output_shape[0] == (c.goes_over > 0 ? 7 : shape.size()));
      if (cost::discrete(simplified(*model.net, shape), cost::params()) > 300000) continue;  // takes too long
      MixPrec net(*model.net, options_for(model, MixPrecType::PER_CHANNEL, {0, 2, 4, 8}));
      test::randomize_architecture(net, 4);
      check_export(net, x);
    }
    int64_t least = 1 << 20;
    const Graph graph = simplified(*models::make(c.name, 7, {.input_shape = c.least}).net, c.least);
    for (const Node& node : graph.nodes) {
      const auto* conv = node.as<op::Conv2d>();
      const auto* pool = node.as<op::MaxPool2d>();
      if (conv == nullptr && pool == nullptr) continue;
      const auto stride = conv != nullptr ? conv->attrs.stride : pool->attrs.stride;
      const Shape from = graph.nodes[static_cast<size_t>(node.inputs[0])].shape;
      for (const size_t axis : {0U, 1U}) {
        if (stride[axis] != 1) least = std::min(least, from[static_cast<int>(axis) + 1]);
      }
    }
    if (c.goes_over == 0) continue;
    CHECK(least == c.goes_over);
    for (const int axis : {1, 2}) {
      Shape smaller = c.least;
      --smaller[axis];
      CHECK(test::refusal([&] { models::make(c.name, 7, {.input_shape = smaller}); }) ==
            fmt::format("model {}: images {} (C, H, W) are too small for its strides: expected at least {} rows and {} "
                        "columns",
                        c.name, smaller.str(), c.least[1], c.least[2]));
    }
  }
  for (const Shape& odd : {Shape{3, 20, 16}, Shape{3, 16, 20}})
    CHECK(test::refusal([&] { models::make("unet", 2, {.input_shape = odd}); }) ==
          fmt::format(
              "model unet: images {} (C, H, W) are not possible: expected rows and columns that are multiples of 8",
              odd.str()));
  for (const Shape& odd : {Shape{3, 32}, Shape{0, 32, 32}})
    CHECK(test::refusal([&] { models::make("resnet8", 10, {.input_shape = odd}); }).find("are not possible") !=
          std::string::npos);
}
