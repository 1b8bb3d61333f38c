// SPDX-License-Identifier: Apache-2.0
// Batch norms that stay: layers at 8 bits, whose channels are pruned with those that they read.
#include "../networks.h"
#include "../refusal.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <algorithm>

using namespace mixgrad;

namespace {

const Shape image{3, 8, 8};

/// A pre-activation network: the batch norms read a sum that others read, too; the last stands behind pooling.
struct PreActivation : nn::Module {
  PreActivation() {
    const std::pair<const char*, nn::Module*> parts[] = {{"stem", &stem}, {"bn1", &bn1},     {"conv1", &conv1},
                                                         {"bn2", &bn2},   {"conv2", &conv2}, {"bn3", &bn3},
                                                         {"fc", &fc}};
    for (const auto& [name, module] : parts) add_module(name, *module);
    nn::initialize(*this, Rng(1, "init"));
    Rng rng(2, "moments");
    for (nn::BatchNorm2d* norm : {&bn1, &bn2, &bn3}) {
      for (float& v : norm->gamma.data()) v = static_cast<float>(rng.uniform(-1.5, 1.5));
      for (float& v : norm->beta.data()) v = static_cast<float>(rng.normal());
      for (float& v : norm->running_mean.data()) v = static_cast<float>(rng.normal());
    }
    eval();
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = stem(x);
    const Tensor sum = add(y, conv2(relu(bn2(conv1(relu(bn1(y)))))));
    return fc(flatten(global_avg_pool2d(relu(bn3(max_pool2d(sum))))));
  }
  nn::Conv2d stem{{.in_channels = 3, .out_channels = 8, .padding = {1, 1}}},
      conv1{{.in_channels = 8, .out_channels = 6, .padding = {1, 1}, .bias = false}},
      conv2{{.in_channels = 6, .out_channels = 8, .padding = {1, 1}}};
  nn::BatchNorm2d bn1{8}, bn2{6}, bn3{8};
  nn::Linear fc{{.in_features = 8, .out_features = 4}};
};

MixPrecOptions options() {
  return {.input_shape = image,
          .activation_precisions = {4, 8},
          .weight_precisions = {0, 2, 4, 8},
          .w_mixprec_type = MixPrecType::PER_CHANNEL,
          .calibration = {test::random_batch(4, image, 2, 5).x}};
}

const Node& node(const Graph& graph, const std::string& name) {
  return *std::ranges::find(graph.nodes, name, &Node::name);
}

/// Prunes these channels of a layer, and no others.
void prune(MixPrec& net, const std::string& layer, const std::vector<size_t>& pruned) {
  const WeightSlot& slot = *node(net.graph(), layer).weight_slot;
  const auto channels = static_cast<size_t>(slot.alpha.dim(1));
  for (size_t c = 0; c < channels; ++c) slot.alpha.data()[c] = std::ranges::count(pruned, c) > 0 ? 50.0F : -50.0F;
}

/// Prunes channels 1 and 5 of the sum.
void prune_two(MixPrec& net) { prune(net, "stem", {1, 5}); }

/// Checks that the export gives the same results without the pruned channels, also as integers.
void check_export(const MixPrec& search) {
  const Tensor x = test::random_batch(6, image, 2, 11).x;
  const Graph discrete = discretize(search.graph()), exported = search.arch_export();
  const NoTape pause;
  CHECK(test::same_bytes(discrete.forward(x).data(), exported.forward(x).data()));
  const Agreement agreement = compare(exported, to_integer(exported), test::random_images(10, image, 3));
  for (const TensorAgreement& t : agreement.tensors) CHECK(t.equal == t.codes);
}

/// Checks that an almost one-hot θ leaves nothing of these channels while the network searches.
void check_zero(const MixPrec& search, const std::string& name, const std::vector<int64_t>& channels) {
  const NoTape pause;
  std::vector<Tensor> values;
  search.graph().run(search.graph().bind(), test::random_batch(6, image, 2, 11).x, &values);
  const auto i = std::ranges::find(search.graph().nodes, name, &Node::name) - search.graph().nodes.begin();
  const Tensor& value = values[static_cast<size_t>(i)];
  const int64_t positions = value.dim(2) * value.dim(3);
  const std::vector<float> rows = value.to_vector();
  for (const int64_t c : channels) {
    CAPTURE(c);
    CHECK(
        std::all_of(rows.begin() + c * positions, rows.begin() + (c + 1) * positions, [](float v) { return v == 0; }));
  }
}

/// Checks that no cost counts the pruned channels, whether computed from θ, the discrete network or its export.
void check_costs(const MixPrec& search) {
  const Graph discrete = discretize(search.graph()), exported = search.arch_export();
  for (const cost::Model& model : cost::all()) {
    CAPTURE(model.name);
    const auto of = [&](const Graph& g) { return cost::if_defined([&] { return cost::discrete(g, model); }); };
    CHECK(of(discrete).has_value() == of(exported).has_value());
    if (!of(exported)) continue;
    CHECK(*of(discrete) == doctest::Approx(*of(exported)));
    CHECK(cost::Meter(discrete, model)() == doctest::Approx(*of(exported)));
    CHECK(cost::soft(search.graph(), model, search.graph().softmax_thetas(1e-4)).item() ==
          doctest::Approx(*of(exported)));
  }
}

}  // namespace

