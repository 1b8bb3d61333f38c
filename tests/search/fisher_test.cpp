// SPDX-License-Identifier: Apache-2.0
// The search with measured α: what its estimates are, and which networks it chooses from them.
#include "../networks.h"
#include "../refusal.h"

#include <mixgrad/ops.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

using namespace mixgrad;

namespace {

MixPrec resnet8(std::vector<int> weight_bits = {0, 2, 4, 8}, MixPrecType type = MixPrecType::PER_CHANNEL,
                std::vector<int> act_bits = {8}) {
  return {*test::random_resnet8(1),
          {.input_shape = {3, 32, 32},
           .activation_precisions = std::move(act_bits),
           .weight_precisions = std::move(weight_bits),
           .w_mixprec_type = type,
           .sampler = {.hard = true},
           .weight_quantizer = quant::find_weight("lsq-odd")}};
}

void measure(const MixPrec& net, FisherSearch& search, int steps, int64_t images = 8) {
  for (int i = 0; i < steps; ++i) {
    train::step(net.graph(), test::random_batch(images, {3, 32, 32}, 10, static_cast<uint64_t>(i)),
                {.sample = [&] { return search.thetas(); }});
    search.observe();
  }
}

double size_of(const MixPrec& net) { return cost::discrete(net.graph(), cost::size()); }

}  // namespace

TEST_CASE("fisher: an estimate is B/2 times the mean squared difference to the gradient of the most bits") {
  MixPrec net = resnet8();
  FisherSearch search(net, {}, 0, 8);
  const std::vector<Tensor> alphas = net.nas_parameters();
  std::vector<std::vector<double>> squares;
  for (const Tensor& a : alphas) squares.emplace_back(static_cast<size_t>(a.size()));
  constexpr int steps = 3;
  for (uint64_t s = 0; s < steps; ++s) {
    Thetas thetas;
    train::step(net.graph(), test::random_batch(8, {3, 32, 32}, 10, s),
                {.sample = [&] { return thetas = search.thetas(); }});
    search.observe();
    size_t i = 0;
    for (const Tensor& a : alphas) {
      for (const auto& slot : net.graph().weight_slots()) {
        if (!slot->alpha.is(a)) continue;
        const std::span<const float> g = thetas.at(slot.get()).grad();
        const size_t columns = g.size() / slot->precisions.size();
        for (size_t k = 0; k < g.size(); ++k) {
          const double d = static_cast<double>(g[k]) - g[g.size() - columns + k % columns];
          squares[i][k] += d * d / steps;
        }
      }
      ++i;
    }
  }
  const std::vector<Tensor> losses = search.losses();
  REQUIRE(losses.size() == alphas.size());
  double most = 0;
  for (size_t i = 0; i < losses.size(); ++i) {
    for (size_t k = 0; k < squares[i].size(); ++k) {
      CHECK(losses[i].data()[k] == doctest::Approx(8.0 / 2 * squares[i][k]).epsilon(1e-4));
      most = std::max(most, squares[i][k]);
    }
  }
  CHECK(most > 0);
}

