// SPDX-License-Identifier: Apache-2.0
// Which layers lose channels together, and what is left when they have.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace mixgrad;
using test::refusal;

namespace {

const MixPrecOptions pruning{
    .activation_precisions = {8}, .weight_precisions = {0, 2, 8}, .w_mixprec_type = MixPrecType::PER_CHANNEL};

Node& node(Graph& graph, const std::string& name) { return *std::ranges::find(graph.nodes, name, &Node::name); }

Graph placed(Graph graph, const MixPrecOptions& options = pruning) {
  place_quantizers(graph, options);
  calibrate(graph, options);
  return graph;
}

Graph placed_resnet8(const MixPrecOptions& options = pruning) {
  return placed(simplified(*test::random_resnet8(1), {3, 32, 32}), options);
}

/// Channels at 0 bits in the fixed slot of a layer.
void prune(Graph& discrete, const std::string& name, std::vector<int> bits) {
  node(discrete, name).weight_slot->bits = std::move(bits);
}

/// conv [C of 1×1] → relu → flatten → fc
nn::Sequential& chain() {
  static nn::Sequential net(
      std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = 1, .out_channels = 4, .kernel = {1, 1}}),
      std::make_unique<nn::ReLU>(), std::make_unique<nn::Flatten>(),
      std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 4 * 2 * 3, .out_features = 2}));
  return net;
}

/// conv → f → conv → PReLU → squeeze and excite → conv
class Functions : public nn::Module {
 public:
  explicit Functions(FunctionKind kind) : f(kind) {
    add_module("stem", stem);
    add_module("mid", mid);
    add_module("slopes", slopes);
    add_module("gate", gate);
    add_module("head", head);
    nn::initialize(*this, Rng(3, "init"));
    for (size_t c = 0; c < 6; ++c) slopes.weight.data()[c] = 0.1F * static_cast<float>(c + 1);
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = slopes(mid(function({.kind = f, .a = 0.25F, .b = 0.5F}, stem(x))));
    y = mul(y, sigmoid(gate(flatten(global_avg_pool2d(y)))));
    return head(y);
  }

 private:
  FunctionKind f;
  nn::Conv2d stem{{.in_channels = 1, .out_channels = 6}}, mid{{.in_channels = 6, .out_channels = 6}},
      head{{.in_channels = 6, .out_channels = 3, .kernel = {1, 1}}};
  nn::PReLU slopes{6};
  nn::Linear gate{{.in_features = 6, .out_features = 6}};
};

}  // namespace

TEST_CASE("pruning: layers that meet in an Add hold one α; the output's layer keeps every channel") {
  Graph graph = placed_resnet8();
  const auto slot = [&](const char* name) { return node(graph, name).weight_slot; };
  CHECK(slot("conv") == slot("stack1.conv2"));
  CHECK(slot("stack2.conv2") == slot("stack2.shortcut"));
  CHECK(slot("stack3.conv2") == slot("stack3.shortcut"));
  CHECK(slot("stack1.conv1") != slot("conv"));
  CHECK(slot("stack1.conv1")->precisions == std::vector{0, 2, 8});
  CHECK(slot("fc")->precisions == std::vector{2, 8});
  MixPrecOptions whole = pruning;
  whole.weight_precisions = {2, 8};
  graph = placed_resnet8(whole);
  CHECK(node(graph, "conv").weight_slot != node(graph, "stack1.conv2").weight_slot);
}

TEST_CASE("pruning: depthwise convs go with their producer; grouped ones keep their channels and their input's") {
  const auto conv = [](int64_t in, int64_t out, int64_t groups) {
    return std::make_unique<nn::Conv2d>(
        nn::Conv2dOptions{.in_channels = in, .out_channels = out, .kernel = {1, 1}, .groups = groups});
  };
  nn::Sequential net(conv(1, 8, 1), std::make_unique<nn::ReLU>(), conv(8, 8, 8), std::make_unique<nn::ReLU>(),
                     conv(8, 8, 1), conv(8, 12, 4), conv(12, 4, 1), std::make_unique<nn::ReLU>(), conv(4, 4, 1));
  nn::initialize(net, Rng(1, "init"));
  Graph graph = placed(simplified(net, {1, 2, 2}));
  std::vector<std::shared_ptr<WeightSlot>> slots;
  for (const Node& n : graph.nodes) {
    if (n.is_layer()) slots.push_back(n.weight_slot);
  }
  REQUIRE(slots.size() == 6);
  CHECK(slots[0] == slots[1]);
  CHECK(slots[0]->precisions[0] == 0);
  CHECK(slots[2]->precisions[0] == 2);  // read by the grouped conv
  CHECK(slots[3]->precisions[0] == 2);  // the grouped conv
  CHECK(slots[4]->precisions[0] == 0);
  CHECK(slots[5]->precisions[0] == 2);  // the output
}

