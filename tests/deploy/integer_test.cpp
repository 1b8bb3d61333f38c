// SPDX-License-Identifier: Apache-2.0
// The integer form of networks with interleaved precisions: equal codes, packed into the promised number of bytes.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mixgrad;

namespace {

struct Scheme {
  const char* name;
  MixPrecType type;
  std::vector<int> weight_bits;
};
const std::vector<Scheme>& schemes() {
  static const std::vector<Scheme> all = {{"per layer", MixPrecType::PER_LAYER, {2, 3, 4, 8}},
                                          {"per channel", MixPrecType::PER_CHANNEL, {2, 4, 8}},
                                          {"pruning", MixPrecType::PER_CHANNEL, {0, 2, 5, 8}}};
  return all;
}

std::string refusal(const Graph& graph) {
  return test::refusal([&] { to_integer(graph); });
}

/// The codes in a layer's packed words, by channel.
std::vector<int8_t> unpacked(const integer::Layer& layer) {
  const std::vector<uint32_t> words = pack_weights(layer);
  std::vector<int8_t> out;
  int64_t word = 0;
  for (const ChannelBlock& b : channel_blocks(layer)) {
    for (int c = 0; c < b.channels; ++c) {
      for (int64_t k = 0; k < layer.weights_per_channel(); ++k) {
        const int64_t pair = (k / 4 * 2 + k % 2) * b.channels + c;
        const int64_t at =
            runs_depthwise(layer) ? k * b.bits : pair * b.bits / 16 * 32 + pair * b.bits % 16 + k / 2 % 2 * 16;
        const uint32_t stored = words[static_cast<size_t>(word + at / 32)] >> (at % 32);
        const bool from_0 = b.bits < 8 && !runs_depthwise(layer);
        const int low = 1 << (b.bits - 1), field = static_cast<int>(stored & ((2U << (b.bits - 1)) - 1));
        out.push_back(static_cast<int8_t>(from_0 ? field - low : (field ^ low) - low));
      }
    }
    word += b.channels * ((layer.weights_per_channel() * b.bits + 31) / 32);
  }
  CHECK(word == std::ssize(words));
  return out;
}

}  // namespace

TEST_CASE("integer network: the codes of every tensor, with fast kernels and with reference loops") {
  uint64_t seed = 30;
  for (const std::string& name : models::names()) {
    for (const Scheme& scheme : schemes()) {
      CAPTURE(name);
      CAPTURE(scheme.name);
      const models::Model model = test::random_model(name, ++seed);
      const Graph graph = test::random_export(model, scheme.type, scheme.weight_bits, seed);
      const IntegerNetwork network = to_integer(graph);
      const data::Dataset images = test::random_images(name == "mobilenet_v1" ? 3 : 9, model.input_shape, seed);
      for (const auto kernels : {IntegerEngine::Kernels::fastest, IntegerEngine::Kernels::reference}) {
        const Agreement agreement = compare(graph, network, images, 7, kernels);
        for (const TensorAgreement& t : agreement.tensors) {
          CAPTURE(t.name);
          CHECK(t.codes > 0);
          CHECK(t.equal == t.codes);
        }
        CHECK(agreement.broken() == nullptr);
        CHECK(agreement.images == std::min<int64_t>(7, images.size()));
        CHECK(agreement.same_top1 == agreement.images);
        CHECK(agreement.result_difference < 1e-5);
      }
    }
  }
}

