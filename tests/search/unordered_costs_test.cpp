// SPDX-License-Identifier: Apache-2.0
// Costs that do not fall with the bits: targets, refinement and baselines go by what the cost model says.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

using namespace mixgrad;
using test::refusal;

namespace {

/// By input and weight bits; the same for every kind of layer.
using PerMac = std::function<double(int input_bits, int weight_bits)>;

cost::Model table(std::string name, const PerMac& per_mac, int64_t tile = 1, const std::set<int>& widths = {2, 4, 8}) {
  cost::Table out{.name = std::move(name), .unit = "cycles", .tile = tile, .per_mac = {}};
  for (const cost::LayerKind kind : cost::layer_kinds) {
    for (int input : widths) {
      for (int weight : widths) out.per_mac[{kind, input, weight}] = per_mac(input, weight);
    }
  }
  return cost::look_up(out, "");
}

/// A chip without sub-byte units has to unpack weights.
double unpacked(int, int weight_bits) { return weight_bits == 8 ? 0.5 : weight_bits == 4 ? 0.7 : 0.8; }
double monotone(int input_bits, int weight_bits) { return 0.1 + 0.05 * weight_bits + 0.02 * input_bits; }
double reversed(int input_bits, int weight_bits) { return 1.2 - 0.08 * weight_bits - 0.04 * input_bits; }

PerMac random_costs(uint64_t seed) {
  Rng rng(seed, "table");
  std::map<std::pair<int, int>, double> costs;
  for (int input : {2, 4, 8}) {
    for (int weight : {2, 4, 8}) costs[{input, weight}] = 0.1 + rng.uniform();
  }
  return [costs](int input, int weight) { return costs.at({input, weight}); };
}

/// Monotone, reversed and random costs, each by the channel and in tiles of channels.
std::vector<cost::Model> tables(int64_t tile) {
  std::vector<cost::Model> out;
  for (const int64_t t : {int64_t{1}, tile}) {
    out.push_back(table(fmt::format("monotone/{}", t), monotone, t));
    out.push_back(table(fmt::format("reversed/{}", t), reversed, t));
    for (uint64_t seed = 0; seed < 3; ++seed)
      out.push_back(table(fmt::format("random{}/{}", seed, t), random_costs(seed), t));
  }
  return out;
}

const Graph& resnet8() {
  static const Graph graph = simplified(*test::random_resnet8(1), {3, 32, 32});
  return graph;
}

/// Three layers of few channels: all of their networks can be counted.
class Tiny : public nn::Module {
 public:
  Tiny() : a(conv(2, 3)), b(conv(3, 2)), fc({.in_features = 2 * 4 * 4, .out_features = 2}) {
    add_module("a", a);
    add_module("b", b);
    add_module("fc", fc);
  }
  Tensor forward(const Tensor& x) override { return fc(flatten(relu(b(relu(a(x)))))); }

 private:
  static nn::Conv2dOptions conv(int64_t in, int64_t out) {
    return {.in_channels = in, .out_channels = out, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}};
  }
  nn::Conv2d a, b;
  nn::Linear fc;
};

struct Scheme {
  const char* name;
  MixPrecType type;
  std::vector<int> weight_bits, activation_bits;
};

MixPrec searched(const Graph& floating, const Scheme& scheme, uint64_t seed) {
  MixPrec net(floating, {.activation_precisions = scheme.activation_bits,
                         .weight_precisions = scheme.weight_bits,
                         .w_mixprec_type = scheme.type});
  test::randomize_architecture(net, seed);
  return net;
}

/// Costs of every network of the candidates: by network, by model.
std::vector<std::vector<double>> all_costs(const Scheme& scheme, const Graph& floating,
                                           const std::vector<cost::Model>& models) {
  const MixPrec net = searched(floating, scheme, 0);
  const std::vector<Tensor> alphas = net.nas_parameters();
  std::vector<std::vector<double>> out;
  const std::function<void(size_t, int64_t)> choose = [&](size_t i, int64_t column) {
    if (i == alphas.size()) {
      std::vector<double>& costs = out.emplace_back();
      for (const cost::Model& m : models) costs.push_back(cost::discrete(net.graph(), m));
      return;
    }
    const int64_t columns = alphas[i].size() / alphas[i].dim(0);
    if (column == columns) return choose(i + 1, 0);
    for (int64_t chosen = 0; chosen < alphas[i].dim(0); ++chosen) {
      for (int64_t p = 0; p < alphas[i].dim(0); ++p)
        alphas[i].data()[static_cast<size_t>(p * columns + column)] = p == chosen ? 1.0F : 0.0F;
      choose(i, column + 1);
    }
  };
  choose(0, 0);
  return out;
}