TEST_CASE("pruning: excluded layers keep their channels, and those that are tied to them") {
  MixPrecOptions options = pruning;
  options.exclude_names = {"stack3.conv2"};
  Graph graph = placed_resnet8(options);
  CHECK(node(graph, "stack3.conv2").weight_slot == nullptr);
  CHECK(node(graph, "stack3.shortcut").weight_slot->precisions == std::vector{2, 8});
}

TEST_CASE("pruning: a channel leaves its layer, its bias and every reader, through flatten too") {
  nn::initialize(chain(), Rng(2, "init"));
  Graph discrete = discretize(placed(simplified(chain(), {1, 2, 3})));
  const std::string conv = discrete.nodes[1].name, fc = discrete.nodes.back().name;
  prune(discrete, conv, {8, 0, 2, 0});
  const std::vector<float> w = node(discrete, conv).weight().to_vector(), b = node(discrete, conv).bias().to_vector();
  const std::vector<float> v = node(discrete, fc).weight().to_vector();
  Graph small = discrete;
  remove_pruned_channels(small);
  CHECK(node(small, conv).weight().to_vector() == std::vector<float>{w[0], w[2]});
  CHECK(node(small, conv).bias().to_vector() == std::vector<float>{b[0], b[2]});
  CHECK(node(small, conv).weight_slot->bits == std::vector{8, 2});
  CHECK(node(small, conv).shape == Shape{2, 2, 3});
  std::vector<float> kept;
  for (size_t o = 0; o < 2; ++o) {
    for (size_t i : {0U, 1U, 2U, 3U, 4U, 5U, 12U, 13U, 14U, 15U, 16U, 17U}) kept.push_back(v[o * 24 + i]);
  }
  CHECK(node(small, fc).weight().to_vector() == kept);
  const Tensor x = test::random_batch(3, {1, 2, 3}, 2, 1).x;
  CHECK(small.forward(x).to_vector() == discrete.forward(x).to_vector());
}

TEST_CASE("pruning: what can't leave is refused by name") {
  Graph discrete = discretize(placed(simplified(chain(), {1, 2, 3})));
  const std::string conv = discrete.nodes[1].name;
  prune(discrete, conv, {0, 0, 0, 0});
  CHECK(refusal([&] { remove_pruned_channels(discrete); }) ==
        "'" + conv + "' would lose its last channel: at least one needs more than 0 bits");
  Graph resnet = discretize(placed_resnet8());
  node(resnet, "stack1.conv2").weight_slot->bits[3] = 0;
  node(resnet, "conv").weight_slot->bits[3] = 8;
  CHECK(refusal([&] { remove_pruned_channels(resnet); }).find("must lose the same channels") != std::string::npos);
}

namespace {

nn::Conv2d& conv1x1(nn::Conv2d& conv, uint64_t seed) {
  Rng rng(seed, "weights");
  for (float& w : conv.weight.data()) w = static_cast<float>(rng.normal());
  for (float& b : conv.bias.data()) b = static_cast<float>(rng.normal());
  return conv;
}

/// Convolutions of 1×1 on [2, 3, 3]: a makes 4 channels, b 2, and c reads 6.
struct Moves : nn::Module {
  explicit Moves(std::function<Tensor(Moves&, const Tensor&)> f) : body(std::move(f)) {
    uint64_t seed = 0;
    const std::pair<const char*, nn::Conv2d*> parts[] = {
        {"a", &a}, {"b", &b}, {"a2", &a2}, {"b2", &b2}, {"c", &c}, {"depthwise", &depthwise}, {"end", &end}};
    for (const auto& [name, conv] : parts) add_module(name, conv1x1(*conv, ++seed));
    eval();
  }
  Tensor forward(const Tensor& x) override { return body(*this, x); }

  static nn::Conv2dOptions options(int64_t in, int64_t out, int64_t groups = 1) {
    return {.in_channels = in, .out_channels = out, .kernel = {1, 1}, .groups = groups};
  }
  nn::Conv2d a{options(2, 4)}, b{options(2, 2)}, a2{options(2, 4)}, b2{options(2, 2)}, c{options(6, 3)},
      depthwise{options(6, 6, 6)}, end{options(2, 3)};
  std::function<Tensor(Moves&, const Tensor&)> body;
};

const Shape small_image{2, 3, 3};

Graph placed_moves(std::function<Tensor(Moves&, const Tensor&)> body) {
  Moves net(std::move(body));
  return placed(simplified(net, small_image));
}

std::vector<float> columns(const Node& conv, const std::vector<size_t>& which) {
  std::vector<float> out;
  const auto in = static_cast<size_t>(conv.weight().dim(1)), rows = static_cast<size_t>(conv.weight().dim(0));
  for (size_t o = 0; o < rows; ++o) {
    for (const size_t i : which) out.push_back(conv.weight().data()[o * in + i]);
  }
  return out;
}

}  // namespace

