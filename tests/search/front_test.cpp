// SPDX-License-Identifier: Apache-2.0
// Fronts: budgets, the networks that share weights, and what is picked from them.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

MixPrec resnet8(std::vector<int> act_bits = {8}, MixPrecType type = MixPrecType::PER_CHANNEL) {
  return {*test::random_resnet8(1),
          {.input_shape = {3, 32, 32},
           .activation_precisions = std::move(act_bits),
           .weight_precisions = type == MixPrecType::PER_CHANNEL ? std::vector{0, 2, 4, 8} : std::vector{2, 4, 8},
           .w_mixprec_type = type,
           .calibration = {test::random_batch(8, {3, 32, 32}, 10, 1).x},
           .sampler = {.hard = true},
           .weight_quantizer = quant::find_weight("lsq-odd")}};
}

void measure(const MixPrec& net, FrontSearch& search, int steps) {
  for (int i = 0; i < steps; ++i) {
    train::step(net.graph(), test::random_batch(16, {3, 32, 32}, 10, static_cast<uint64_t>(i)),
                {.networks = [&] { return search.thetas(); }});
    search.observe();
  }
}

double size_of(const Graph& g) { return cost::discrete(g, cost::size()); }

/// A front of a network with random weights, after some steps and choices.
Front measured_front(MixPrec& net) {
  FrontSearch search(
      net, {front_budgets(net.graph(), cost::size(), 0.1, 4), front_budgets(net.graph(), cost::macs(), 0.1, 2)}, 16, 3);
  for (const double progress : {0.5, 1.0}) {
    measure(net, search, 4);
    search.choose(progress);
  }
  return search.front();
}

/// The network that θ of a front stands for.
Graph network_of(const Front& front, const Front::Network& network) {
  const Graph searched = front.searched.clone();
  const std::vector<Parameter> alphas = searched.parameters(Role::alpha);
  for (size_t i = 0; i < alphas.size(); ++i)
    std::ranges::copy(network.theta[i].data(), Tensor(alphas[i].tensor).data().begin());
  return discretize(searched);
}

}  // namespace

TEST_CASE("front: budgets go from a share of the largest network, or the smallest within reach, in equal ratios") {
  const MixPrec net = resnet8();
  const double most = 77360 * 8;
  const std::vector<Target> budgets = front_budgets(net.graph(), cost::size(), 0.1, 4);
  REQUIRE(budgets.size() == 4);
  for (size_t i = 0; i < 4; ++i)
    CHECK(budgets[i].limit == doctest::Approx(most * std::pow(0.1, 1 - static_cast<double>(i) / 4)));
  const MixPrec layers = resnet8({8}, MixPrecType::PER_LAYER);
  CHECK(front_budgets(layers.graph(), cost::size(), 0.1, 4)[0].limit == doctest::Approx(most / 4));
  CHECK(test::refusal([&] {
          front_budgets(layers.graph(), cost::params(), 0.1, 4);
        }).find("costs: params is the same") != std::string::npos);
}

TEST_CASE("front: networks shrink to their budgets; the largest stays, and each step has it and a smallest one") {
  MixPrec net = resnet8();
  const std::vector<Target> budgets = front_budgets(net.graph(), cost::size(), 0.1, 4);
  FrontSearch search(net, {budgets}, 16, 3);
  measure(net, search, 4);
  for (const double progress : {0.5, 1.0}) {
    search.choose(progress);
    const Front front = search.front();
    REQUIRE(front.networks.size() == 5);
    CHECK(size_of(network_of(front, front.networks[0])) == 77360 * 8);
    CHECK_FALSE(front.networks[0].budget);
    for (size_t i = 1; i < 5; ++i) {
      const double limit = 77360 * 8 * std::pow(budgets[i - 1].limit / (77360 * 8), progress),
                   size = size_of(network_of(front, front.networks[i]));
      CHECK(size <= limit * (1 + 1e-9));
      CHECK(size > 0.97 * limit);
      CHECK(front.networks[i].budget->limit == budgets[i - 1].limit);
    }
    const std::vector<Thetas> thetas = search.thetas();
    CHECK(thetas.size() == 4);
    for (const auto& slot : net.graph().weight_slots()) {
      const auto at_most_bits = [&](const Thetas& t) {
        const std::span<const float> theta = t.at(slot.get()).data();
        const size_t columns = theta.size() / slot->precisions.size();
        return std::ranges::all_of(theta.last(columns), [](float v) { return v == 1; });
      };
      CHECK(at_most_bits(thetas[1]));
      const Tensor& smallest = *std::ranges::find_if(front.networks[1].theta, [&](const Tensor& t) {
        return t.shape() == thetas[0].at(slot.get()).shape() &&
               test::same_bytes(t.data(), thetas[0].at(slot.get()).data());
      });
      CHECK(smallest.size() > 0);
    }
  }
}