/// Every one of these networks keeps its targets.
void check_met(const Graph& found, const std::vector<Target>& targets) {
  for (const Target& t : targets) {
    CAPTURE(t.model.name);
    CHECK(cost::discrete(found, t.model) <= t.limit);
  }
}

double least_of(const std::vector<std::vector<double>>& costs, size_t model) {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& c : costs) least = std::min(least, c[model]);
  return least;
}

/// The smallest cost by model `y` of those networks that cost at most `limit` by model `x`.
double least_within(const std::vector<std::vector<double>>& costs, size_t x, double limit, size_t y) {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& c : costs) {
    if (c[x] <= limit) least = std::min(least, c[y]);
  }
  return least;
}

const std::vector<Scheme> schemes = {
    {"per layer", MixPrecType::PER_LAYER, {2, 4, 8}, {4, 8}},
    {"per channel", MixPrecType::PER_CHANNEL, {2, 8}, {4, 8}},
    {"per channel, one width for activations", MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}},
    {"pruning", MixPrecType::PER_CHANNEL, {0, 2, 8}, {4, 8}}};

}  // namespace

TEST_CASE("unordered costs: on a chip where fewer bits are slower, targets above uniform 8-bit are met") {
  const cost::Model cycles = table("cycles", unpacked);
  REQUIRE(cost::uniform(resnet8(), cycles, 8) == 6250816);
  const std::vector<Target> target{{cycles, 7.5e6}};
  for (const MixPrecType type : {MixPrecType::PER_LAYER, MixPrecType::PER_CHANNEL}) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      const MixPrec net = searched(resnet8(), {"", type, {2, 4, 8}, {8}}, seed);
      CHECK(cost::discrete(net.graph(), cycles) > 7.5e6);
      check_reachable(net.graph(), target);
      check_met(net.arch_export({.targets = target}), target);
    }
  }
  const MixPrec net = searched(resnet8(), {"", MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}}, 0);
  const std::vector<Target> below{{cycles, 6e6}};
  CHECK(refusal([&] { net.arch_export({.targets = below}); }) ==
        "target: cycles of 6e+06 cycles can't be met: the smallest that these candidates reach is 6.25082e+06, 100.0% "
        "of uniform 8-bit");
}

TEST_CASE(
    "unordered costs: what the cheapest of all networks costs can be met, anything less is refused with that cost") {
  Tiny tiny;
  nn::initialize(tiny, Rng(1, "init"));
  const Graph floating = simplified(tiny, {2, 4, 4});
  std::vector<cost::Model> models = tables(2);
  for (const char* name : {"size", "flash", "macs", "activations", "peak-ram", "packed-ram", "params"})
    models.push_back(cost::find(name));
  for (const Scheme& scheme : schemes) {
    CAPTURE(scheme.name);
    const auto costs = all_costs(scheme, floating, models);
    for (size_t m = 0; m < models.size(); ++m) {
      CAPTURE(models[m].name);
      const double least = least_of(costs, m);
      const MixPrec net = searched(floating, scheme, m);
      const std::vector<Target> tight{{models[m], least}}, less{{models[m], least * 0.9999}};
      check_reachable(net.graph(), tight);
      check_met(net.arch_export({.targets = tight}), tight);
      const std::string expected = fmt::format("the smallest that these candidates reach is {:.6g}", least);
      CHECK(refusal([&] { check_reachable(net.graph(), less); }).find(expected) != std::string::npos);
      CHECK(refusal([&] { net.arch_export({.targets = less}); }).find(expected) != std::string::npos);
    }
  }
}

TEST_CASE("unordered costs: two targets that pull apart are met up to the Pareto front, and refused beyond") {
  Tiny tiny;
  nn::initialize(tiny, Rng(2, "init"));
  const Graph floating = simplified(tiny, {2, 4, 4});
  std::vector<cost::Model> models = tables(2);
  for (const char* name : {"size", "activations"}) models.push_back(cost::find(name));
  const size_t count = models.size(), size = count - 2, ram = count - 1;
  for (const Scheme& scheme : schemes) {
    CAPTURE(scheme.name);
    const auto costs = all_costs(scheme, floating, models);
    Rng rng(3, scheme.name);
    for (size_t x = 0; x < size; ++x) {
      for (const size_t y : {size, ram, (x + 1) % size}) {
        CAPTURE(models[x].name);
        CAPTURE(models[y].name);
        // From a network on to one that no other beats in both costs.
        const double within = costs[rng.below(costs.size())][x];
        const double least_y = least_within(costs, x, within, y), least_x = least_within(costs, y, least_y, x);
        const MixPrec net = searched(floating, scheme, x);
        const std::vector<Target> front{{models[x], least_x}, {models[y], least_y}},
            beyond{{models[x], least_x * 0.9999}, {models[y], least_y}};
        check_reachable(net.graph(), front);
        check_met(net.arch_export({.targets = front}), front);
        const std::string said = refusal([&] { check_reachable(net.graph(), beyond); });
        CHECK(said.starts_with("target: "));
        CHECK(refusal([&] { net.arch_export({.targets = beyond}); }) == said);
      }
    }
  }
}