TEST_CASE("pruning: behind a Concat and a shuffle, readers lose exactly the removed channels") {
  Graph discrete = discretize(placed_moves([](Moves& n, const Tensor& x) {
    return n.c(channel_shuffle(concat({n.b(x), relu(n.a(x))}), 2));  // b0 a1 b1 a2 a0 a3
  }));
  prune(discrete, "a", {8, 0, 2, 8});
  prune(discrete, "b", {0, 8});
  const std::vector<float> kept = columns(node(discrete, "c"), {2, 3, 4, 5});
  Graph small = discrete;
  remove_pruned_channels(small);
  CHECK(node(small, "c").weight().to_vector() == kept);
  CHECK(node(small, "concat").shape == Shape{4, 3, 3});
  // b1 a0 a2 a3 are joined; the shuffle picks b1 a2 a0 a3.
  CHECK(node(small, "select_channels").as<op::SelectChannels>()->attrs.channels == std::vector<int64_t>{0, 2, 1, 3});
  const Tensor x = test::random_batch(3, small_image, 2, 1).x;
  CHECK(small.forward(x).to_vector() == discrete.forward(x).to_vector());
}

TEST_CASE("pruning: a slice loses its channels, and one of each stays whatever α says") {
  const auto body = [](Moves& n, const Tensor& x) {
    const std::vector<Tensor> parts = split_channels(relu(n.a(x)), {1, 3});
    return n.end(concat({parts[0], slice_channels(parts[1], 1, 2)}));
  };
  Graph searched = placed_moves(body);
  const WeightSlot& slot = *node(searched, "a").weight_slot;
  CHECK(slot.precisions == std::vector{0, 2, 8});
  CHECK(slot.kept == std::vector<int64_t>{0, 1, 2});  // of the parts of 1 and of 3, and of the slice of the latter
  CHECK(graph_from(to_safetensors(searched)).nodes[1].weight_slot->kept == slot.kept);
  for (size_t i = 0; i < 12; ++i) slot.alpha.data()[i] = i < 4 ? 1.0F : 0.0F;
  Graph discrete = discretize(searched);
  CHECK(node(discrete, "a").weight_slot->bits == std::vector{8, 8, 8, 0});
  Graph small = discrete;
  remove_pruned_channels(small);
  CHECK(node(small, "a").weight().dim(0) == 3);
  CHECK(node(small, "select_channels_2").shape == Shape{2, 3, 3});
  const Tensor x = test::random_batch(3, small_image, 2, 1).x;
  CHECK(small.forward(x).to_vector() == discrete.forward(x).to_vector());
  const Target smallest{.model = cost::params(), .limit = 3 * 2 + 3 * 2};
  const Graph met = exported(meet_targets(searched, std::vector{smallest})).network;
  CHECK(cost::discrete(met, smallest.model) == smallest.limit);
  CHECK_THROWS_AS(meet_targets(searched, std::vector{Target{.model = cost::params(), .limit = 11}}), Error);
}

TEST_CASE("pruning: channels that go together one by one are tied through a Concat; others are all kept") {
  const auto slots = [](std::function<Tensor(Moves&, const Tensor&)> body) {
    std::map<std::string, std::shared_ptr<WeightSlot>> out;
    for (const Node& n : placed_moves(std::move(body)).nodes) out[n.name] = n.weight_slot;
    return out;
  };
  auto of = slots([](Moves& n, const Tensor& x) {
    return n.c(add(concat({n.a(x), n.b(x)}), concat({n.a2(x), n.b2(x)})));
  });
  CHECK(of["a"] == of["a2"]);
  CHECK(of["b"] == of["b2"]);
  CHECK(of["a"] != of["b"]);
  CHECK(of["a"]->precisions[0] == 0);
  of = slots([](Moves& n, const Tensor& x) { return n.c(concat({n.a(x), n.b(x)})); });
  CHECK(of["a"] != of["b"]);
  CHECK(of["a"]->kept.empty());
  CHECK(of["a"]->precisions[0] == 0);
  of = slots([](Moves& n, const Tensor& x) { return n.c(n.depthwise(concat({n.a(x), n.b(x)}))); });
  CHECK(of["a"]->precisions[0] == 2);
  CHECK(of["depthwise"]->precisions[0] == 2);
  of = slots([](Moves& n, const Tensor& x) {  // crosswise
    return n.c(concat({add(n.a(x), channel_shuffle(n.a2(x), 2)), n.b(x)}));
  });
  CHECK(of["a"]->precisions[0] == 2);
  CHECK(of["a2"]->precisions[0] == 2);
  CHECK(of["b"]->precisions[0] == 0);
  of = slots([](Moves& n, const Tensor& x) {
    const std::vector<Tensor> parts = split_channels(n.a(x), {2, 2});
    return n.end(add(parts[0], parts[1]));
  });
  CHECK(of["a"]->precisions[0] == 2);
  of = slots([](Moves& n, const Tensor& x) { return concat({n.c(concat({n.a(x), n.b(x)})), n.b2(x)}); });
  CHECK(of["b2"]->precisions[0] == 2);  // part of the result
  CHECK(of["a"]->precisions[0] == 0);
}