TEST_CASE("fisher: the estimate is the loss that quantization adds, where labels follow the network's own outputs") {
  // One linear layer: the Fisher information is the Hessian of the cross entropy in expectation.
  nn::Sequential model(std::make_unique<nn::Flatten>(),
                       std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 48, .out_features = 5}));
  nn::initialize(model, Rng(3, "init"));
  data::Dataset images = test::random_images(4096, {3, 4, 4}, 5);
  images.class_names.resize(5);
  const Graph floating = simplified(model, {3, 4, 4});
  data::Loader in_order(images, {.batch_size = 4096});
  const Tensor outputs = floating.forward(in_order.batch(0).x);
  Rng rng(7, "labels");
  for (size_t n = 0; n < 4096; ++n) {
    const std::span<const float> z = outputs.data().subspan(n * 5, 5);
    double total = 0, at = 0;
    for (float v : z) total += std::exp(static_cast<double>(v));
    const double drawn = rng.uniform() * total;
    int32_t label = 0;
    for (size_t k = 0; k < 4 && (at += std::exp(static_cast<double>(z[k]))) < drawn; ++k) ++label;
    images.labels.push_back(label);
  }

  MixPrec net(floating, {.weight_precisions = {2, 8},
                         .w_mixprec_type = MixPrecType::PER_CHANNEL,
                         .sampler = {.hard = true},
                         .weight_quantizer = quant::find_weight("mse-odd")});
  FisherSearch search(net, {}, 0, 16);
  data::Loader loader(images, {.batch_size = 16});
  for (int64_t i = 0; i < loader.batches(); ++i) {
    train::step(net.graph(), loader.batch(i), {.sample = [&] { return search.thetas(); }});
    search.observe();
  }
  const WeightSlot& slot = *net.graph().weight_slots()[0];

  double estimated = 0, real = 0;
  const auto divergence = [&](const Graph& g) { return imitate(g.forward(in_order.batch(0).x), outputs, 1).item(); };
  for (size_t c = 0; c < 5; ++c) {
    std::ranges::fill(slot.alpha.data().first(5), 0.0F);
    std::ranges::fill(slot.alpha.data().last(5), 1.0F);
    const double before = divergence(discretize(net.graph()));
    slot.alpha.data()[c] = 2;
    real += divergence(discretize(net.graph())) - before;
  }
  for (const Tensor& losses : search.losses()) {
    if (losses.size() == 10) estimated = std::accumulate(losses.data().begin(), losses.data().begin() + 5, 0.0);
  }
  CHECK(real > 0);
  CHECK(estimated == doctest::Approx(real).epsilon(0.3));
}

TEST_CASE("fisher: what a whole slot adds to a measured loss is shared among its columns as their estimates are") {
  const auto loss = [](const Graph& g) { return -std::sqrt(cost::discrete(g, cost::size())); };  // any will do
  for (const auto& [type, weight_bits] : {std::pair(MixPrecType::PER_CHANNEL, std::vector{2, 4, 8}),
                                          {MixPrecType::PER_CHANNEL, {0, 2, 4, 8}},
                                          {MixPrecType::PER_LAYER, {2, 4, 8}}}) {
    MixPrec net = resnet8(weight_bits, type, {4, 8});
    FisherSearch plain(net, {}, 0, 8), tried(net, {}, 0, 8, loss);
    measure(net, plain, 2);
    measure(net, tried, 2);
    const double largest = loss(discretize(net.graph()));
    const std::vector<Tensor> alphas = net.nas_parameters(), by_gradient = plain.losses(), by_trial = tried.losses();
    const auto sum = [](std::span<const float> row) { return std::accumulate(row.begin(), row.end(), 0.0); };
    int slots = 0, of_removing = 0;
    for (const auto& slot : net.graph().weight_slots()) {
      const auto i = static_cast<size_t>(
          std::ranges::find_if(alphas, [&](const Tensor& a) { return a.is(slot->alpha); }) - alphas.begin());
      const size_t columns = static_cast<size_t>(slot->alpha.size()) / slot->precisions.size();
      for (size_t p = 0; p + 1 < slot->precisions.size(); ++p) {
        const auto row = [&](const Tensor& t) { return t.data().subspan(p * columns, columns); };
        const std::span<const float> estimates = row(by_gradient[i]), shares = row(by_trial[i]);
        if (slot->precisions[p] == 0) {  // not tried: the estimates, or the loss at 2 bits
          for (size_t c = 0; c < columns; ++c)
            CHECK(shares[c] == std::max(estimates[c], by_trial[i].data()[columns + c]));
          ++of_removing;
          continue;
        }
        const std::vector<float> kept(slot->alpha.data().begin(), slot->alpha.data().end());
        std::ranges::fill(row(slot->alpha), 1e6F);
        const double added = loss(discretize(net.graph())) - largest;
        std::ranges::copy(kept, slot->alpha.data().begin());
        CHECK(sum(shares) == doctest::Approx(added).epsilon(1e-4));
        const double scale = added / sum(estimates);
        for (size_t c = 0; c < columns; ++c) CHECK(shares[c] == doctest::Approx(scale * estimates[c]).epsilon(1e-3));
      }
      ++slots;
    }
    CHECK(slots == (weight_bits[0] == 0 ? 7 : 10));  // 0 bits: layers whose outputs are added share a slot
    CHECK((of_removing > 0) == (weight_bits[0] == 0));
    for (size_t i = 0; i < alphas.size(); ++i) {  // size does not depend on activations
      if (alphas[i].size() == 2) CHECK(by_trial[i].data()[0] == 0);
    }
  }
}