TEST_CASE("unordered costs: a network too large to count meets what one of its own networks costs") {
  struct Pair {
    const char* name;
    cost::Model first, second;
  };
  for (const Pair& pair : {Pair{"reversed, size", table("t", reversed), cost::size()},
                           {"reversed in tiles, macs", table("t", reversed, 8), cost::macs()},
                           {"random, random", table("t", random_costs(1)), table("u", random_costs(2))},
                           {"random in tiles, activations", table("t", random_costs(3), 8), cost::activations()}}) {
    for (const Scheme& scheme : {Scheme{"per layer", MixPrecType::PER_LAYER, {2, 4, 8}, {2, 4, 8}},
                                 {"per channel", MixPrecType::PER_CHANNEL, {2, 4, 8}, {2, 4, 8}},
                                 {"pruning", MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, {2, 4, 8}}}) {
      CAPTURE(pair.name);
      CAPTURE(scheme.name);
      const Graph planted = discretize(searched(resnet8(), scheme, 7).graph());
      std::vector<Target> targets;
      for (const cost::Model& m : {pair.first, pair.second}) targets.push_back({m, cost::discrete(planted, m)});
      const MixPrec net = searched(resnet8(), scheme, 8);
      check_met(net.arch_export({.targets = targets}), targets);
      check_met(net.arch_export({.targets = {targets.data(), 1}}), {targets[0]});
    }
  }
}

TEST_CASE("unordered costs: the least of a large network is the sum of every tensor's and its readers' least") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const PerMac per_mac = random_costs(seed);
    const auto cheapest_weights = [&](int input_bits) {
      return std::min({per_mac(input_bits, 2), per_mac(input_bits, 4), per_mac(input_bits, 8)});
    };
    const MixPrec net = searched(resnet8(), {"", MixPrecType::PER_CHANNEL, {2, 4, 8}, {2, 4, 8}}, seed);
    const Graph& graph = net.graph();
    // ResNet8's layers differ in MACs alone, so that of every tensor the bits are best that are best for one MAC; its
    // input has 8 bits.
    const double inner = std::min({cheapest_weights(2), cheapest_weights(4), cheapest_weights(8)});
    double least = 0;
    for (const LayerSummary& layer : net.arch_summary()) {
      least += static_cast<double>(layer.macs) * (layer.name == "conv" ? cheapest_weights(8) : inner);
    }
    const cost::Model model = table("t", per_mac);
    const std::vector<Target> enough{{model, least * (1 + 1e-6)}}, less{{model, least * (1 - 1e-4)}};
    check_reachable(graph, enough);
    CHECK(refusal([&] { check_reachable(graph, less); }).find("can't be met") != std::string::npos);
  }
}

TEST_CASE("unordered costs: refining never costs more, and takes whatever bits are free") {
  for (const cost::Model& model : tables(8)) {
    for (const Scheme& scheme : {Scheme{"per layer", MixPrecType::PER_LAYER, {2, 4, 8}, {8}},
                                 {"per channel", MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}}}) {
      for (uint64_t seed = 0; seed < 3; ++seed) {
        CAPTURE(model.name);
        CAPTURE(scheme.name);
        const MixPrec net = searched(resnet8(), scheme, seed);
        const Graph before = discretize(net.graph()), after = refine(net.graph(), model);
        CHECK(cost::discrete(after, model) <= cost::discrete(before, model));
        for (size_t i = 0; i < before.nodes.size(); ++i) {
          if (!before.nodes[i].weight_slot) continue;
          const std::vector<int>&low = before.nodes[i].weight_slot->bits, &high = after.nodes[i].weight_slot->bits;
          for (size_t c = 0; c < low.size(); ++c) CHECK(high[c] >= low[c]);
          // Where more bits are cheaper, tiles or not, all are taken.
          if (model.name.starts_with("reversed")) CHECK(std::ranges::count(high, 8) == std::ssize(high));
        }
      }
    }
  }
}

