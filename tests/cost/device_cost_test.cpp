// SPDX-License-Identifier: Apache-2.0
// Costs in bytes of the C package: predicted before the export, and exact to the byte.
#include "../networks.h"
#include "../random_graph.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <sstream>

using namespace mixgrad;
using test::refusal;

namespace {

/// Checks that `graph` and, if channels are pruned, its exported form cost what the package takes.
void check_bytes(const Graph& discrete) {
  const Graph found = exported(discrete);
  IntegerNetwork network = to_integer(found);
  const double constants = static_cast<double>(device_bytes(network).constants());
  const double arena = static_cast<double>(plan_arena(network).bytes);
  network.packs_activations = true;
  const double packed = static_cast<double>(plan_arena(network).bytes);
  CHECK(static_cast<double>(device_bytes(network).constants()) == constants);
  for (const Graph* graph : {&discrete, &found}) {
    CHECK(cost::discrete(*graph, cost::flash()) == constants);
    CHECK(cost::discrete(*graph, cost::peak_ram()) == arena);
    CHECK(cost::discrete(*graph, cost::packed_ram()) == packed);
    CHECK(cost::Meter(*graph, cost::flash())() == constants);
  }
}

int64_t size_of(const std::string& type) {
  static const std::map<std::string, int64_t> sizes = {
      {"uint8_t", 1}, {"uint16_t", 2}, {"int32_t", 4}, {"uint32_t", 4}};
  return sizes.at(type);
}

/// Bytes of the constants in a net.c with 4-byte addresses: arrays, and structs of 32-bit numbers and addresses.
int64_t constants_in(const std::string& source) {
  int64_t bytes = 0;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line);) {
    const std::string prefix = "static const ";
    if (!line.starts_with(prefix)) continue;
    const std::string type = line.substr(prefix.size(), line.find(' ', prefix.size()) - prefix.size());
    if (type == "layer" || type == "pool") {
      for (std::string more; line.find(';') == std::string::npos && std::getline(lines, more);) line += more;
      bytes += 4 * (std::ranges::count(line, ',') + 1);
    } else {
      bytes += size_of(type) * std::atol(line.c_str() + line.find('[') + 1);
    }
  }
  return bytes;
}

/// A search of resnet8 that may prune channels.
MixPrec pruning_search() {
  MixPrec net(simplified(*test::random_resnet8(4), {3, 32, 32}), {.activation_precisions = {2, 4, 8},
                                                                  .weight_precisions = {0, 2, 3, 8},
                                                                  .w_mixprec_type = MixPrecType::PER_CHANNEL});
  test::randomize_architecture(net, 3);
  return net;
}

}  // namespace

TEST_CASE(
    "device costs: flash, peak-ram and packed-ram equal the package's bytes, on random networks with pruned channels") {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const test::RandomNetwork random = test::random_network(seed, 2);
    CAPTURE(seed);
    CAPTURE(test::structure(random.discrete));
    check_bytes(random.discrete);
  }
}

TEST_CASE("device costs: flash, peak-ram and packed-ram equal the package's bytes, on the zoo's models") {
  uint64_t seed = 0;
  for (const std::string& name : models::names()) {
    const models::Model model = test::random_model(name, 5);
    for (const MixPrecType type : {MixPrecType::PER_LAYER, MixPrecType::PER_CHANNEL}) {
      CAPTURE(name);
      const bool prunes = type == MixPrecType::PER_CHANNEL && name != "autoencoder";
      MixPrec net(*model.net, {.input_shape = model.input_shape,
                               .activation_precisions = {2, 5, 8},
                               .weight_precisions = prunes ? std::vector{0, 2, 3, 8} : std::vector{2, 3, 5, 8},
                               .w_mixprec_type = type});
      test::randomize_architecture(net, ++seed);
      check_bytes(discretize(net.graph()));
    }
  }
}

TEST_CASE("device costs: uniform 8-bit equals the exported uniform network, and float takes four bytes per number") {
  const models::Model model = test::random_model("resnet8", 5);
  const Graph floating = simplified(*model.net, model.input_shape);
  MixPrec net(floating, {.activation_precisions = {8}, .weight_precisions = {8}});
  const IntegerNetwork network = to_integer(net.arch_export());
  CHECK(cost::uniform(floating, cost::flash(), 8) == static_cast<double>(device_bytes(network).constants()));
  CHECK(cost::uniform(floating, cost::peak_ram(), 8) == static_cast<double>(plan_arena(network).bytes));
  CHECK(cost::uniform(floating, cost::peak_ram(), 2) == cost::uniform(floating, cost::peak_ram(), 8));
  CHECK(cost::uniform(floating, cost::flash(), 5) == cost::uniform(floating, cost::flash(), 8));  // equal storage
  CHECK(cost::uniform(floating, cost::flash(), 3) == cost::uniform(floating, cost::flash(), 4));
  // The inputs of the Add, a row and a position by which one is ahead of the tensor that it overwrites, and a patch of
  // four positions.
  CHECK(cost::discrete(floating, cost::peak_ram()) == 4 * (2 * 16 * 1024 + (32 + 1) * 16 + 4 * 9 * 16));
  CHECK(cost::discrete(floating, cost::flash()) > 4 * 77360);
}