TEST_CASE("a Concat's inputs and its readers share one quantizer; an excluded one leaves none") {
  const auto body = [](Moves& n, const Tensor& x) { return n.c(concat({relu(n.a(x)), n.b(x)})); };
  const Graph graph = placed_moves(body);
  const auto& slot = graph.nodes[1].output_slot;
  CHECK(graph.nodes[2].output_slot == slot);
  CHECK(slot->is_signed);
  CHECK(graph.input_slot(graph.nodes[4]) == slot.get());
  Moves net(body);
  MixPrecOptions options = pruning;
  options.exclude_names = {"b"};
  const Graph mixed = placed(simplified(net, small_image), options);
  CHECK(mixed.input_slot(mixed.nodes[4]) == nullptr);
  const Tensor x = test::random_batch(3, small_image, 2, 1).x;
  CHECK(discretize(mixed).forward(x).size() == 3 * 3 * 9);
  CHECK(refusal([&] { to_integer(discretize(mixed)); }).find("'b' has no quantizer") != std::string::npos);
}

TEST_CASE("pruning: channels pass through functions that leave 0 at 0; squeeze and excite ties both of its sides") {
  Functions net(FunctionKind::tanh);
  Graph graph = placed(simplified(net, {1, 8, 8}));
  CHECK(node(graph, "stem").weight_slot->precisions == std::vector{0, 2, 8});
  CHECK(node(graph, "mid").weight_slot->precisions == std::vector{0, 2, 8});
  CHECK(node(graph, "mid").weight_slot == node(graph, "gate").weight_slot);
  CHECK(node(graph, "stem").weight_slot != node(graph, "mid").weight_slot);
  CHECK(node(graph, "head").weight_slot->precisions == std::vector{2, 8});
  Graph discrete = discretize(graph);
  prune(discrete, "stem", {8, 0, 2, 8, 8, 0});
  for (const char* tied : {"mid", "gate"}) prune(discrete, tied, {0, 8, 8, 2, 0, 8});
  Graph small = exported(discrete);
  CHECK(node(small, "mid").weight().shape() == Shape{4, 4, 3, 3});
  CHECK(node(small, "gate").weight().shape() == Shape{4, 4});
  CHECK(node(small, "slopes").params[0].to_vector() == std::vector{0.2F, 0.3F, 0.4F, 0.6F});
  CHECK(node(small, "mul").shape == Shape{4, 4, 4});
  const Tensor x = test::random_batch(5, {1, 8, 8}, 2, 1).x;
  CHECK(small.forward(x).to_vector() == discrete.forward(x).to_vector());
}

TEST_CASE("pruning: a layer whose removed channels a function makes constants keeps them, with a note") {
  for (const FunctionKind kind :
       {FunctionKind::sigmoid, FunctionKind::hard_sigmoid, FunctionKind::softplus, FunctionKind::clip}) {
    Functions net(kind);
    std::vector<std::string> notes;
    MixPrecOptions options = pruning;
    options.on_note = [&](const std::string& note) { notes.push_back(note); };
    const std::string f = function_names[static_cast<size_t>(kind)];
    Graph graph = simplified(net, {1, 8, 8});
    place_quantizers(graph, options);
    CHECK(node(graph, "stem").weight_slot->precisions == std::vector{2, 8});
    CHECK(node(graph, "mid").weight_slot->precisions == std::vector{0, 2, 8});
    CHECK(notes == std::vector<std::string>{"'stem' keeps all channels: '" + f +
                                            "' would turn a removed one into a constant that 'mid' reads"});
    calibrate(graph, pruning);
    Graph discrete = discretize(graph);
    prune(discrete, "stem", {8, 0, 8, 8, 8, 8});
    CHECK(refusal([&] { remove_pruned_channels(discrete); }) ==
          "'mid' reads channels at 0 bits that '" + f + "' before it does not leave at 0: they can't be removed");
  }
}