TEST_CASE("unordered costs: refining leaves activations where α has them, though more bits of them cost nothing") {
  const MixPrec net = searched(resnet8(), {"", MixPrecType::PER_CHANNEL, {2, 4, 8}, {2, 4, 8}}, 1);
  const Graph before = discretize(net.graph()), after = refine(net.graph(), cost::size());
  bool below_8 = false;
  for (size_t i = 0; i < before.nodes.size(); ++i) {
    const auto &low = before.nodes[i].output_slot, &high = after.nodes[i].output_slot;
    if (!low) continue;
    CHECK(high->precisions == low->precisions);
    below_8 = below_8 || low->precisions[0] < 8;
  }
  CHECK(below_8);
}

TEST_CASE("unordered costs: filling up a budget in tiles ends") {
  for (const char* target : {"ne16-latency=60%", "ne16-latency=75%", "ne16-latency=90%"}) {
    for (const std::vector<int>& bits : {std::vector{2, 4, 8}, {0, 2, 4, 8}}) {
      const auto targets = parse_targets(target, resnet8());
      check_met(searched(resnet8(), {"", MixPrecType::PER_CHANNEL, bits, {8}}, 0).arch_export({.targets = targets}),
                targets);
    }
  }
}

TEST_CASE("unordered costs: baselines meet what they can and say the least that they reach") {
  const cost::Model cycles = table("cycles", unpacked);
  const std::vector<Target> target{{cycles, 7.5e6}}, below{{cycles, 6e6}};
  const MixPrecOptions options{
      .activation_precisions = {8}, .weight_precisions = {2, 4, 8}, .w_mixprec_type = MixPrecType::PER_CHANNEL};
  check_met(uniform_baseline(resnet8(), options, target).network, target);
  check_met(random_baseline(resnet8(), options, target, 1).network, target);
  check_met(
      sensitivity_baseline(resnet8(), options, target, [](const Graph& g) { return cost::discrete(g, cost::size()); })
          .network,
      target);
  const std::string said =
      "target: cycles of 6e+06 cycles can't be met at one bit-width: the smallest that these candidates reach is "
      "6.25082e+06, 100.0% of uniform 8-bit";
  CHECK(refusal([&] { uniform_baseline(resnet8(), options, below); }) == said);
  CHECK(refusal([&] { check_uniform(resnet8(), options, below); }) == said);

  const auto bits = [&](const std::vector<Target>& targets) {
    check_uniform(resnet8(), options, targets);
    return uniform_baseline(resnet8(), options, targets).network.weight_slots()[0]->bits[0];
  };
  const double macs = 12501632;
  // Costs of 4-bit weights alone, of 4 and 8, and 8 the cheapest but for a size that asks for 4.
  const auto weights_only = [](std::set<int> widths, const PerMac& per_mac) {
    cost::Table t{.name = "few", .unit = "cycles", .per_mac = {}};
    for (const cost::LayerKind kind : {cost::LayerKind::conv2d, cost::LayerKind::linear}) {
      for (int w : widths) t.per_mac[{kind, 8, w}] = per_mac(8, w);
    }
    return cost::look_up(t, "");
  };
  CHECK(bits({{weights_only({4}, unpacked), 0.71 * macs}}) == 4);
  CHECK(bits({{weights_only({2, 4}, unpacked), 0.81 * macs}}) == 4);
  CHECK(bits({{weights_only({4, 8}, unpacked), 0.6 * macs}}) == 8);
  CHECK(bits({{cycles, 0.71 * macs}, {cost::size(), 77360.0 * 5}}) == 4);
  const std::vector<Target> apart{{cycles, 0.6 * macs}, {cost::size(), 77360.0 * 5}};
  CHECK(refusal([&] { uniform_baseline(resnet8(), options, apart); }).find("none meets all at once") !=
        std::string::npos);
}

TEST_CASE("unordered costs: without a cost of 8 bits messages do without its share, and shares are refused") {
  const cost::Model model = table("few", reversed, 1, {2, 4});
  const Scheme scheme{"", MixPrecType::PER_CHANNEL, {2, 4}, {2, 4}};
  MixPrec net(resnet8(), {.activation_precisions = {2, 4},
                          .weight_precisions = {2, 4},
                          .w_mixprec_type = MixPrecType::PER_CHANNEL,
                          .input_precisions = {4}});
  const std::string said = refusal([&] { check_reachable(net.graph(), std::vector<Target>{{model, 1e6}}); });
  // Every one of the 12,501,632 multiply-accumulates at 4 by 4 bits: 0.72 cycles each, 9,001,175.04.
  CHECK(said == "target: few of 1e+06 cycles can't be met: the smallest that these candidates reach is 9.00118e+06");
}
