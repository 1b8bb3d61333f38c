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

void measure(const MixPrec& net, FrontSearch& search, uint64_t seed) {
  train::step(net.graph(), test::random_batch(16, {3, 32, 32}, 10, seed), {.sample = [&] { return search.thetas(); }});
  search.observe();
}

double size_of(const Graph& g) { return cost::discrete(g, cost::size()); }

/// The segments of a network with random weights, after a search of some steps.
std::vector<Segment> searched(const cost::Model& model, int count, std::vector<int> act_bits = {8}) {
  constexpr int steps = 40;
  MixPrec net = resnet8(std::move(act_bits));
  FrontSearch search(net, front_budgets(net.graph(), model, 0.1, count), 16);
  for (int i = 0; i < steps; ++i) {
    search.advance(static_cast<double>(i) / steps);
    measure(net, search, static_cast<uint64_t>(i));
  }
  search.finish();
  return search.segments();
}

/// The network of the segment that θ stands for.
Graph network_of(const Segment& segment, const std::vector<Tensor>& theta) {
  const Graph graph = segment.searched.clone();
  const std::vector<Parameter> alphas = graph.parameters(Role::alpha);
  for (size_t i = 0; i < alphas.size(); ++i)
    std::ranges::copy(theta[i].data(), Tensor(alphas[i].tensor).data().begin());
  return discretize(graph);
}

/// The bits of every channel of every layer's weights.
std::vector<int> bits_of(const Graph& graph) {
  std::vector<int> out;
  for (const Node& node : graph.nodes) {
    if (node.weight_slot) out.insert(out.end(), node.weight_slot->bits.begin(), node.weight_slot->bits.end());
  }
  return out;
}

/// Checks that every channel has the bits that it has at one end of the segment.
void check_between(const Segment& segment, const Graph& network) {
  const std::vector<int> bits = bits_of(network), larger = bits_of(network_of(segment, segment.larger)),
                         smaller = bits_of(network_of(segment, segment.smaller));
  REQUIRE(bits.size() == larger.size());
  for (size_t i = 0; i < bits.size(); ++i) CHECK((bits[i] == larger[i] || bits[i] == smaller[i]));
}

}  // namespace

TEST_CASE("front: what candidates add to the loss is measured by trial, if there is one") {
  MixPrec net = resnet8({8}, MixPrecType::PER_LAYER);
  const auto loss = [](const Graph& g) { return -std::sqrt(size_of(g)); };
  FrontSearch search(net, front_budgets(net.graph(), cost::size(), 0.3, 2), 16, loss);
  measure(net, search, 0);
  const std::vector<Tensor> alphas = net.nas_parameters(), losses = search.losses();
  const double largest = loss(discretize(net.graph()));
  int layers = 0;
  for (size_t i = 0; i < alphas.size(); ++i) {
    if (alphas[i].size() != 3) continue;  // activations, which have no choice here
    ++layers;
    const std::vector<float> kept(alphas[i].data().begin(), alphas[i].data().end());
    alphas[i].data()[0] = 1e6F;
    CHECK(losses[i].data()[0] == doctest::Approx(loss(discretize(net.graph())) - largest).epsilon(1e-4));
    std::ranges::copy(kept, alphas[i].data().begin());
  }
  CHECK(layers == 10);
}

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

TEST_CASE("front: the search keeps the largest network and one at each budget, and segments go from one to the next") {
  const std::vector<Segment> segments = searched(cost::size(), 4);
  REQUIRE(segments.size() == 4);
  CHECK(size_of(network_of(segments[0], segments[0].larger)) == 77360 * 8);
  for (size_t i = 0; i < segments.size(); ++i) {
    const double size = size_of(network_of(segments[i], segments[i].smaller));
    CHECK(size <= segments[i].budget.limit * (1 + 1e-9));
    CHECK(size > 0.97 * segments[i].budget.limit);
    for (size_t k = 0; i > 0 && k < segments[i].larger.size(); ++k)
      CHECK(test::same_bytes(segments[i].larger[k].data(), segments[i - 1].smaller[k].data()));
    const bool measured = std::ranges::any_of(segments[i].losses, [](const Tensor& t) {
      return std::ranges::any_of(t.data(), [](float loss) { return loss > 0; });
    });
    CHECK(measured);
  }
}

