// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>

#include <unistd.h>

using namespace mixgrad;
using nlohmann::json;
using test::refusal;

namespace {

std::shared_ptr<ActivationSlot> activation(std::vector<int> bits) {
  auto slot = std::make_shared<ActivationSlot>();
  slot->precisions = std::move(bits);
  slot->clip = Tensor::full({std::ssize(slot->precisions)}, 1);
  if (slot->precisions.size() > 1) slot->alpha = quant::initial_alpha(slot->precisions);
  return slot;
}

std::shared_ptr<WeightSlot> weights(std::vector<int> bits_of_channels) {
  auto slot = std::make_shared<WeightSlot>();
  slot->bits = std::move(bits_of_channels);
  return slot;
}

Node input(const Shape& shape, std::vector<int> bits) {
  return {.name = "x",
          .op = op::Input{},
          .inputs = {},
          .params = {},
          .shape = shape,
          .weight_slot = nullptr,
          .output_slot = activation(std::move(bits))};
}

/// A layer that reads node `from`, with fixed weights; convs have a square kernel and equal padding on all sides.
Node layer(const std::string& name, int from, const Shape& weight, const Shape& out, std::vector<int> weight_bits,
           int64_t groups = 1, int64_t padding = 0) {
  Node node{.name = name,
            .op = op::Linear{},
            .inputs = {from},
            .params = {Tensor::zeros(weight), {}},
            .shape = out,
            .weight_slot = weights(std::move(weight_bits)),
            .output_slot = nullptr};
  if (weight.rank() == 4) node.op = op::Conv2d{{.padding = {padding, padding, padding, padding}, .groups = groups}};
  return node;
}

Node flatten(int from, int64_t values) {
  return {.name = "flatten",
          .op = op::Flatten{},
          .inputs = {from},
          .params = {},
          .shape = {values},
          .weight_slot = nullptr,
          .output_slot = nullptr};
}

/// Checks that every node has the shape that its operator produces: otherwise its cost would prove nothing.
Graph graph_of(std::vector<Node> nodes) {
  Graph graph{.nodes = std::move(nodes)};
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  Graph plain = graph;
  for (Node& node : plain.nodes) node.weight_slot = nullptr, node.output_slot = nullptr;
  std::vector<int64_t> dims = {1};
  dims.insert(dims.end(), graph.input_shape().dims().begin(), graph.input_shape().dims().end());
  dims.resize(4, 1);
  std::vector<Tensor> values;
  plain.run(plain.bind(), Tensor::zeros(Shape(dims)), &values);
  for (size_t i = 1; i < values.size(); ++i) {
    CAPTURE(graph.nodes[i].name);
    REQUIRE(Shape(values[i].shape().dims().subspan(1)) == graph.nodes[i].shape);
  }
  return graph;
}

Graph one_layer(int input_bits, int weight_bits) {
  return graph_of(
      {input({3, 4, 4}, {input_bits}), layer("conv", 0, {5, 3, 2, 2}, {5, 3, 3}, std::vector<int>(5, weight_bits))});
}

double cost_of(const Graph& graph, const std::string& name) { return cost::discrete(graph, cost::find(name)); }

/// A temporary file.
struct TableFile {
  explicit TableFile(const std::string& content) { io::write_file(path, content); }
  ~TableFile() { std::filesystem::remove(path); }
  std::string path = std::filesystem::temp_directory_path() / fmt::format("mixgrad-table-{}.toml", ::getpid());
  std::string cost() const { return "table:" + path; }
};

}  // namespace

TEST_CASE("cost: NE16 cycles equal those of the golden single layers") {
  const json golden = json::parse(io::read_file(MIXGRAD_SOURCE_DIR "/tests/golden/ne16.json"));
  REQUIRE(!golden.at("cases").empty());
  for (const json& c : golden.at("cases")) {
    CAPTURE(c.dump());
    const auto at = [&](const char* key) { return c.at(key).get<int64_t>(); };
    const bool depthwise = c.at("depthwise");
    const int64_t in = at("in_channels"), out = at("out_channels"), k = c.at("kernel")[0];
    const Graph graph =
        graph_of({input({in, at("out_height"), at("out_width")}, {8}),
                  layer("conv", 0, {out, depthwise ? 1 : in, k, k}, {out, at("out_height"), at("out_width")},
                        std::vector<int>(static_cast<size_t>(out), c.at("weight_bits")), depthwise ? in : 1, k / 2)});
    CHECK(cost_of(graph, "ne16-latency") == c.at("cycles").get<double>());
  }
}