TEST_CASE("fisher: slots are tried before the first step, and not again by a search that is resumed") {
  int calls = 0;
  const auto loss = [&](const Graph& g) { return ++calls, -cost::discrete(g, cost::size()); };
  MixPrec net = resnet8({2, 4, 8});
  FisherSearch begun(net, {}, 0, 8, loss), resumed(net, {}, 0, 8, loss);
  CHECK(calls == 0);
  measure(net, begun, 2);
  const int tried = calls;
  CHECK(tried > 0);
  State from, to;
  begun.list_state(from);
  resumed.list_state(to);
  to.restore(from.content());
  const std::vector<Tensor> expected = begun.losses(), restored = resumed.losses();
  for (size_t i = 0; i < expected.size(); ++i) CHECK(std::ranges::equal(expected[i].data(), restored[i].data()));
  measure(net, resumed, 1);
  CHECK(calls == tried);
}

TEST_CASE("fisher: the network goes from the most bits to the targets, and its α say which it is") {
  struct Case {
    const char* name;
    MixPrecType type;
    std::vector<int> weight_bits, act_bits;
    std::string targets;
  };
  for (const Case& c : {Case{"per layer", MixPrecType::PER_LAYER, {2, 4, 8}, {8}, "size=40%"},
                        {"per channel", MixPrecType::PER_CHANNEL, {2, 4, 8}, {8}, "size=30%"},
                        {"pruning", MixPrecType::PER_CHANNEL, {0, 2, 4, 8}, {8}, "size=12.5%"},
                        {"activations", MixPrecType::PER_CHANNEL, {2, 4, 8}, {2, 4, 8}, "size=40%,macs=20%"}}) {
    CAPTURE(c.name);
    MixPrec net = resnet8(c.weight_bits, c.type, c.act_bits);
    const std::vector<Target> targets = parse_targets(c.targets, net.graph());
    FisherSearch search(net, targets, 0, 8);
    const double largest = size_of(net);
    CHECK(largest == 77360 * 8);
    measure(net, search, 2);
    double before = largest;
    for (const double progress : {0.0, 0.5, 1.0, 1.5}) {
      search.choose(progress);
      const double limit = largest * std::pow(targets[0].limit / largest, std::min(progress, 1.0));
      CHECK(size_of(net) <= limit);
      CHECK(size_of(net) <= before);
      before = size_of(net);
    }
    for (const Target& t : targets) CHECK(cost::discrete(net.graph(), t.model) <= t.limit);
    if (c.type == MixPrecType::PER_CHANNEL && targets.size() == 1) CHECK(before > 0.98 * targets[0].limit);
    // The export finds nothing left to move.
    const MetTargets met = meet_targets(net.graph(), targets);
    CHECK(met.repair.moved == 0);
    CHECK(net.mean_entropy() < 1e-3);
  }
}