TEST_CASE("front: a network is kept with the weights of its time, even if the search takes few steps") {
  for (const int steps : {3, 30}) {
    CAPTURE(steps);
    MixPrec net = resnet8();
    FrontSearch search(net, front_budgets(net.graph(), cost::size(), 0.1, 4), 16);
    const Tensor weight = net.net_parameters()[0];
    for (int i = 0; i < steps; ++i) {
      search.advance(static_cast<double>(i) / steps);
      measure(net, search, 1);
      for (float& w : Tensor(weight).data()) w += 1;
    }
    search.finish();
    std::vector<float> kept;
    for (const Segment& s : search.segments()) kept.push_back(s.searched.parameters()[0].tensor.data()[0]);
    CHECK(std::ranges::is_sorted(kept));
    CHECK(kept.front() < kept.back());
    CHECK(kept.back() == weight.data()[0]);  // the smallest is kept last
  }
}

TEST_CASE("front: networks along a segment lose bits channel by channel, each at the bits of one of its ends") {
  for (const Segment& segment : searched(cost::size(), 4)) {
    const std::vector<std::vector<Tensor>> networks = networks_along(segment, 5);
    REQUIRE(networks.size() == 5);
    double before = size_of(network_of(segment, segment.larger));
    CHECK(size_of(network_of(segment, networks[0])) == before);
    CHECK(size_of(network_of(segment, networks[4])) == size_of(network_of(segment, segment.smaller)));
    for (size_t i = 1; i < 5; ++i) {
      const Graph network = network_of(segment, networks[i]);
      CHECK(size_of(network) < before);
      before = size_of(network);
      check_between(segment, network);
    }
  }
}

TEST_CASE("pick: meets targets on any costs and uses them, by either kind of loss, and changes nothing of the front") {
  Front front{.segments = searched(cost::size(), 4, {4, 8})};
  for (Segment& s : searched(cost::macs(), 2, {4, 8})) front.segments.push_back(std::move(s));
  const Graph& graph = front.segments[0].searched;
  const Tensor images = test::random_batch(16, {3, 32, 32}, 10, 5).x;
  int judged = 0;
  const Judge judge = {
      .quality = [&](const Graph&) { return static_cast<double>(++judged); },
      .loss = [&](const Graph& g) { return std::abs(static_cast<double>(g.forward(images).data()[0])); }};
  std::vector<std::vector<float>> before;
  for (const Segment& s : front.segments) {
    for (const Parameter& p : s.searched.parameters())
      before.emplace_back(p.tensor.data().begin(), p.tensor.data().end());
  }
  for (const std::string targets :
       {"size=8%", "size=12%", "size=60%", "macs=20%", "size=37%,macs=30%", "mpic-latency=50%"}) {
    for (const PickBy by : {PickBy::losses, PickBy::sensitivity}) {
      CAPTURE(targets);
      const std::vector<Target> limits = parse_targets(targets, graph);
      judged = 0;
      const MetTargets met = pick(front, limits, judge, by);
      CHECK(judged == 2);  // one segment of each cost
      CHECK(met.repair.start.find("macs") != std::string::npos);
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
  for (const Segment& s : front.segments) {
    for (const Parameter& p : s.searched.parameters()) CHECK(test::same_bytes(p.tensor.data(), before[i++]));
  }
  CHECK(test::refusal([&] { pick(front, parse_targets("macs=0.01%", graph)); }).find("can't be met") !=
        std::string::npos);
}

TEST_CASE("pick: in the segment around the targets, with its weights; above all budgets, the largest network") {
  const Front front{.segments = searched(cost::size(), 4)};
  const Graph largest = network_of(front.segments[0], front.segments[0].larger);
  const Target all{.model = cost::size(), .limit = size_of(largest)};
  CHECK(bits_of(pick(front, {&all, 1}).network) == bits_of(largest));
  for (const Segment& segment : front.segments) {
    const double size = size_of(network_of(segment, segment.larger));
    const Target inside{.model = cost::size(), .limit = 0.5 * (size + segment.budget.limit)};
    const Graph picked = pick(front, {&inside, 1}).network;
    check_between(segment, picked);
    CHECK(test::same_bytes(picked.parameters()[0].tensor.data(), segment.searched.parameters()[0].tensor.data()));
  }
}
