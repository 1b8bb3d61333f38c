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

/// Calls `check` with the bits of each weight slot's channels in two networks of one shape.
template <typename Check>
void with_bits(const Graph& a, const Graph& b, const Check& check) {
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    if (!a.nodes[i].weight_slot) continue;
    for (size_t c = 0; c < a.nodes[i].weight_slot->bits.size(); ++c)
      check(a.nodes[i].weight_slot->bits[c], b.nodes[i].weight_slot->bits[c]);
  }
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
    const Graph larger = network_of(segment, segment.larger), smaller = network_of(segment, segment.smaller);
    double before = size_of(larger);
    CHECK(size_of(network_of(segment, networks[0])) == before);
    CHECK(size_of(network_of(segment, networks[4])) == size_of(smaller));
    for (size_t i = 1; i < 5; ++i) {
      const Graph network = network_of(segment, networks[i]);
      CHECK(size_of(network) < before);
      before = size_of(network);
      std::vector<int> of_larger, of_smaller;
      with_bits(network, larger, [&](int, int bits) { of_larger.push_back(bits); });
      with_bits(network, smaller, [&](int, int bits) { of_smaller.push_back(bits); });
      size_t k = 0;
      with_bits(network, larger, [&](int bits, int) {
        CHECK((bits == of_larger[k] || bits == of_smaller[k]));
        ++k;
      });
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
  for (const Segment& segment : front.segments) {
    const Graph larger = network_of(segment, segment.larger);
    const Target at_larger{.model = cost::size(), .limit = size_of(larger)};
    const Graph own = pick(front, {&at_larger, 1}).network;
    if (&segment == &front.segments[0]) with_bits(own, larger, [](int a, int b) { CHECK(a == b); });
    const Target inside{.model = cost::size(), .limit = 0.5 * (size_of(larger) + segment.budget.limit)};
    const Graph picked = pick(front, {&inside, 1}).network;
    const Graph smaller = network_of(segment, segment.smaller);
    std::vector<int> ends;
    with_bits(smaller, larger, [&](int a, int b) { ends.insert(ends.end(), {a, b}); });
    size_t k = 0;
    with_bits(picked, larger, [&](int bits, int) {
      CHECK((bits == ends[k] || bits == ends[k + 1]));
      k += 2;
    });
    CHECK(test::same_bytes(picked.parameters()[0].tensor.data(), segment.searched.parameters()[0].tensor.data()));
  }
}