TEST_CASE("integer network: channels are sorted by precision and packed in whole words, without loss") {
  const models::Model model = test::random_model("resnet8", 4);
  const Graph graph = test::random_export(model, MixPrecType::PER_CHANNEL, {2, 4, 8}, 4);
  const IntegerNetwork network = to_integer(graph);
  int64_t bits = 0;
  for (const IntegerNode& node : network.nodes) {
    const integer::Layer* layer = node.layer();
    if (layer == nullptr) continue;
    CAPTURE(node.name);
    CHECK(unpacked(*layer) == layer->weights);
    std::vector<int> order = node.channel_of;
    const bool free = node.name == "stack1.conv1" || node.name == "stack2.conv1" || node.name == "stack3.conv1" ||
                      node.name == "conv";
    if (free) CHECK(std::ranges::is_sorted(layer->weight_bits));
    if (node.name == "fc") CHECK(std::ranges::is_sorted(order));
    std::ranges::sort(order);
    for (size_t c = 0; c < order.size(); ++c) CHECK(order[c] == static_cast<int>(c));
    for (const int b : layer->weight_bits) bits += b * layer->weights_per_channel();
  }
  const DeviceBytes bytes = device_bytes(network);
  CHECK(8 * bytes.weights >= bits);
  CHECK(8 * bytes.weights < bits + 32 * 400);  // less than one extra word per channel
  CHECK(static_cast<double>(bits) == cost::discrete(graph, cost::size()));
}

