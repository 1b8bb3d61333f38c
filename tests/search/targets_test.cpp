// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../refusal.h"

#include <mixgrad/ops.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;
using test::refusal;

namespace {

const Graph& floating() {
  static const Graph graph = simplified(*test::random_resnet8(1), {3, 32, 32});
  return graph;
}

MixPrec searched(MixPrecType type, std::vector<int> weight_bits, std::vector<int> act_bits, uint64_t seed) {
  MixPrec net(floating(), {.activation_precisions = std::move(act_bits),
                           .weight_precisions = std::move(weight_bits),
                           .w_mixprec_type = type});
  test::randomize_architecture(net, seed);
  return net;
}

}  // namespace

TEST_CASE("targets: numbers, shares of uniform 8-bit, and bytes") {
  const double uniform = 77360 * 8;
  const auto limits = parse_targets(
      "size=40KiB,macs=25%,params=500,peak-ram=16KiB,mpic-energy=1e-4,flash=1MiB,activations=2KiB", floating());
  REQUIRE(limits.size() == 7);
  CHECK(limits[0].limit == 40 * 8192);
  CHECK(limits[1].limit == 0.25 * 12501632 * 64);
  CHECK(limits[2].limit == 500);
  CHECK(limits[3].limit == 16 * 1024);
  CHECK(limits[4].limit == 1e-4);
  CHECK(limits[5].limit == 1024 * 1024);
  CHECK(limits[6].limit == 2 * 8192);
  CHECK(parse_targets("size=12.5%", floating())[0].limit == uniform / 8);
  CHECK(parse_targets("size=100B", floating())[0].limit == 800);
  CHECK(parse_targets("", floating()).empty());
}

TEST_CASE("targets: what is not one is told") {
  for (const char* bad : {"size", "size=", "size=x", "size=0", "size=-3", "size=nan", "size=inf", "=3", "size=3,",
                          "size=40KB", "macs=3KiB", "speed=3", "size=1,size=2"}) {
    CAPTURE(bad);
    const std::string said = refusal([&] { parse_targets(bad, floating()); });
    CHECK((said.starts_with("target: ") || said.starts_with("unknown cost 'speed'") ||
           said.starts_with("unknown cost ''")));
  }
}

TEST_CASE("targets: the discrete network keeps a bound on its size and uses at least 95% of it") {
  struct Scheme {
    const char* name;
    MixPrecType type;
    std::vector<int> bits;
    uint64_t seeds;  // more where whole layers must fit
  };
  for (const Scheme& scheme : {Scheme{"per layer", MixPrecType::PER_LAYER, {2, 4, 8}, 20},
                               {"per channel", MixPrecType::PER_CHANNEL, {2, 4, 8}, 3},
                               {"pruning", MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, 3}}) {
    for (uint64_t seed = 0; seed < scheme.seeds; ++seed) {
      const MixPrec net = searched(scheme.type, scheme.bits, {8}, seed);
      for (const char* share : {"30%", "40%", "50%", "75%"}) {
        CAPTURE(scheme.name);
        CAPTURE(share);
        const auto targets = parse_targets(std::string("size=") + share, floating());
        const Graph found = net.arch_export({.targets = targets});
        const double used = cost::discrete(found, cost::size()) / targets[0].limit;
        CHECK(used <= 1);
        CHECK(used >= 0.95);
      }
    }
  }
}

TEST_CASE("targets: several hold at once, and what α prefers is kept where it fits") {
  const MixPrec net = searched(MixPrecType::PER_CHANNEL, {2, 4, 8}, {2, 4, 8}, 5);
  const auto targets = parse_targets("size=40%,macs=20%,activations=60%", floating());
  const Graph found = net.arch_export({.targets = targets});
  for (const Target& t : targets) {
    CAPTURE(t.model.name);
    CHECK(cost::discrete(found, t.model) <= t.limit);
  }
  const auto loose = parse_targets("size=1000%", floating());
  const Graph all = net.arch_export({.targets = loose});
  for (const auto& slot : all.weight_slots())
    CHECK(std::ranges::count(slot->bits, 8) == std::ssize(slot->bits));             // the budget is for using
  CHECK(cost::discrete(all, cost::macs()) == cost::uniform(all, cost::macs(), 8));  // what no target counts is free
}