TEST_CASE("cost: NE16 refuses layers that the accelerator can't run, by name") {
  CHECK(refusal([] { cost_of(one_layer(8, 8), "ne16-latency"); }).find("layer 'conv' is a 2×2 conv2d") !=
        std::string::npos);
  const Graph graph =
      graph_of({input({3, 4, 4}, {4}), layer("conv", 0, {5, 3, 3, 3}, {5, 2, 2}, std::vector<int>(5, 8))});
  CHECK(refusal([&] { cost_of(graph, "ne16-latency"); }).find("layer 'conv' does not have 8-bit inputs") !=
        std::string::npos);
}

TEST_CASE("cost: MPIC cycles and joules follow the table, and other pairs of bits are refused") {
  struct Pair {
    int input, weight;
    double throughput;
  };
  const double macs = 3 * 3 * 2 * 2 * 3 * 5;
  for (const Pair& p : std::vector<Pair>{{2, 2, 6.5},
                                         {2, 4, 4.0},
                                         {2, 8, 2.2},
                                         {4, 2, 3.9},
                                         {4, 4, 3.5},
                                         {4, 8, 2.1},
                                         {8, 2, 2.5},
                                         {8, 4, 2.3},
                                         {8, 8, 2.1}}) {
    const double cycles = macs / p.throughput;
    CHECK(cost_of(one_layer(p.input, p.weight), "mpic-latency") == doctest::Approx(cycles).epsilon(1e-6));
    CHECK(cost_of(one_layer(p.input, p.weight), "mpic-energy") ==
          doctest::Approx(cycles / 250e6 * 5.3825e-3).epsilon(1e-6));
  }
  CHECK(cost_of(one_layer(8, 0), "mpic-latency") == 0);
  CHECK(refusal([] { cost_of(one_layer(8, 3), "mpic-latency"); }) ==
        "mpic-latency: no cost for conv2d with 8-bit inputs and 3-bit weights, which layer 'conv' may use");
}

TEST_CASE("cost: pruned channels cost nothing, and their consumers lose inputs; by hand") {
  // conv [4 of 3×3×2] with one channel pruned → depthwise [4] → grouped [6 in 2 groups] with all; flatten; fc
  const Graph graph = graph_of({input({2, 4, 4}, {8}), layer("conv", 0, {4, 2, 3, 3}, {4, 4, 4}, {0, 2, 4, 8}, 1, 1),
                                layer("dw", 1, {4, 1, 3, 3}, {4, 2, 2}, {0, 8, 8, 2}, 4), flatten(2, 16),
                                layer("fc", 3, {3, 16}, {3}, {4, 4, 2})});
  CHECK(cost_of(graph, "params") == 9 * 2 * 3 + 9 * 3 + 3 * 12);
  CHECK(cost_of(graph, "ops") == 16 * 9 * 2 * 3 + 4 * 9 * 3 + 3 * 12);
  CHECK(cost_of(graph, "size") == 9 * 2 * (2 + 4 + 8) + 9 * (8 + 8 + 2) + 12 * 10);
  // dw and fc read real values (32 bits), because the outputs of conv and dw are not quantized here.
  CHECK(cost_of(graph, "macs") == 16.0 * 9 * 2 * 14 * 8 + 4.0 * 9 * 18 * 32 + 12.0 * 10 * 32);
  const Graph grouped =
      graph_of({input({4, 2, 2}, {8}), layer("g", 0, {6, 2, 1, 1}, {6, 2, 2}, {8, 8, 8, 8, 8, 8}, 2)});
  CHECK(cost_of(grouped, "size") == 6 * 2 * 8);
}

