// SPDX-License-Identifier: Apache-2.0
// Weight quantizers from outside the library, written here: they search, are fixed, saved, loaded and run on integers.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include <unistd.h>

using namespace mixgrad;
using test::refusal;
using test::same_bytes;
using Floats = std::vector<float>;

namespace {

/// A learned step (Esser et al. 2020, arXiv 1902.08153): with v = w / s, ∂ŵ/∂s = rne(v) - v inside the range, else its
/// end. It starts at 2 mean|w| / √high.
struct Learned {
  static float scale(std::span<const float> w, CodeRange r) {
    const float total = std::accumulate(w.begin(), w.end(), 0.0F, [](float sum, float v) { return sum + std::abs(v); });
    return 2 * total / static_cast<float>(w.size()) / std::sqrt(r.high);
  }
  static float code(float w, float s, CodeRange r) { return std::nearbyint(std::clamp(w / s, r.low, r.high)); }
  static std::pair<float, float> slopes(float w, float s, CodeRange r) {
    const float v = w / s;
    if (v <= r.low || v >= r.high) return {0, code(w, s, r)};
    return {1, std::nearbyint(v) - v};
  }
  static double scale_factor(int64_t, CodeRange) { return 1; }
};

/// Learns nothing: max|w| gets the top code of a range that is symmetric.
struct Symmetric {
  static float scale(std::span<const float> w, CodeRange r) {
    float largest = 0;
    for (const float v : w) largest = std::max(largest, std::abs(v));
    return largest / r.high;
  }
  static float code(float w, float s, CodeRange r) { return std::nearbyint(std::clamp(w / s, r.low, r.high)); }
  static std::pair<float, float> slopes(float, float, CodeRange) { return {1, 0}; }
  static double scale_factor(int64_t, CodeRange) { return 1; }
};

using Shared = std::shared_ptr<const WeightQuantizer>;

Shared learned() {
  return std::make_shared<WeightQuantizer>(quant::elementwise_weights<Learned>("learned", /*learns_scale=*/true));
}

Shared symmetric() {
  WeightQuantizer q = quant::elementwise_weights<Symmetric>("symmetric");
  q.range = [](int bits) { return CodeRange{signed_range(bits).low + 1, signed_range(bits).high}; };
  return std::make_shared<WeightQuantizer>(q);
}

std::string all_names() { return fmt::format("{}", fmt::join(quant::weight_names(), ", ")); }

Shared find_here(const std::string& name) {
  for (const Shared& q : {learned(), symmetric()}) {
    if (q->name == name) return q;
  }
  return quant::find_weight(name);
}

MixPrec searched(const Shared& quantizer, MixPrecType type, const std::vector<int>& bits) {
  MixPrec net(simplified(*test::random_resnet8(2), {3, 32, 32}),
              {.activation_precisions = {4, 8},
               .weight_precisions = bits,
               .w_mixprec_type = type,
               .calibration = {test::random_batch(8, {3, 32, 32}, 10, 5).x},
               .weight_quantizer = quantizer});
  test::randomize_architecture(net, 7);
  return net;
}

std::vector<Tensor> values_of(const Graph& graph, const Tensor& x) {
  std::vector<Tensor> out;
  graph.run(graph.bind(), x, &out);
  return out;
}

/// Whether both give the same bytes at every node.
void check_equal(const Graph& a, const Graph& b, const Tensor& x) {
  const std::vector<Tensor> va = values_of(a, x), vb = values_of(b, x);
  REQUIRE(va.size() == vb.size());
  for (size_t i = 0; i < va.size(); ++i) CHECK(same_bytes(va[i].data(), vb[i].data()));
}

Graph through_file(const Graph& graph, const FindWeight& find) {
  const std::string file =
      std::filesystem::temp_directory_path() / fmt::format("mixgrad-weights-{}.safetensors", ::getpid());
  save(graph, file);
  Graph loaded = load_graph(file, quant::find_activation, find);
  std::filesystem::remove(file);
  return loaded;
}

/// Σ g Σ_p θ_p ŵ_p in double, each weight's rounding held as it is at `at`: what straight-through gradients are of.
double frozen_mixture(const Floats& w, const Floats& g, const Floats& theta, const Floats& at, const Floats& scales,
                      const std::vector<int>& bits, size_t channels) {
  const size_t row = w.size() / channels;
  double total = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    for (size_t p = 0; p < bits.size(); ++p) {
      if (bits[p] == 0) continue;
      const size_t cell = p * channels + i / row;
      const CodeRange r = signed_range(bits[p]);
      const double v = static_cast<double>(w[i]) / at[cell], s = scales[cell];
      const bool inside = v > r.low && v < r.high;
      const double code = inside ? w[i] / s + (std::nearbyint(v) - v) : std::clamp<double>(v, r.low, r.high);
      total += static_cast<double>(g[i]) * theta[cell] * code * s;
    }
  }
  return total;
}

}  // namespace