TEST_CASE("targets: an arg max within them stays as it is where more bits would be worse") {
  const MixPrec net = searched(MixPrecType::PER_LAYER, {2, 4, 8}, {4, 8}, 5);
  const Graph arg_max = discretize(net.graph());
  const auto limit = cost::discrete(arg_max, cost::size()) * 1.5;
  const std::vector<Target> targets{{cost::size(), limit}};
  const auto closeness = [&](const Graph& g) {
    const double distance = cost::discrete(g, cost::size()) - cost::discrete(arg_max, cost::size());
    return -std::abs(distance);
  };
  const MetTargets met = meet_targets(net.graph(), targets, {.quality = closeness});
  CHECK(met.repair.start == "the arg max");
  CHECK(met.repair.quality == 0);
  const auto before = arg_max.weight_slots(), after = met.network.weight_slots();
  for (size_t i = 0; i < after.size(); ++i) CHECK(after[i]->bits == before[i]->bits);
  for (const auto& slot : met.network.activation_slots()) CHECK(slot->precisions[0] == 8);  // costs no weight
  const Graph filled = meet_targets(net.graph(), targets).network;
  CHECK(cost::discrete(filled, cost::size()) > cost::discrete(arg_max, cost::size()));
}

TEST_CASE("targets: no tensor is left at fewer bits than its target asks for") {
  // A maximum over the network: most tensors can have their most bits.
  const cost::Model widest{
      .name = "widest", .unit = "bits", .help = "the widest tensor", .of_network = [](const cost::Network& network) {
        Tensor most = Tensor::scalar(0);
        for (size_t i = 1; i < network.activations.size(); ++i) {
          const cost::Activation& a = network.activations[i];
          const Tensor bits = scale(a.precisions.expected_bits(), static_cast<double>(a.positions));
          if (bits.item() > most.item()) most = bits;
        }
        return most;
      }};
  const MixPrec net = searched(MixPrecType::PER_CHANNEL, {2, 4, 8}, {2, 4, 8}, 5);
  const std::vector<Target> half{{widest, 1024.0 * 8 / 2}};
  MetTargets met = meet_targets(net.graph(), half);
  CHECK(cost::discrete(met.network, widest) <= half[0].limit);
  for (const auto& slot : met.network.activation_slots()) {
    const int before = slot->precisions[0];
    for (const int more : {4, 8}) {
      if (more <= before) continue;
      slot->precisions[0] = more;
      CHECK(cost::discrete(met.network, widest) > half[0].limit);
    }
    slot->precisions[0] = before;
  }
}

TEST_CASE(
    "targets: where costs count tiles, a network is no worse than the uniform ones within the target, nor dearer") {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const MixPrec net = searched(MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}, seed);
    // What a network loses grows with the channels that lose bits, and fast at 2 bits.
    const auto quality = [](const Graph& g) {
      double lost = 0;
      for (const auto& slot : g.weight_slots()) {
        for (const int b : slot->bits) lost += b == 2 ? 10 : b == 4 ? 1 : 0;
      }
      return -lost;
    };
    const auto uniform = uniform_baseline(floating(), {.weight_precisions = {2, 4, 8}},
                                          parse_targets("ne16-latency=75%", floating()), quality);
    const auto targets = parse_targets("ne16-latency=75%", floating());
    const MetTargets alone = meet_targets(net.graph(), targets),
                     judged = meet_targets(net.graph(), targets, {.quality = quality});
    CHECK(alone.repair.start == "the arg max");
    for (const MetTargets* met : {&alone, &judged})
      CHECK(cost::discrete(met->network, targets[0].model) <= targets[0].limit);
    CHECK(quality(judged.network) >= quality(uniform.network));
    CHECK(quality(judged.network) >= quality(alone.network));
    CHECK(judged.repair.quality == quality(judged.network));
    CHECK(judged.repair.quality_at_arg_max == quality(discretize(net.graph())));
  }
}