TEST_CASE("cost: activations are the bits at the peak, peak RAM the package's bytes, by hand") {
  // x [2,4,4] at 8 bits: 32 bytes; a [4,4,4] at 4: 32; b [4,4,4] at 4: 32; add at 2: 16 (a has two consumers).
  std::vector<Node> nodes = {input({2, 4, 4}, {8}),
                             layer("a", 0, {4, 2, 1, 1}, {4, 4, 4}, {8, 8, 8, 8}),
                             layer("b", 1, {4, 4, 1, 1}, {4, 4, 4}, {8, 8, 8, 8}),
                             {.name = "add",
                              .op = op::Add{},
                              .inputs = {1, 2},
                              .params = {},
                              .shape = {4, 4, 4},
                              .weight_slot = nullptr,
                              .output_slot = activation({2})},
                             {.name = "pool",
                              .op = op::AvgPool2d{{.kernel = {4, 4}}},
                              .inputs = {3},
                              .params = {},
                              .shape = {4, 1, 1},
                              .weight_slot = nullptr,
                              .output_slot = nullptr},
                             flatten(4, 4),
                             layer("fc", 5, {3, 4}, {3}, {8, 8, 8})};
  nodes[1].output_slot = activation({4});
  nodes[2].output_slot = activation({4});
  Graph graph = graph_of(nodes);
  CHECK(cost_of(graph, "activations") == 8 * (32 + 32 + 16));  // at the Add: a, b and its result
  const int patch = 128;  // of four positions: 16 codes of 16 bits each, for a 1×1 conv's 2 or 4 inputs
  CHECK(cost_of(graph, "peak-ram") == 64 + 64 + patch);  // at b, which reads a; the Add overwrites an operand
  CHECK(cost::reason(graph, cost::activations()) ==
        "activations peak at 'add', with 'a' (256 bits), 'b' (256) and 'add' (128) alive");
  CHECK(cost::reason(graph, cost::peak_ram()) ==
        "memory peaks at 'b', with the patch of 'b' (128 bytes), 'b' (64) and 'a' (64) on top of each other");
  graph.nodes[3].output_slot = activation({8});
  CHECK(cost_of(graph, "activations") == 8 * (32 + 32 + 64));
  graph.nodes[1].weight_slot = graph.nodes[2].weight_slot = weights({0, 0, 8, 8});  // removes half of the channels
  CHECK(cost_of(graph, "activations") == 8 * (16 + 16 + 32));
  CHECK(cost_of(graph, "peak-ram") == 32 + 32 + patch);
  graph.nodes[0].output_slot = activation({32 / 4});
  graph.nodes[0].shape = {32, 4, 4};
  graph.nodes[1].params[0] = Tensor::zeros({4, 32, 1, 1});
  CHECK(cost_of(graph, "activations") == 8 * (512 + 16));  // the peak is now at a
}

TEST_CASE("cost: gradients of every cost in every α match differences of the soft cost") {
  MixPrec net(simplified(*test::random_resnet8(4), {3, 32, 32}), {.activation_precisions = {2, 4, 8},
                                                                  .weight_precisions = {0, 2, 4, 8},
                                                                  .w_mixprec_type = MixPrecType::PER_CHANNEL});
  test::randomize_architecture(net, 3);
  for (const char* name : {"size", "macs", "params", "ops", "mpic-latency", "mpic-energy", "activations"}) {
    const cost::Model model = cost::find(name);
    const auto soft = [&] { return cost::soft(net.graph(), model, net.graph().softmax_thetas(1.3)); };
    for (const nn::NamedTensor& alpha : net.alpha_summary()) alpha.tensor.zero_grad();
    double scale = 0;
    {
      Tape tape;
      const Tensor value = soft();
      scale = value.item();
      tape.backward(value);
    }
    for (const nn::NamedTensor& alpha : net.alpha_summary()) {
      const std::vector<float> analytic(alpha.tensor.grad().begin(), alpha.tensor.grad().end());
      for (const size_t i :
           {size_t{0}, static_cast<size_t>(alpha.tensor.size()) / 2, static_cast<size_t>(alpha.tensor.size()) - 1}) {
        CAPTURE(name);
        CAPTURE(alpha.name);
        const float kept = alpha.tensor.data()[i],
                    step = std::string(name) == "activations" ? 0.02F : 0.3F;  // a maximum has kinks
        const auto at = [&](float v) {
          alpha.tensor.data()[i] = v;
          const double value = soft().item();
          alpha.tensor.data()[i] = kept;
          return value;
        };
        // Fourth order, because float32 sums do not allow small steps.
        const double difference =
            (8 * (at(kept + step) - at(kept - step)) - (at(kept + 2 * step) - at(kept - 2 * step))) / (12 * step);
        CHECK((analytic.empty() ? 0.0F : analytic[i]) == doctest::Approx(difference).epsilon(0.02).scale(scale * 2e-5));
      }
    }
  }
}