TEST_CASE("weight quantizers: the gradient of learned steps is that of differences, per candidate and channel") {
  constexpr size_t channels = 3;
  const std::vector<int> bits = {0, 2, 4, 8};
  Rng rng(3, "weights");
  const auto drawn = [&](size_t count) {
    Floats out(count);
    for (float& v : out) v = static_cast<float>(rng.normal());
    return out;
  };
  const Floats w = drawn(channels * 12), g = drawn(w.size());
  const Tensor weights = Tensor::from({channels, 12}, w).requires_grad();
  Tensor theta = softmax(Tensor::from({4, channels}, drawn(4 * channels))).detach().requires_grad();
  const Tensor scales = candidate_scales(weights, bits, *learned()).requires_grad();
  Tape tape;
  const Tensor mixed = weight_mixture(weights, theta, scales, bits, *learned());
  mixed.set_grad(g);
  tape.backward();

  const Floats at = scales.to_vector(), thetas = theta.to_vector();
  const auto loss = [&](const Floats& t, const Floats& s) { return frozen_mixture(w, g, t, at, s, bits, channels); };
  CHECK(loss(thetas, at) == doctest::Approx(std::inner_product(g.begin(), g.end(), mixed.to_vector().begin(), 0.0)));
  const auto difference = [](const auto& of, const Floats& x, size_t i) {
    Floats less = x, more = x;
    less[i] *= 0.999F, more[i] *= 1.001F;
    return (of(more) - of(less)) / (static_cast<double>(more[i]) - less[i]);
  };
  for (size_t i = 0; i < at.size(); ++i) {
    CAPTURE(i);
    if (bits[i / channels] == 0) {
      CHECK(scales.grad()[i] == 0);
      CHECK(theta.grad()[i] == 0);
      continue;
    }
    const double by_scale = difference([&](const Floats& s) { return loss(thetas, s); }, at, i);
    const double by_theta = difference([&](const Floats& t) { return loss(t, at); }, thetas, i);
    CHECK(scales.grad()[i] == doctest::Approx(by_scale).epsilon(1e-3));
    CHECK(theta.grad()[i] == doctest::Approx(by_theta).epsilon(1e-3));
  }
}

TEST_CASE("weight quantizers: fixed codes have the gradients of a mixture with one candidate") {
  const Shared q = learned();
  const std::vector<int> bits = {2, 0, 4};
  const Floats w = {-2, -0.4F, 0.1F, 0.9F, 0.5F, 0.6F, 0.7F, -0.8F, 1, -0.3F, 0.33F, 0.2F};
  const Floats g = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4};
  const Floats chosen = {0.5F, 0, 0.25F};
  const Tensor codes_w = Tensor::from({3, 4}, w).requires_grad(), mixed_w = codes_w.clone().requires_grad();
  const Tensor codes_s = Tensor::from({3}, chosen).requires_grad(), mixed_s = codes_s.clone().requires_grad();
  const Tensor steps = weight_steps(codes_s, bits, *q);
  CHECK(steps.to_vector() == Floats{0.5F, 1, 0.25F});
  Tape tape;
  const Tensor codes = quantize_weight(codes_w, codes_s, bits, *q);
  const std::vector<int> candidates = {0, 2, 4};
  const Tensor mixed = weight_mixture(mixed_w, quant::one_hot(bits, candidates), mixed_s, candidates, *q);
  Floats of_codes = g;
  for (size_t i = 0; i < g.size(); ++i) {
    CHECK(codes.data()[i] * steps.data()[i / 4] == mixed.data()[i]);
    of_codes[i] *= steps.data()[i / 4];
  }
  CHECK(codes.to_vector() == Floats{-2, -1, 0, 1, 0, 0, 0, 0, 4, -1, 1, 1});
  codes.set_grad(of_codes);
  mixed.set_grad(g);
  tape.backward();
  CHECK(codes_w.grad()[0] == 0);  // beyond the lowest code
  for (size_t i = 0; i < w.size(); ++i) CHECK(codes_w.grad()[i] == doctest::Approx(mixed_w.grad()[i]));
  for (size_t c = 0; c < 3; ++c) CHECK(codes_s.grad()[c] == doctest::Approx(mixed_s.grad()[c]));
  CHECK(mixed_s.grad()[0] != 0);
}