TEST_CASE("integer network: a Concat of one tensor has its order of channels, also where both meet") {
  struct Twice : nn::Module {
    Twice() {
      add_module("conv", conv);
      add_module("head", head);
      nn::initialize(*this, Rng(1, "init"));
    }
    Tensor forward(const Tensor& x) override {
      const Tensor y = relu(conv(x));
      return head(add(concat({y}), y));
    }
    nn::Conv2d conv{{.in_channels = 3, .out_channels = 8}}, head{{.in_channels = 8, .out_channels = 4}};
  } net;
  const Shape image{3, 8, 8};
  MixPrec search(net, {.input_shape = image,
                       .weight_precisions = {2, 4, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL,
                       .calibration = {test::random_batch(4, image, 2, 5).x}});
  test::randomize_architecture(search, 3);
  const Graph graph = search.arch_export();
  const IntegerNetwork network = to_integer(graph);
  CHECK(std::ranges::is_sorted(network.nodes[1].layer()->weight_bits));
  for (const TensorAgreement& t : compare(graph, network, test::random_images(5, image, 3)).tensors)
    CHECK(t.equal == t.codes);
}

TEST_CASE("arena: tensors that are alive together do not overlap") {
  for (const std::string& name : models::names()) {
    for (const bool packs : {false, true}) {
      CAPTURE(name);
      CAPTURE(packs);
      IntegerNetwork network =
          to_integer(test::random_export(test::random_model(name, 5), MixPrecType::PER_LAYER, {8}, 5));
      network.packs_activations = packs;
      const auto size = [&](int n) {
        return (network.nodes[static_cast<size_t>(n)].shape.size() * stored_bits(network, n) + 7) / 8;
      };
      const Arena arena = plan_arena(network);
      std::vector<size_t> owner(static_cast<size_t>(arena.bytes), SIZE_MAX);  // the last writer of each byte
      for (size_t i = 1; i < network.nodes.size(); ++i) {
        const IntegerNode& node = network.nodes[i];
        const auto write = [&](int64_t at, int64_t bytes, size_t who) {
          REQUIRE(at % 4 == 0);
          REQUIRE(at + bytes <= arena.bytes);
          std::fill_n(owner.begin() + at, bytes, who);
        };
        const auto write_output = [&] {
          if (arena.offsets[i] >= 0) write(arena.offsets[i], size(static_cast<int>(i)), i);
        };
        const auto is_in = [&](int64_t at, int64_t bytes, size_t who) {
          return std::all_of(owner.begin() + at, owner.begin() + at + bytes, [&](size_t o) { return o == who; });
        };
        const int64_t scratch = node.is_layer() ? scratch_of(network, static_cast<int>(i)).bytes() : 0;
        if (node.is_layer()) write(arena.patches[i], scratch, SIZE_MAX);
        if (node.overlap() == op::Overlap::none) write_output();
        for (const int n : node.inputs) {  // must still exist when the output is written
          const int64_t at = arena.offsets[static_cast<size_t>(n)];
          if (at < 0) continue;
          CHECK(is_in(at, size(n), static_cast<size_t>(n)));
        }
        write_output();
        if (node.is_layer()) CHECK(is_in(arena.patches[i], scratch, SIZE_MAX));
      }
    }
  }
}

TEST_CASE("arena: its blocks are the places of outputs and scratch memory, in use as long as something reads them") {
  for (const std::string& name : models::names()) {
    CAPTURE(name);
    const IntegerNetwork network =
        to_integer(test::random_export(test::random_model(name, 5), MixPrecType::PER_LAYER, {8}, 5));
    const Arena arena = plan_arena(network);
    int64_t peak = 0, stacked = 0;
    size_t placed = 0;
    for (const ArenaBlock& b : arena.blocks) {
      const auto node = static_cast<size_t>(b.node);
      CHECK(b.offset == (b.scratch ? arena.patches : arena.offsets)[node]);
      CHECK(b.bytes >= (b.scratch ? scratch_of(network, b.node).bytes() : network.nodes[node].shape.size()));
      if (b.scratch) CHECK((b.first == b.node && b.last == b.node));
      if (b.at_peak > 0) peak = std::max(peak, b.offset + b.bytes);
      stacked += b.at_peak;
    }
    CHECK(peak == arena.bytes);
    CHECK(stacked == arena.bytes);
    for (size_t i = 0; i < network.nodes.size(); ++i) {
      placed += (arena.offsets[i] >= 0) + (arena.patches[i] >= 0);
      for (const int input : network.nodes[i].inputs) {
        const auto holds = [&](const ArenaBlock& b) {
          return !b.scratch && b.offset == arena.offsets[static_cast<size_t>(input)];
        };
        if (arena.offsets[static_cast<size_t>(input)] < 0) continue;
        CHECK(std::ranges::any_of(arena.blocks, [&](const ArenaBlock& b) {
          return holds(b) && b.first <= static_cast<int>(i) && static_cast<int>(i) <= b.last;
        }));
      }
    }
    CHECK(placed >= arena.blocks.size());
  }
}

TEST_CASE("integer network: pools, flattened images, grouped convs, a separate ReLU, a quantized result") {
  for (const bool quantize_output : {false, true}) {
    const Graph graph = test::every_op(quantize_output, 8);
    const IntegerNetwork network = to_integer(graph);
    CHECK(network.result().raw != quantize_output);
    const auto cut = [&](const IntegerNode& n) {
      return n.as<integer::Relu>() && n.high < network.nodes[static_cast<size_t>(n.inputs[0])].high;
    };
    CHECK(std::ranges::count_if(network.nodes, cut) == 1);  // the ReLU6
    for (const char* op : {"conv2d", "linear", "max_pool2d", "avg_pool2d", "relu"})
      CHECK(std::ranges::count(network.nodes, op, &IntegerNode::op_name) > 0);
    const Agreement agreement = compare(graph, network, test::random_images(20, {3, 16, 16}, 8));
    for (const TensorAgreement& t : agreement.tensors) {
      CAPTURE(t.name);
      CHECK(t.equal == t.codes);
    }
    CHECK(agreement.same_top1 == 20);
  }
}

TEST_CASE("integer network: networks without one are refused by layer") {
  const models::Model model = test::random_model("resnet8", 6);
  Graph graph = test::random_export(model, MixPrecType::PER_LAYER, {8}, 6);
  const auto node = [](Graph& g, const char* name) -> Node& { return *std::ranges::find(g.nodes, name, &Node::name); };
  Graph floating = graph;
  node(floating, "stack2.conv1").weight_slot = nullptr;
  CHECK(refusal(floating).starts_with("'stack2.conv1' is a float layer"));
  Graph unquantized = graph;
  node(unquantized, "conv").output_slot = nullptr;
  CHECK(refusal(unquantized).starts_with("'conv' has no quantizer"));
  nn::Linear wide({.in_features = 70'000, .out_features = 1});
  std::ranges::fill(wide.weight.data(), 1.0F);
  MixPrec huge(wide, {.input_shape = {70'000}, .weight_precisions = {8}});
  CHECK(refusal(huge.arch_export()).find("sums of channel 0 could reach ") != std::string::npos);
  Graph floors = graph.clone();
  node(floors, "stack1.conv1").output_slot->quantizer = quant::find_activation("plinio-pact");
  CHECK(refusal(floors).starts_with("'stack1.conv1' is quantized by plinio-pact, which does not round"));
}