TEST_CASE("cost: a table gives costs per multiply-accumulate, in tiles of channels") {
  const TableFile file(R"(unit = "cycles"
tile = 4
cost = [
  { op = "conv2d", input-bits = 8, weight-bits = 8, per-mac = 0.5 },
  { op = "conv2d", input-bits = 8, weight-bits = 2, per-mac = 0.25 },
])");
  const double macs_per_channel = 3 * 3 * 2 * 2 * 3;
  CHECK(cost_of(one_layer(8, 8), file.cost()) == 0.5 * macs_per_channel * 8);  // 5 channels fill 2 tiles of 4
  Graph mixed = one_layer(8, 8);
  mixed.nodes[1].weight_slot = weights({2, 8, 8, 2, 0});
  CHECK(cost_of(mixed, file.cost()) == (0.5 + 0.25) * macs_per_channel * 4);
  CHECK(refusal([&] { cost_of(one_layer(8, 4), file.cost()); }) ==
        file.path + ": no cost for conv2d with 8-bit inputs and 4-bit weights, which layer 'conv' may use");
  CHECK(refusal([&] { cost_of(one_layer(4, 8), file.cost()); }).find("4-bit inputs and 8-bit weights") !=
        std::string::npos);
}

TEST_CASE("cost: a table gives costs of operators by outputs, inputs and rows, and is what its text says") {
  cost::Table table{.name = "t", .unit = "cycles", .per_mac = {}};
  for (const int bits : {5, 8}) table.per_mac[{cost::LayerKind::conv2d, 8, bits}] = 0.5;
  table.per_mac[{cost::LayerKind::conv2d, 8, 2}] = 0.25;
  table.operators = {{"conv2d", {.per_output = 3, .per_input = 5, .per_row = 7}},
                     {"add", {.per_output = 11}},
                     {"max_pool2d", {.per_output = 0.125, .per_input = 13}}};
  const TableFile file(cost::to_toml(table, "made by hand"));
  CHECK(io::read_file(file.path).find("# made by hand\nunit = \"cycles\"\n\n[[cost]]\nop = \"conv2d\"\n") == 0);
  CHECK(io::read_file(file.path).find("weight-bits = [5, 8]\nper-mac = 0.5") != std::string::npos);

  const double positions = 9, taps = 3 * 2 * 2, conv = positions * (0.5 * 5 * taps + 3 * 5 + 5 * taps + 7 * 2);
  CHECK(cost_of(one_layer(8, 8), file.cost()) == conv);
  CHECK(cost_of(one_layer(8, 2), file.cost()) == conv - 0.25 * positions * 5 * taps);

  Graph more = one_layer(8, 8);  // 5 channels of 9 positions, added to themselves, and pooled to 4
  const auto append = [&](const char* name, const Operator& op, int input, const Shape& shape) {
    Node node;
    node.name = name;
    node.op = op;
    node.inputs = {input};
    node.shape = shape;
    if (node.as<op::Add>()) node.inputs.push_back(input);
    more.nodes.push_back(node);
  };
  append("add", op::Add{}, 1, {5, 3, 3});
  append("pool", op::MaxPool2d{{.kernel = {2, 2}, .stride = {1, 1}}}, 2, {5, 2, 2});
  append("relu", op::Activate{Activation::relu}, 3, {5, 2, 2});
  more.output = 4;
  const double whole = conv + 11 * 45 + 13 * 45 + 0.125 * 20;  // nothing for the ReLU
  CHECK(cost_of(more, file.cost()) == whole);
  CHECK(cost::Meter(more, cost::find(file.cost()))() == whole);
}