TEST_CASE(
    "device costs: NET_CONSTANT_BYTES counts the numbers in net.c, and those of an Add, Mul or PReLU in its code") {
  for (const bool quantize_output : {false, true}) {
    const IntegerNetwork network = to_integer(test::every_op(quantize_output, 45));
    const std::string source = c_package(network, "every op", {}).source;
    const auto in_code = std::ranges::count_if(network.nodes, [](const IntegerNode& n) {
      return n.as<integer::Add>() || n.as<integer::Mul>() || n.as<integer::PRelu>();
    });
    CHECK(constants_in(source) + 5 * in_code == device_bytes(network).constants());
  }
}

TEST_CASE("device costs: layers that lead nowhere cost nothing, because the package leaves them out") {
  const Graph graph = test::every_op(false, 45);
  Graph more = graph;
  more.nodes.push_back(graph.nodes[1]);
  more.nodes.back().name = "spare";
  check_bytes(more);
  for (const cost::Model& model : {cost::size(), cost::flash(), cost::peak_ram()}) {
    CHECK(cost::discrete(more, model) == cost::discrete(graph, model));
    CHECK(cost::Meter(more, model)() == cost::discrete(graph, model));
  }
}

TEST_CASE("device costs: a layer without bias has zeros in the package") {
  IntegerNetwork network = to_integer(test::every_op(false, 45));
  const DeviceBytes with_bias = device_bytes(network);
  for (IntegerNode& node : network.nodes) {
    if (node.layer() != nullptr) node.layer()->bias.clear();
  }
  CHECK(device_bytes(network).biases == with_bias.biases);
}

TEST_CASE("device costs: the gradient in the share of pruned channels is the cost's slope, ignoring its steps") {
  const MixPrec net = pruning_search();
  for (const cost::Model& model : {cost::flash(), cost::peak_ram(), cost::packed_ram()}) {
    CAPTURE(model.name);
    const auto soft = [&] { return cost::soft(net.graph(), model, net.graph().softmax_thetas(1.3)); };
    const auto shift = [&](float by) {  // α of 0 bits, for every channel
      for (const Tensor& alpha : net.nas_parameters()) {
        if (alpha.shape().rank() != 2) continue;
        for (int64_t c = 0; c < alpha.dim(1); ++c) alpha.data()[static_cast<size_t>(c)] += by;
      }
    };
    for (const Tensor& alpha : net.nas_parameters()) alpha.zero_grad();
    {
      Tape tape;
      tape.backward(soft());
    }
    double analytic = 0;
    for (const Tensor& alpha : net.nas_parameters()) {
      if (alpha.shape().rank() != 2 || alpha.grad().empty()) continue;
      for (int64_t c = 0; c < alpha.dim(1); ++c) analytic += alpha.grad()[static_cast<size_t>(c)];
    }
    const auto at = [&](float by) {
      shift(by);
      const double value = soft().item();
      shift(-by);
      return value;
    };
    // Over many steps, at fourth order.
    const double difference = (8 * (at(0.5F) - at(-0.5F)) - (at(1) - at(-1))) / 6;
    CHECK(difference < 0);
    CHECK(analytic == doctest::Approx(difference).epsilon(0.03));
  }
}

TEST_CASE("device costs: the soft cost at one-hot θ equals the discrete cost") {
  const MixPrec net = pruning_search();
  Thetas one_hot = net.graph().softmax_thetas(1.0);
  for (const auto& slot : net.graph().weight_slots()) {
    one_hot.at(slot.get()) = quant::one_hot(slot->alpha, slot->precisions);
  }
  for (const auto& slot : net.graph().activation_slots()) {
    if (!slot->fixed()) one_hot.at(slot.get()) = quant::one_hot(slot->alpha, slot->precisions);
  }
  for (const cost::Model& model :
       {cost::flash(), cost::peak_ram(), cost::packed_ram(), cost::activations(), cost::size()}) {
    CAPTURE(model.name);
    CHECK(cost::soft(net.graph(), model, one_hot).item() == cost::discrete(net.graph(), model));
  }
}

TEST_CASE("device costs: a target below what C can store is refused with the reason") {
  const models::Model model = test::random_model("resnet8", 5);
  MixPrec net(*model.net,
              {.input_shape = model.input_shape, .activation_precisions = {2, 4, 8}, .weight_precisions = {2, 4, 8}});
  CHECK(refusal([&] { check_reachable(net.graph(), parse_targets("peak-ram=12KiB", net.graph())); }) ==
        "target: peak-ram of 12288 bytes can't be met: the smallest that these candidates reach is 34448, 100.0% of "
        "uniform 8-bit; memory peaks at 'stack1.conv2', with 'conv' (16384 bytes), the head start of "
        "'stack1.conv2' (528), 'stack1.conv1' (16384) and the patch of 'stack1.conv2' (1152) on top of each other");
  check_reachable(net.graph(), parse_targets("activations=12KiB,peak-ram=34448B,flash=40KiB", net.graph()));
}