TEST_CASE("affine: one candidate of 8 bits, its own α; only bn2, directly behind a convolution, is folded") {
  PreActivation net;
  const MixPrec search(net, options());
  int64_t count = 0;
  for (const Node& n : search.graph().nodes) {
    if (!n.as<op::Affine>()) continue;
    ++count;
    CHECK(n.weight_slot->precisions == std::vector{8});
    CHECK(n.weight_slot->alpha.shape() == Shape{1, 8});
    CHECK(n.weight_slot != node(search.graph(), "stem").weight_slot);
    CHECK(n.activation == Activation::relu);
    CHECK(n.output_slot->precisions == std::vector{4, 8});
  }
  CHECK(count == 2);
  CHECK(node(search.graph(), "stem").weight_slot == node(search.graph(), "conv2").weight_slot);
  CHECK(node(search.graph(), "stem").weight_slot->precisions == std::vector{0, 2, 4, 8});
}

TEST_CASE("affine: a search step in bfloat16 has about the loss of one in floats") {
  PreActivation net;
  MixPrec search(net, options());
  const data::Batch batch = test::random_batch(6, image, 4, 7);
  const auto loss = [&](DType dtype) {
    return train::step(search.graph(), batch, {.sample = [&] { return search.sample(); }, .dtype = dtype})
        .task.mean_loss();
  };
  CHECK(loss(DType::bfloat16) == doctest::Approx(loss(DType::float32)).epsilon(0.05));
}

TEST_CASE("affine: a pruned channel takes its shift with it, and the export lacks it without any change of results") {
  PreActivation net;
  MixPrec search(net, options());
  test::randomize_architecture(search, 3);
  prune_two(search);
  const Graph exported = search.arch_export();
  CHECK(node(exported, "bn1").weight().shape() == Shape{6});
  CHECK(node(exported, "bn3").shape[0] == 6);
  CHECK(node(exported, "conv1").weight().dim(1) == 6);
  check_export(search);
  for (const char* name : {"bn1", "bn3"}) check_zero(search, name, {1, 5});
}

TEST_CASE("affine: it counts in costs, without the channels that are pruned before it") {
  PreActivation net;
  MixPrec search(net, options());
  test::randomize_architecture(search, 3);
  prune_two(search);
  check_costs(search);
  const Graph exported = search.arch_export();
  CHECK(node(exported, "bn1").macs() == 6 * 8 * 8);
  CHECK(node(exported, "bn3").macs() == 6 * 4 * 4);
}

TEST_CASE("affine: behind a Concat, each channel goes with the layer that makes it") {
  struct Joined : nn::Module {
    Joined() {
      const std::pair<const char*, nn::Module*> parts[] = {
          {"a", &a}, {"b", &b}, {"bn", &bn}, {"conv", &conv}, {"fc", &fc}};
      for (const auto& [name, module] : parts) add_module(name, *module);
      nn::initialize(*this, Rng(1, "init"));
      Rng rng(2, "moments");
      for (float& v : bn.beta.data()) v = static_cast<float>(rng.normal());
      eval();
    }
    Tensor forward(const Tensor& x) override {
      const Tensor joined = concat({relu(a(x)), x, relu(b(x))});
      return fc(flatten(global_avg_pool2d(relu(conv(bn(joined))))));
    }
    nn::Conv2d a{{.in_channels = 3, .out_channels = 4, .padding = {1, 1}}},
        b{{.in_channels = 3, .out_channels = 5, .padding = {1, 1}}},
        conv{{.in_channels = 12, .out_channels = 6, .padding = {1, 1}}};
    nn::BatchNorm2d bn{12};
    nn::Linear fc{{.in_features = 6, .out_features = 4}};
  } net;
  MixPrec search(net, options());
  test::randomize_architecture(search, 3);
  prune(search, "a", {1});
  prune(search, "b", {0, 4});
  CHECK(node(search.graph(), "a").weight_slot != node(search.graph(), "b").weight_slot);
  check_export(search);
  const Graph exported = search.arch_export();
  CHECK(node(exported, "bn").weight().shape() == Shape{9});
  check_zero(search, "bn", {1, 7, 11});
  check_costs(search);
}

TEST_CASE("affine: targets are met with it, and behind a flatten it loses all positions of a channel") {
  PreActivation net;
  MixPrec search(net, options());
  const Target target{.model = cost::size(), .limit = 0.4 * cost::uniform(search.graph(), cost::size(), 8)};
  const MetTargets met = meet_targets(search.graph(), std::vector{target});
  CHECK(cost::discrete(exported(met.network), cost::size()) <= target.limit);

  struct Flat : nn::Module {
    Flat() {
      add_module("conv", conv);
      add_module("bn", bn);
      add_module("fc", fc);
      nn::initialize(*this, Rng(1, "init"));
      for (float& v : bn.running_mean.data()) v = 0.1F;
      eval();
    }
    Tensor forward(const Tensor& x) override { return fc(relu(bn(relu(flatten(conv(x)))))); }
    nn::Conv2d conv{{.in_channels = 3, .out_channels = 4}};
    nn::BatchNorm2d bn{144};
    nn::Linear fc{{.in_features = 144, .out_features = 3}};
  } flat;
  MixPrec flattened(flat, options());
  CHECK(node(flattened.graph(), "conv").weight_slot->precisions == std::vector{0, 2, 4, 8});
  prune(flattened, "conv", {2});
  const Graph discrete = flattened.arch_export();
  CHECK(std::ranges::count(discrete.nodes, "affine", &Node::op_name) == 1);
  CHECK(node(discrete, "bn").weight().shape() == Shape{108});
  check_export(flattened);
  check_costs(flattened);
}