TEST_CASE("front: only networks of the step are measured, and unused steps alone follow the weights") {
  MixPrec net = resnet8();
  FrontSearch search(net, {front_budgets(net.graph(), cost::size(), 0.1, 6)}, 16, 3);
  measure(net, search, 1);
  int measured = 0;
  for (const FisherSearch& network : search.networks()) {
    const std::vector<Tensor> losses = network.losses();
    measured += std::ranges::any_of(
        losses, [](const Tensor& t) { return std::ranges::any_of(t.data(), [](float v) { return v > 0; }); });
  }
  CHECK(measured >= 2);
  CHECK(measured <= 4);
  search.choose(1);
  std::vector<std::vector<float>> before;
  for (const Node& node : net.graph().nodes) {
    if (!node.weight_slot) continue;
    for (float& w : Tensor(node.weight()).data()) w *= 3;
    before.emplace_back(node.weight_scales.data().begin(), node.weight_scales.data().end());
  }
  fit_unused_steps(net.graph(), search.networks());
  size_t layer = 0;
  int64_t used = 0, unused = 0;
  for (const Node& node : net.graph().nodes) {
    if (!node.weight_slot) continue;
    const std::vector<float>& old = before[layer++];
    const size_t channels = old.size() / node.weight_slot->precisions.size();
    for (size_t k = 0; k < old.size(); ++k) {
      const bool is_used = std::ranges::any_of(search.networks(), [&](const FisherSearch& network) {
        return network.has_chosen(*node.weight_slot, k % channels, k / channels);
      });
      if (is_used) CHECK(node.weight_scales.data()[k] == old[k]);
      (is_used ? used : unused) += 1;
    }
  }
  CHECK(used > 0);
  CHECK(unused > 0);
}

TEST_CASE("pick: meets targets on any costs and uses them, by either kind of loss, and changes nothing of the front") {
  MixPrec net = resnet8({4, 8});
  const Front front = measured_front(net);
  const Tensor images = test::random_batch(16, {3, 32, 32}, 10, 5).x;
  const Judge judge = {
      .loss = [&](const Graph& g) { return std::abs(static_cast<double>(g.forward(images).data()[0])); }};
  std::vector<std::vector<float>> before;
  for (const Parameter& p : front.searched.parameters())
    before.emplace_back(p.tensor.data().begin(), p.tensor.data().end());
  for (const std::string targets : {"size=12%", "size=60%", "macs=20%", "size=37%,macs=30%", "mpic-latency=50%"}) {
    for (const PickBy by : {PickBy::losses, PickBy::sensitivity}) {
      CAPTURE(targets);
      const std::vector<Target> limits = parse_targets(targets, front.searched);
      const MetTargets met = pick(front, limits, judge, by);
      double used = 0;
      for (const Target& t : limits) {
        const double cost = cost::discrete(exported(met).network, t.model);
        CHECK(cost <= t.limit);
        used = std::max(used, cost / t.limit);
      }
      CHECK(used > 0.95);
    }
  }
  size_t i = 0;
  for (const Parameter& p : front.searched.parameters()) CHECK(test::same_bytes(p.tensor.data(), before[i++]));
  CHECK(test::refusal([&] { pick(front, parse_targets("macs=0.01%", front.searched)); }).find("can't be met") !=
        std::string::npos);
}

TEST_CASE("pick: at a network's own budget, that network") {
  MixPrec net = resnet8();
  const Front front = measured_front(net);
  for (const Front::Network& network : front.networks) {
    if (!network.budget) continue;
    const Graph picked = pick(front, {&*network.budget, 1}).network, own = network_of(front, network);
    for (size_t i = 0; i < picked.nodes.size(); ++i) {
      if (picked.nodes[i].weight_slot) CHECK(picked.nodes[i].weight_slot->bits == own.nodes[i].weight_slot->bits);
    }
  }
}

TEST_CASE("pick: between two budgets, every channel stays between its bits in their networks") {
  MixPrec net = resnet8();
  const Front front = measured_front(net);
  std::vector<Graph> networks;
  for (const Front::Network& network : front.networks) networks.push_back(network_of(front, network));
  std::ranges::sort(networks, {}, size_of);
  int between = 0;
  for (size_t n = 1; n < networks.size(); ++n) {
    const Target target{.model = cost::size(), .limit = 0.5 * (size_of(networks[n - 1]) + size_of(networks[n]))};
    const Graph picked = pick(front, {&target, 1}).network;
    for (size_t i = 0; i < picked.nodes.size(); ++i) {
      if (!picked.nodes[i].weight_slot) continue;
      const std::vector<int>&bits = picked.nodes[i].weight_slot->bits, &a = networks[n - 1].nodes[i].weight_slot->bits,
            &b = networks[n].nodes[i].weight_slot->bits;
      for (size_t c = 0; c < bits.size(); ++c) {
        CHECK(bits[c] >= std::min(a[c], b[c]));
        CHECK(bits[c] <= std::max(a[c], b[c]));
        between += bits[c] != a[c] && bits[c] != b[c] ? 1 : 0;
      }
    }
  }
  CHECK(between > 0);  // not only choices of one network or the other
}