TEST_CASE("cost: refine fills tiles, changing only weights") {
  const TableFile file(R"(unit = "cycles"
tile = 4
cost = [
  { op = "conv2d", input-bits = 8, weight-bits = 8, per-mac = 0.5 },
  { op = "conv2d", input-bits = 8, weight-bits = 2, per-mac = 0.25 },
])");
  Graph searched = graph_of({input({3, 4, 4}, {8}), layer("conv", 0, {6, 3, 2, 2}, {6, 3, 3}, {})});
  auto& slot = *searched.nodes[1].weight_slot;
  slot.precisions = {2, 8};
  slot.alpha = Tensor::from({2, 6}, std::vector<float>{5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 3, 4});
  const Graph refined = refine(searched, cost::find(file.cost()));
  CHECK(refined.nodes[1].weight_slot->bits == std::vector{2, 2, 8, 8, 8, 8});  // the two that lose the least
  CHECK(cost_of(refined, file.cost()) == cost_of(discretize(searched), file.cost()));
}

TEST_CASE("cost: the error for an invalid table names the file and line") {
  const std::string entry = R"({ op = "conv2d", input-bits = 8, weight-bits = 8, per-mac = 0.5 })";
  const auto complaint = [](const std::string& content) {
    const TableFile file(content);
    return refusal([&] { cost::find(file.cost()); }).substr(file.path.size());
  };
  CHECK(complaint("unit = \"cycles\"\n") == ": no [[cost]] entries: expected at least one");
  CHECK(complaint("cost = [" + entry + "]") == ": unit is missing or not text");
  CHECK(complaint("unit = \"c\"\nspeed = 3\ncost = [" + entry + "]") == ": unknown key 'speed'");
  CHECK(complaint("unit = \"c\"\ntile = 0\ncost = [" + entry + "]").find("invalid tile = 0") != std::string::npos);
  CHECK(complaint("unit = = 3").find(":1: invalid TOML at column") == 0);
  CHECK(complaint("unit = \"c\"\ncost = [\n" + entry + ",\n" + entry + "]") ==
        ":4: duplicate cost for conv2d with 8-bit inputs and 8-bit weights");
  CHECK(complaint("unit = \"c\"\ncost = [\n{ op = \"pool\" }]") ==
        ":3: unknown op 'pool': expected conv2d, depthwise, linear, conv_transpose2d");
  CHECK(complaint("unit = \"c\"\ncost = [\n{ op = \"linear\", input-bits = 1 }]")
            .find(":3: input-bits = 1 is not a bit-width") == 0);
  CHECK(complaint("unit = \"c\"\ncost = [\n{ op = \"linear\", input-bits = 8, weight-bits = 8, per-mac = -1 }]")
            .find(":3: per-mac") == 0);
  CHECK(complaint("unit = \"c\"\ncost = [\n{ op = \"linear\", input-bits = [8, 1] }]")
            .find(":3: input-bits = 1 is not a bit-width") == 0);
  CHECK(complaint("unit = \"c\"\ncost = [\n{ op = \"linear\", input-bits = [] }]") == ":3: input-bits is empty");
  CHECK(complaint("unit = \"c\"\ncost = [\n{ op = \"linear\", input-bits = [8, \"4\"] }]") ==
        ":3: input-bits has an element that is not a whole number");
  const std::string head = "unit = \"c\"\ncost = [" + entry + "]\n";
  CHECK(complaint(head + "operator = 3") == ": operator is not an array of tables: expected [[operator]]");
  CHECK(complaint(head + "[[operator]]\nop = \"pool\"")
            .find(":3: unknown op 'pool': expected conv2d, depthwise, linear, conv_transpose2d, ") == 0);
  CHECK(complaint(head + "[[operator]]\nop = \"add\"\nper-row = 2") == ":3: unknown key 'per-row'");
  CHECK(complaint(head + "[[operator]]\nop = \"add\"\nper-output = \"2\"") ==
        ":3: per-output is missing or not a non-negative number");
  CHECK(complaint(head + "[[operator]]\nop = \"add\"\n[[operator]]\nop = \"add\"") ==
        ":5: duplicate costs of operator add");
  CHECK(refusal([] { cost::find("table:nowhere.toml"); }).find("nowhere.toml") != std::string::npos);
  CHECK(refusal([] { cost::find("speed"); }).find("unknown cost 'speed': expected size, flash, macs") == 0);
}