TEST_CASE("targets: how they were met is told, and kept as JSON") {
  const MixPrec net = searched(MixPrecType::PER_LAYER, {2, 8}, {8}, 0);
  for (const nn::NamedTensor& alpha : net.alpha_summary()) {
    if (alpha.tensor.size() == 2) alpha.tensor.data()[0] = 0, alpha.tensor.data()[1] = 1;
  }
  const auto targets = parse_targets("size=50%", floating());
  const Repair undecided = meet_targets(net.graph(), targets).repair;
  REQUIRE(undecided.costs.size() == 1);
  CHECK(undecided.costs[0].arg_max == 2 * targets[0].limit);
  CHECK(undecided.costs[0].share() == 1);  // all of the saving was the repair's
  CHECK(undecided.moved > 0);
  const Repair held = meet_targets(net.graph(), parse_targets("size=100%", floating())).repair;
  CHECK(held.costs[0].share() == 0);
  CHECK(held.moved == 0);
  CHECK(held.choices == std::ssize(net.graph().weight_slots()));
  const Repair read = repair_from_json(to_json(undecided));
  CHECK(to_json(read) == to_json(undecided));
  CHECK(read.moved == undecided.moved);
  CHECK_THROWS_AS(repair_from_json("{}"), Error);
  CHECK_THROWS_AS(repair_from_json("no JSON"), Error);
}

TEST_CASE("targets: the preferences of α decide which layer pays") {
  MixPrec net = searched(MixPrecType::PER_LAYER, {2, 8}, {8}, 0);
  for (const nn::NamedTensor& alpha : net.alpha_summary()) {
    if (alpha.tensor.size() != 2) continue;
    alpha.tensor.data()[0] = 0;
    alpha.tensor.data()[1] = alpha.name == "stack3.conv1.alpha_w" ? 0.001F : 5.0F;
  }
  const Graph found = net.arch_export({.targets = parse_targets("size=85%", floating())});
  for (const LayerSummary& layer : summarize(found, floating()))
    CHECK(layer.weight_bits[0] == (layer.name == "stack3.conv1" ? 2 : 8));
}

TEST_CASE("targets: below the smallest network they are refused, with that network's cost") {
  const MixPrec net = searched(MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}, 0);
  const std::string expected =
      "target: size of 148531 bits can't be met: the smallest that these candidates reach is 154720, 25.0% of uniform "
      "8-bit";
  CHECK(refusal([&] { check_reachable(net.graph(), parse_targets("size=24%", floating())); }) == expected);
  CHECK(refusal([&] { net.arch_export({.targets = parse_targets("size=24%", floating())}); }) == expected);
}

TEST_CASE("targets: constraint_violation is 0 where all hold, and leads down where they don't") {
  const MixPrec net = searched(MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}, 2);
  const Thetas thetas = net.graph().softmax_thetas(1.0);
  const double soft = cost::soft(net.graph(), cost::size(), thetas).item();
  const std::vector<Target> held{{cost::size(), soft * 1.01}},
      missed{{cost::size(), soft / 2}, {cost::size(), soft / 4}};
  CHECK(constraint_violation(net.graph(), held, thetas).item() == 0);
  Tape tape;
  const Tensor value = constraint_violation(net.graph(), missed, net.graph().softmax_thetas(1.0));
  CHECK(value.item() == doctest::Approx(1 + 3));
  tape.backward(value);
  for (const Tensor& alpha : net.nas_parameters()) {
    if (alpha.shape().rank() == 2) CHECK(alpha.grad()[static_cast<size_t>(alpha.dim(1)) * 2] > 0);  // less of 8 bits
  }
}