TEST_CASE("fisher: a strength lowers bits as long as they save more than they add to the loss") {
  std::vector<double> sizes;
  for (const double strength : {0.0, 1e-9, 1e-7, 1e-5, 1e3}) {
    MixPrec net = resnet8();
    FisherSearch search(net, {}, strength, 8);
    measure(net, search, 2);
    search.choose(1);
    sizes.push_back(size_of(net));
    const std::vector<Tensor> losses = search.losses(), alphas = net.nas_parameters();
    for (const Node& node : net.graph().nodes) {
      if (!node.weight_slot || node.name != "fc") continue;  // its channels save 64 bits of cost per bit
      const size_t i = static_cast<size_t>(
          std::ranges::find_if(alphas, [&](const Tensor& a) { return a.is(node.weight_slot->alpha); }) -
          alphas.begin());
      const std::vector<size_t> chosen = quant::arg_max(alphas[i], node.weight_slot->precisions);
      for (size_t c = 0; c < chosen.size(); ++c) {
        for (size_t p = 0; p < chosen[c]; ++p) {
          const int fewer = node.weight_slot->precisions[chosen[c]] - node.weight_slot->precisions[p];
          const double added =
              losses[i].data()[p * chosen.size() + c] - losses[i].data()[chosen[c] * chosen.size() + c];
          CHECK(added + 1e-5 >= strength * 64 * fewer * 0.2);  // fewer inputs are left where channels went
        }
      }
    }
  }
  CHECK(sizes.front() == 77360 * 8);
  CHECK(std::ranges::is_sorted(sizes, std::greater()));
  CHECK(sizes.back() < 0.05 * sizes.front());
}

TEST_CASE("fisher: removed channels keep their estimates, and learned steps of others follow the weights") {
  MixPrec net = resnet8();
  const std::vector<Target> targets = parse_targets("size=12.5%", net.graph());
  FisherSearch search(net, targets, 0, 8);
  measure(net, search, 2);
  search.choose(1);
  const std::vector<Tensor> before = search.losses();
  measure(net, search, 1);
  const std::vector<Tensor> after = search.losses(), alphas = net.nas_parameters();
  int removed = 0, changed = 0;
  for (const auto& slot : net.graph().weight_slots()) {
    if (slot->precisions[0] != 0) continue;
    const size_t i = static_cast<size_t>(
        std::ranges::find_if(alphas, [&](const Tensor& a) { return a.is(slot->alpha); }) - alphas.begin());
    const std::vector<size_t> chosen = quant::arg_max(slot->alpha, slot->precisions);
    for (size_t c = 0; c < chosen.size(); ++c) {
      const bool same = before[i].data()[chosen.size() + c] == after[i].data()[chosen.size() + c];
      if (chosen[c] == 0) CHECK(same);
      removed += chosen[c] == 0 ? 1 : 0;
      changed += same ? 0 : 1;
    }
  }
  CHECK(removed > 0);
  CHECK(changed > 0);

  for (const Node& node : net.graph().nodes) {
    if (!node.weight_slot) continue;
    for (float& w : Tensor(node.weight()).data()) w *= 3;
    const std::vector<float> present(node.weight_scales.data().begin(), node.weight_scales.data().end());
    const std::vector<size_t> chosen = quant::arg_max(node.weight_slot->alpha, node.weight_slot->precisions);
    search.choose(1);
    const Tensor fitted = candidate_scales(node.weight(), node.weight_slot->precisions, *node.weight_slot->quantizer);
    for (size_t k = 0; k < present.size(); ++k) {
      const bool own = chosen[k % chosen.size()] == k / chosen.size();
      CHECK(node.weight_scales.data()[k] == (own ? present[k] : fitted.data()[k]));
    }
    break;
  }
}

TEST_CASE("fisher: an unreachable target is refused with the smallest cost") {
  MixPrec net = resnet8({2, 4, 8});
  FisherSearch search(net, parse_targets("size=20%", net.graph()), 0, 8);
  measure(net, search, 1);
  CHECK(test::refusal([&] { search.choose(1); }).find("can't be met") != std::string::npos);
}