TEST_CASE("weight quantizers: each searches, is fixed, saved, loaded and lowered to integers") {
  const data::Batch batch = test::random_batch(4, {3, 32, 32}, 10, 3);
  const data::Dataset images = test::random_images(5, {3, 32, 32}, 4);
  std::vector<Shared> quantizers = {learned(), symmetric()};
  for (const std::string& name : quant::weight_names()) quantizers.push_back(quant::find_weight(name));
  for (const Shared& q : quantizers) {
    const bool is_named = find_here(q->name) == q;
    for (const bool prunes : {false, true}) {
      CAPTURE(q->name);
      CAPTURE(prunes);
      MixPrec net =
          prunes ? searched(q, MixPrecType::PER_CHANNEL, {0, 2, 5, 8}) : searched(q, MixPrecType::PER_LAYER, {2, 4, 8});
      CHECK(net.graph().parameters(Role::weight_scale).size() == (q->learns_scale ? 10 : 0));
      optim::Adam adam(train::parameter_groups(net.graph()), {.lr = 1e-3});
      double first = 0, last = 0;
      for (int step = 0; step < 12; ++step) {
        last = train::step(net.graph(), batch, {.sample = [&] { return net.sample(); }}).task.mean_loss();
        if (step == 0) first = last;
        for (const Parameter& p : net.graph().parameters(Role::weight_scale)) CHECK(p.tensor.has_grad());
        adam.step();
      }
      CHECK(last < first);

      check_equal(net.graph(), through_file(net.graph(), find_here), batch.x);
      const Graph discrete = discretize(net.graph());
      Graph exported = net.arch_export();
      CHECK(same_bytes(discrete.forward(batch.x).data(), exported.forward(batch.x).data()));
      const Graph loaded = through_file(exported, find_here);
      check_equal(exported, loaded, batch.x);
      CHECK(io::checksum(to_safetensors(exported)) == io::checksum(to_safetensors(loaded)));
      if (!is_named) {
        CHECK(refusal([&] {
                through_file(exported, quant::find_weight);
              }).ends_with(fmt::format("unknown quantizer of weights '{}': expected {}", q->name, all_names())));
      }

      const Agreement agreement = compare(loaded, to_integer(loaded), images);
      for (const TensorAgreement& t : agreement.tensors) CHECK(t.equal == t.codes);
      CHECK(agreement.broken() == nullptr);

      CHECK(std::isfinite(train::step(exported, batch).task.loss));
      for (const Parameter& p : exported.parameters()) {
        CAPTURE(p.name);
        CHECK(p.tensor.has_grad());
      }
    }
  }
}

TEST_CASE("weight quantizers: a search under targets takes the scale of the candidate that it chose") {
  const MixPrec net = searched(learned(), MixPrecType::PER_CHANNEL, {2, 4, 8});
  const double most = cost::discrete(discretize(net.graph()), cost::size());
  const std::vector<Target> targets = {{cost::size(), 0.7 * most}};
  const Graph found = net.arch_export({.targets = targets});
  int moved = 0;
  for (size_t i = 0; i < found.nodes.size(); ++i) {
    const Node &node = found.nodes[i], &from = net.graph().nodes[i];
    if (!node.is_layer()) continue;
    const std::vector<size_t> best = quant::arg_max(from.weight_slot->alpha, from.weight_slot->precisions);
    for (size_t c = 0; c < node.weight_slot->bits.size(); ++c) {
      const auto p = static_cast<size_t>(std::ranges::find(from.weight_slot->precisions, node.weight_slot->bits[c]) -
                                         from.weight_slot->precisions.begin());
      CHECK(node.weight_scales.data()[c] == from.weight_scales.data()[p * node.weight_slot->bits.size() + c]);
      moved += p != best[c];
    }
  }
  CHECK(moved > 0);
}

TEST_CASE("weight quantizers: fine-tuning trains their scales, and a ruinous one gives them back") {
  const Graph start = searched(learned(), MixPrecType::PER_CHANNEL, {0, 2, 4}).arch_export();
  const auto scales = [](const Graph& graph) {
    Floats out;
    for (const Parameter& p : graph.parameters(Role::weight_scale))
      out.insert(out.end(), p.tensor.data().begin(), p.tensor.data().end());
    return out;
  };
  data::Dataset images = test::random_images(48, {3, 32, 32}, 6);
  images.class_names.assign(10, "a class");
  for (int32_t i = 0; i < 48; ++i) images.labels.push_back(i % 10);
  const data::Splits splits{.train = images, .validation = images, .test = {}};
  train::Observer quiet;
  for (const double lr : {1e-3, 3.0}) {
    Graph graph = start.clone();
    const bool is_start =
        train::fine_tune(graph, splits, {.epochs = 2, .batch_size = 24, .lr = lr}, cost::size(), quiet);
    CHECK((scales(graph) == scales(start)) == is_start);
    CHECK(std::ranges::all_of(scales(graph), [](float s) { return s >= least_scale; }));
  }
}