TEST_CASE("cost: a user's model is a single function") {
  const cost::Model widest = cost::sum_over_layers("channels", "channels", "live output channels",
                                                   [](const cost::Layer& l) { return l.live_outputs(); });
  CHECK(cost::discrete(one_layer(8, 8), widest) == 5);
}

TEST_CASE("cost: discrete costs are exact beyond float32's range of integers") {
  // 4,099 channels of 4,097 weights, one at 3 bits, the others at 7.
  std::vector<int> bits(4099, 7);
  bits[0] = 3;
  const Graph linear =
      graph_of({input({4097, 1, 1}, {5}), flatten(0, 4097), layer("fc", 1, {4099, 4097}, {4099}, bits)});
  const int64_t of_weights = 4097 * (4098 * 7 + 3);
  REQUIRE(static_cast<int64_t>(static_cast<float>(of_weights)) != of_weights);
  CHECK(cost_of(linear, "size") == static_cast<double>(of_weights));
  CHECK(cost_of(linear, "macs") == static_cast<double>(5 * of_weights));
  CHECK(cost_of(linear, "params") == 4097.0 * 4099);
  CHECK(cost::Meter(linear, cost::size())() == static_cast<double>(of_weights));
  // 3×3 over 997 × 997 positions: a tile of 32 channels at 8 bits, and one of a single channel at 3.
  bits.assign(33, 8);
  bits[32] = 3;
  const Graph conv =
      graph_of({input({17, 997, 997}, {8}), layer("conv", 0, {33, 17, 3, 3}, {33, 997, 997}, bits, 1, 1)});
  const auto tile = [](int64_t k, int64_t b) { return 2 * (31 + 6 + 6 + k * b + 2) + 9 + k + 13; };
  const int64_t cycles = 333 * 333 * (tile(32, 8) + tile(1, 3));
  REQUIRE(static_cast<int64_t>(static_cast<float>(cycles)) != cycles);
  CHECK(cost_of(conv, "ne16-latency") == static_cast<double>(cycles));
}

TEST_CASE("cost: a model may combine tensors and their ops with values") {
  const cost::Model model = cost::sum_over_layers("reads", "reads", "", [](const cost::Layer& layer) {
    const Tensor inputs = scale(layer.live_inputs, 2), bits = layer.input.expected_bits();
    const Tensor terms[] = {product(inputs, layer.live_outputs()), product(layer.live_outputs(), bits),
                            ceil_div(relu(inputs), 4)};
    return sum(terms);
  });
  CHECK(cost::discrete(one_layer(4, 8), model) == 2 * 3 * 5 + 5 * 4 + 2);
  CHECK(cost::by_layer(one_layer(4, 8), model).at(0).second == 2 * 3 * 5 + 5 * 4 + 2);
  Graph searched = one_layer(8, 8);
  auto& slot = *searched.nodes[1].weight_slot;
  slot.bits.clear();
  slot.precisions = {0, 8};
  slot.alpha = Tensor::zeros({2, 5});
  const Tensor theta = Tensor::full({2, 5}, 0.5F).requires_grad();
  Tape tape;
  const Tensor soft = cost::soft(searched, model, {{&slot, theta}});
  CHECK(soft.item() == 2 * 3 * 2.5 + 2.5 * 8 + 2);
  tape.backward(soft);
  for (size_t i = 0; i < 10; ++i) CHECK(theta.grad()[i] == (i < 5 ? 0 : 2 * 3 + 8));
}

TEST_CASE("cost: values only need a tape if they depend on something trained") {
  const cost::Value constant = 3, doubled = scale(constant, 2);
  CHECK(!doubled.needs_grad());
  CHECK(doubled.item() == 6);
  CHECK(Tensor(doubled).item() == 6);
  const Tensor x = Tensor::scalar(0.5F).requires_grad();
  Tape tape;
  const cost::Value terms[] = {product(x, doubled), ceil_div(product(constant, x), 4)};
  const cost::Value total = sum(terms);
  CHECK(total.needs_grad());
  CHECK(total.item() == 4);
  tape.backward(total);
  CHECK(x.grad()[0] == 6 + 0.75F);
}