TEST_CASE("weight quantizers: codes beyond a device's bits are refused by name") {
  WeightQuantizer wide = quant::elementwise_weights<Symmetric>("wide");
  wide.range = [](int bits) { return CodeRange{signed_range(bits).low, signed_range(bits).high + 1}; };
  const Graph graph = searched(std::make_shared<WeightQuantizer>(wide), MixPrecType::PER_LAYER, {2}).arch_export();
  CHECK(refusal([&] { to_integer(graph); }) ==
        "'conv': wide quantizes its 2-bit weights to codes from -2 to 2: expected codes from -2 to 1");
}

TEST_CASE("weight quantizers: without their fast ops they give what they give with them") {
  const std::vector<int> bits = {0, 2, 3, 8}, fixed = {2, 8, 0, 5};
  Rng rng(5, "weights");
  Tensor w = Tensor::empty({4, 3, 7, 9});
  for (float& v : w.data()) v = static_cast<float>(rng.normal());
  for (const std::string& name : quant::weight_names()) {
    CAPTURE(name);
    const Shared fast = quant::find_weight(name);
    WeightQuantizer plain = *fast;
    plain.mixture = {};
    plain.quantize = {};
    struct Run {
      Tensor y;
      std::vector<Floats> gradients;
    };
    const auto gradients_at = [](const Tensor& y, const Floats& g, const std::vector<Tensor>& inputs) {
      y.set_grad(g);
      Tape::current()->backward();
      Run out{.y = y, .gradients = {}};
      for (const Tensor& t : inputs) out.gradients.emplace_back(t.grad().begin(), t.grad().end());
      return out;
    };
    const auto mixture = [&](const WeightQuantizer& q, bool per_channel) {
      const Tensor own = w.clone().requires_grad();
      const Tensor theta = softmax(per_channel ? Tensor::zeros({4, 4}) : Tensor::zeros({4})).detach().requires_grad();
      const Tensor scales = q.learns_scale ? candidate_scales(w, bits, q).requires_grad() : Tensor();
      std::vector<Tensor> inputs = {own, theta};
      if (scales) inputs.push_back(scales);
      Tape tape;
      return gradients_at(weight_mixture(own, theta, scales, bits, q), w.to_vector(), inputs);
    };
    const auto codes = [&](const WeightQuantizer& q) {
      const Tensor own = w.clone().requires_grad(), scales = weight_scales(w, fixed, q).requires_grad();
      Tape tape;
      const Tensor y = quantize_weight(own, scales, fixed, q);
      return gradients_at(y, w.to_vector(), q.learns_scale ? std::vector{own, scales} : std::vector{own});
    };
    const auto near = [](std::span<const float> x, std::span<const float> y) {
      float largest = 0;
      for (const float v : y) largest = std::max(largest, std::abs(v));
      for (size_t i = 0; i < x.size(); ++i) CHECK(std::abs(x[i] - y[i]) <= 3e-5F * largest);
    };
    const auto compare_runs = [&](const Run& a, const Run& b) {
      near(a.y.data(), b.y.data());
      for (size_t i = 0; i < a.gradients.size(); ++i) near(a.gradients[i], b.gradients[i]);
    };
    for (const bool per_channel : {false, true}) compare_runs(mixture(*fast, per_channel), mixture(plain, per_channel));
    const Run a = codes(*fast), b = codes(plain);
    CHECK(a.y.to_vector() == b.y.to_vector());
    compare_runs(a, b);
  }
}

TEST_CASE("weight quantizers: names are found or refused, and none is no default") {
  CHECK(quant::find_weight("minmax")->name == "minmax");
  CHECK(refusal([] { quant::find_weight("minmaks"); }) ==
        "unknown quantizer of weights 'minmaks': expected " + all_names());
  CHECK(refusal([] { searched(nullptr, MixPrecType::PER_LAYER, {8}); }) == "the quantizer of weights is missing");
}

TEST_CASE("weight quantizers: files of networks under min-max and PACT need not name them") {
  const Graph graph = searched(quant::find_weight("minmax"), MixPrecType::PER_CHANNEL, {0, 2, 8}).arch_export();
  io::Safetensors file = to_safetensors(graph);
  std::string& structure = file.metadata.at("mixgrad");
  const std::string pact = R"(,"quantizer":"pact")";
  CHECK(structure.find("minmax") == std::string::npos);
  size_t named = 0;
  for (size_t at; (at = structure.find(pact)) != std::string::npos; ++named) structure.erase(at, pact.size());
  CHECK(named == graph.activation_slots().size());
  const Graph loaded = graph_from(file);
  for (const auto& slot : loaded.activation_slots()) CHECK(slot->quantizer == quant::find_activation("pact"));
  for (const auto& slot : loaded.weight_slots()) CHECK(slot->quantizer == quant::find_weight("minmax"));
  check_equal(graph, loaded, test::random_batch(3, {3, 32, 32}, 10, 3).x);
}
