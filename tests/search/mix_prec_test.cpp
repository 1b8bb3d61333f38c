// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../refusal.h"
#include "../worse.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

using namespace mixgrad;
using test::random_batch;
using test::same_bytes;

namespace {

MixPrecOptions options(MixPrecType type, std::vector<int> activation_bits = {2, 4, 8}) {
  return {.input_shape = {3, 32, 32},
          .activation_precisions = std::move(activation_bits),
          .weight_precisions = {2, 4, 8},
          .w_mixprec_type = type,
          .calibration = {random_batch(32, {3, 32, 32}, 10, 5).x}};
}

/// Codes of every quantized tensor, computed from the definitions in SPEC §2-§5 in integers and doubles, one value at
/// a time, from the search network's own α, clips and weights: nothing of the engine but its tensors is used.
class IntegerOracle {
 public:
  IntegerOracle(const Graph& searched, const Tensor& x) : g_(searched), n_(x.dim(0)) {
    for (size_t i = 0; i < g_.nodes.size(); ++i) {
      values_.push_back(i == 0 ? finish(g_.nodes[0], to_real(x)) : evaluate(g_.nodes[i]));
    }
  }
  const std::vector<double>& values(size_t node) const { return values_[node].v; }
  bool coded(size_t node) const { return values_[node].slot != nullptr; }

 private:
  struct Value {
    std::vector<double> v;  // NCHW: codes where slot is set, else real
    const ActivationSlot* slot = nullptr;
  };

  static std::vector<double> to_real(const Tensor& x) {
    const std::vector<float> rows = x.to_vector();
    return {rows.begin(), rows.end()};
  }
  static size_t best(const Tensor& alpha, int64_t column = 0) {
    const std::vector<float> a = alpha.to_vector();
    const int64_t columns = alpha.size() / alpha.dim(0);
    size_t b = 0;
    for (int64_t p = 1; p < alpha.dim(0); ++p) {
      if (a[static_cast<size_t>(p * columns + column)] >=
          a[b * static_cast<size_t>(columns) + static_cast<size_t>(column)])
        b = static_cast<size_t>(p);
    }
    return b;
  }
  static float step(const ActivationSlot& s) {
    const size_t p = best(s.alpha);
    const int bits = s.precisions[p];
    return s.clip.data()[p] / static_cast<float>(s.is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1);
  }

  Value finish(const Node& node, std::vector<double> real) const {
    if (node.activation == Activation::relu) {
      for (double& v : real) v = std::max(v, 0.0);
    }
    const ActivationSlot* slot = node.output_slot.get();
    if (slot == nullptr) return {real, nullptr};
    const size_t p = best(slot->alpha);
    const double clip = slot->clip.data()[p];
    const double levels = slot->is_signed ? (1 << (slot->precisions[p] - 1)) - 1 : (1 << slot->precisions[p]) - 1;
    for (double& v : real) v = std::nearbyint(std::clamp(v, slot->is_signed ? -clip : 0.0, clip) * levels / clip);
    return {real, slot};
  }

  Value evaluate(const Node& node) const {
    const Value& in = values_[static_cast<size_t>(node.inputs[0])];
    if (node.is_layer()) return finish(node, layer(node, in));
    if (node.as<op::Add>()) return finish(node, sum(in, values_[static_cast<size_t>(node.inputs[1])]));
    if (node.as<op::AvgPool2d>()) return pool(node, in);
    REQUIRE(node.as<op::Flatten>());
    return in;
  }

  std::vector<double> layer(const Node& node, const Value& in) const {
    REQUIRE(in.slot != nullptr);
    const auto* conv = node.as<op::Conv2d>();
    const Shape& ws = node.weight().shape();
    const Node& from = g_.nodes[static_cast<size_t>(node.inputs[0])];
    const int64_t c_in = ws[1], h = conv ? from.shape[1] : 1, w = conv ? from.shape[2] : 1, k = conv ? ws[2] : 1;
    const int64_t stride = conv ? conv->attrs.stride[0] : 1;
    const int64_t pad = conv ? conv->attrs.padding[0] : 0;
    const int64_t oh = conv ? node.shape[1] : 1, ow = conv ? node.shape[2] : 1;
    const std::vector<float> weights = node.weight().to_vector(), bias = node.bias().to_vector();
    const size_t row = static_cast<size_t>(c_in * k * k);
    std::vector<double> out;
    for (int64_t n = 0; n < n_; ++n) {
      for (int64_t o = 0; o < ws[0]; ++o) {
        const std::span<const float> wc = std::span(weights).subspan(static_cast<size_t>(o) * row, row);
        float m = 0;
        for (float v : wc) m = std::max(m, std::abs(v));
        const int64_t column = node.weight_slot->alpha.shape().rank() == 2 ? o : 0;
        const int bits = node.weight_slot->precisions[best(node.weight_slot->alpha, column)];
        const float top = static_cast<float>((1 << bits) - 1), ws_step = m == 0 ? 1 : 2 * m / top;
        std::vector<int64_t> q;
        for (float v : wc)
          q.push_back(std::clamp<int64_t>(std::lrint(v / m * (top / 2)), -(1 << (bits - 1)), (1 << (bits - 1)) - 1));
        const float s = ws_step * step(*in.slot);
        const float b = s * std::nearbyint(bias[static_cast<size_t>(o)] / s);
        for (int64_t y = 0; y < oh; ++y) {
          for (int64_t x = 0; x < ow; ++x)
            out.push_back(
                static_cast<float>(
                    static_cast<float>(dot(q, in.v, n, c_in, h, w, k, y * stride - pad, x * stride - pad)) * s) +
                b);
        }
      }
    }
    return out;
  }

  static int64_t dot(const std::vector<int64_t>& q, const std::vector<double>& codes, int64_t n, int64_t c_in,
                     int64_t h, int64_t w, int64_t k, int64_t top, int64_t left) {
    int64_t acc = 0;
    for (int64_t c = 0; c < c_in; ++c) {
      for (int64_t i = 0; i < k * k; ++i) {
        const int64_t y = top + i / k, x = left + i % k;
        if (y < 0 || x < 0 || y >= h || x >= w) continue;
        acc += q[static_cast<size_t>(c * k * k + i)] *
               static_cast<int64_t>(codes[static_cast<size_t>(((n * c_in + c) * h + y) * w + x)]);
      }
    }
    return acc;
  }

  static std::vector<double> sum(const Value& a, const Value& b) {
    REQUIRE(a.slot == b.slot);
    std::vector<double> out;
    for (size_t i = 0; i < a.v.size(); ++i) out.push_back(static_cast<float>(a.v[i] + b.v[i]) * step(*a.slot));
    return out;
  }

  Value pool(const Node& node, const Value& in) const {  // global: every pool of resnet8
    const auto kernel = node.as<op::AvgPool2d>()->attrs.kernel;
    const int64_t count = kernel[0] * kernel[1];
    Value out{.v = {}, .slot = in.slot};
    for (size_t begin = 0; begin < in.v.size(); begin += static_cast<size_t>(count)) {
      double total = 0;
      for (int64_t i = 0; i < count; ++i) total += in.v[begin + static_cast<size_t>(i)];
      out.v.push_back(std::floor((2 * total + static_cast<double>(count)) / (2 * static_cast<double>(count))));
    }
    return out;
  }

  const Graph& g_;
  int64_t n_;
  std::vector<Value> values_;
};

double range_of(std::span<const float> x) {
  const auto [low, high] = std::ranges::minmax_element(x);
  return *high - *low;
}

}  // namespace

TEST_CASE("export gives the search network's evaluation codes exactly, precisions interleaved") {
  for (const MixPrecType type : {MixPrecType::PER_LAYER, MixPrecType::PER_CHANNEL}) {
    CAPTURE(static_cast<int>(type));
    const auto model = test::random_resnet8(11);
    MixPrec net(*model, options(type));
    test::randomize_architecture(net, 12);
    if (type == MixPrecType::PER_CHANNEL) {
      const std::vector<int> bits = net.arch_summary()[1].weight_bits;
      REQUIRE(std::set<int>(bits.begin(), bits.end()).size() == 3);
    }
    const Tensor x = random_batch(256, {3, 32, 32}, 10, 13).x;
    net.eval();
    const Tensor logits = net.forward(x);

    const std::string path = (std::filesystem::temp_directory_path() / "mixgrad_export_test.safetensors").string();
    save(net.arch_export(), path);
    const Graph exported = load_graph(path);  // through the file, so that nothing is shared with the search network
    std::filesystem::remove(path);
    std::vector<Tensor> values;
    const Tensor exported_logits = exported.run(exported.bind(), x, &values);

    double worst = 0;
    for (int64_t i = 0; i < logits.size(); ++i)
      worst = test::worse(worst, std::abs(static_cast<double>(logits.data()[i]) - exported_logits.data()[i]));
    CHECK(worst <= 1e-5 * range_of(logits.data()));

    const Graph evaluated = discretize(net.graph());
    std::vector<Tensor> searched_values;
    evaluated.run(evaluated.bind(), x, &searched_values);
    REQUIRE(values.size() == searched_values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      CAPTURE(exported.nodes[i].name);
      CHECK(same_bytes(values[i].data(), searched_values[i].data()));
    }
  }
}

TEST_CASE("evaluation codes are those of an independent integer computation") {
  for (const MixPrecType type : {MixPrecType::PER_LAYER, MixPrecType::PER_CHANNEL}) {
    const auto model = test::random_resnet8(21);
    MixPrec net(*model, options(type));
    test::randomize_architecture(net, 22);
    const Tensor x = random_batch(3, {3, 32, 32}, 10, 23).x;
    const IntegerOracle oracle(net.graph(), x);
    const Graph discrete = discretize(net.graph());
    std::vector<Tensor> values;
    discrete.run(discrete.bind(), x, &values);
    for (size_t i = 0; i < values.size(); ++i) {
      CAPTURE(discrete.nodes[i].name);
      const std::vector<float> rows = values[i].to_vector();
      REQUIRE(rows.size() == oracle.values(i).size());
      size_t different = 0;
      double worst = 0;
      for (size_t k = 0; k < rows.size(); ++k) {
        const double difference = std::abs(rows[k] - oracle.values(i)[k]);
        worst = test::worse(worst, difference);
        different += !(difference == 0);
      }
      // The oracle divides by the step in double where the engine multiplies in float: a rounding tie may fall either
      // way.
      CHECK(worst <= (oracle.coded(i) ? 1.0 : 1e-3));
      if (oracle.coded(i)) CHECK(different <= rows.size() / 1000);
    }
  }
}

TEST_CASE("placement: one quantizer per tensor, shared where tensors meet in an Add") {
  const auto model = test::random_resnet8(31);
  const MixPrec net(*model, options(MixPrecType::PER_CHANNEL));
  std::map<std::string, const Node*> node;
  for (const Node& n : net.graph().nodes) node[n.name] = &n;
  CHECK(node.at("input")->output_slot->precisions == std::vector{8});
  CHECK_FALSE(node.at("input")->output_slot->is_signed);
  CHECK(node.at("conv")->output_slot == node.at("stack1.conv2")->output_slot);
  CHECK(node.at("conv")->output_slot->is_signed);
  CHECK(node.at("conv")->activation == Activation::relu);
  CHECK(node.at("stack2.conv2")->output_slot == node.at("stack2.shortcut")->output_slot);
  CHECK_FALSE(node.at("stack1.conv1")->output_slot->is_signed);
  CHECK_FALSE(node.at("stack3.add")->output_slot->is_signed);
  CHECK_FALSE(node.at("fc")->output_slot);
  CHECK(net.graph().activation_slots().size() == 10);
  CHECK(net.graph().weight_slots().size() == 10);
  CHECK(std::ranges::none_of(net.graph().nodes,
                             [](const Node& n) { return n.as<op::BatchNorm>() || n.as<op::Activate>(); }));
}

TEST_CASE("simplification keeps what the network computes") {
  const auto model = test::random_resnet8(41);
  const Tensor x = random_batch(8, {3, 32, 32}, 10, 42).x;
  model->eval();
  const Tensor expected = (*model)(x), got = simplified(*model, {3, 32, 32}).forward(x);
  for (int64_t i = 0; i < expected.size(); ++i)
    CHECK(got.data()[i] == doctest::Approx(expected.data()[i]).epsilon(1e-4));
}

TEST_CASE("costs of resnet8: 77,360 weights and 12.5 million MACs") {
  const auto model = test::random_resnet8(51);
  const MixPrec net(*model, options(MixPrecType::PER_LAYER));
  CHECK(cost::uniform(net.graph(), cost::size(), 8) == 77360.0 * 8);
  CHECK(cost::uniform(net.graph(), cost::macs(), 8) == 12501632.0 * 64);
  int64_t weights = 0, macs = 0;
  for (const LayerSummary& layer : net.arch_summary()) weights += layer.weights, macs += layer.macs;
  CHECK(weights == 77360);
  CHECK(macs == 12501632);
}

TEST_CASE("excluded layers stay float, output included") {
  const auto model = test::random_resnet8(61);
  MixPrecOptions o = options(MixPrecType::PER_CHANNEL);
  o.exclude_names = {"stack2.conv1", "fc"};
  MixPrec net(*model, o);
  for (const LayerSummary& layer : net.arch_summary()) {
    const bool excluded = layer.name == "stack2.conv1" || layer.name == "fc";
    CHECK(layer.weight_bits.empty() == excluded);
    if (layer.name == "stack2.conv1") CHECK_FALSE(layer.out_bits.has_value());
    if (layer.name == "stack2.conv2") CHECK_FALSE(layer.in_bits.has_value());
  }
  const Tensor x = random_batch(4, {3, 32, 32}, 10, 62).x;
  net.eval();
  CHECK(same_bytes(net.forward(x).data(), net.arch_export().forward(x).data()));
  o.exclude_names = {"stack9.conv"};
  const std::string message = test::refusal([&] { MixPrec(*model, o); });
  CHECK(message.starts_with("exclude_names: the network has no layer 'stack9.conv': expected one of 'conv', "));
}

TEST_CASE("searches with measured α: images of known range need no gradient, unless their bit-width is searched") {
  const data::Batch batch = random_batch(2, {3, 32, 32}, 10, 1);
  for (const std::vector<int>& bits : {std::vector{8}, std::vector{4, 8}}) {
    MixPrec net(*test::random_resnet8(1), {.input_shape = {3, 32, 32},
                                           .input_precisions = bits,
                                           .calibration = {batch.x},
                                           .input_range = ValueRange{0, 1}});
    FisherSearch measured(net, {}, 0, 2);
    const Tape tape;
    std::vector<Tensor> values;
    net.graph().run(net.graph().bind(measured.thetas()), batch.x, &values);
    CHECK(values[0].needs_grad() == (bits.size() > 1));
    CHECK(values[1].needs_grad());
  }
}

TEST_CASE("train_nas_only and its kin choose what gets gradients") {
  const auto model = test::random_resnet8(71);
  MixPrec net(*model, options(MixPrecType::PER_CHANNEL));
  const data::Batch batch = random_batch(4, {3, 32, 32}, 10, 72);
  const auto any_grad = [](const std::vector<Tensor>& tensors) {
    return std::ranges::any_of(tensors, [](const Tensor& t) { return !t.grad().empty(); });
  };
  const auto run = [&] {
    for (const Tensor& t : net.net_parameters()) t.zero_grad();
    for (const Tensor& t : net.nas_parameters()) t.zero_grad();
    train::step(net.graph(), batch,
                {.regularization = [&](const Thetas& t) { return net.get_regularization_loss(t); }});
    return std::pair(any_grad(net.net_parameters()), any_grad(net.nas_parameters()));
  };
  CHECK(run() == std::pair(true, true));
  net.train_nas_only();
  CHECK(run() == std::pair(false, true));
  Graph exported = net.arch_export();  // trains whole, whatever the search trained last
  train::step(exported, batch);
  CHECK(std::ranges::none_of(exported.parameters(), [](const Parameter& p) { return p.tensor.grad().empty(); }));
  net.train_net_only();
  CHECK(run() == std::pair(true, false));
}

TEST_CASE(
    "regularizer: a cost of your own is what the search lowers, what pulls at α and what an export may not raise") {
  MixPrecOptions o = options(MixPrecType::PER_LAYER);
  o.regularizer = cost::sum_over_layers("last-bits", "bits", "weight bits of the last layer",
                                        [](const cost::Layer& layer) -> cost::Value {
                                          return layer.name == "fc" ? layer.weight_bits_over_channels() : 0;
                                        });
  const auto model = test::random_resnet8(82);
  const MixPrec net(*model, o);
  CHECK(net.regularizer().name == "last-bits");
  CHECK(net.discrete_cost() == 10 * 8);  // α begins in proportion to the bits
  double bits = 0, total = 0;
  for (const double b : {2, 4, 8}) total += std::exp(b / 8), bits += b * std::exp(b / 8);
  Tape tape;
  const Tensor loss = net.get_regularization_loss();
  CHECK(loss.item() == doctest::Approx(10 * bits / total));
  tape.backward(loss);
  for (const nn::NamedTensor& alpha : net.alpha_summary()) {
    CAPTURE(alpha.name);
    CHECK(alpha.tensor.has_grad() == (alpha.name == "fc.alpha_w"));
    if (!alpha.tensor.has_grad()) continue;
    CHECK(alpha.tensor.grad()[0] < 0);  // fewer bits
    CHECK(alpha.tensor.grad()[2] > 0);
  }
  for (const nn::NamedTensor& alpha : net.alpha_summary()) alpha.tensor.data()[0] = 2;  // all at their fewest bits
  for (const LayerSummary& layer : summarize(net.arch_export({.refine = true}), net.graph())) {
    if (layer.weight_bits.empty()) continue;
    CHECK(layer.weight_bits[0] == (layer.name == "fc" ? 2 : 8));
  }
}

TEST_CASE("precisions that cannot be are refused by name") {
  const auto model = test::random_resnet8(81);
  const auto refused = [&](auto change, const char* message) {
    MixPrecOptions o = options(MixPrecType::PER_CHANNEL);
    change(o);
    CHECK_THROWS_WITH_AS(MixPrec(*model, o), message, Error);
  };
  refused([](auto& o) { o.weight_precisions = {}; },
          "weight precisions: the list of bit-widths is empty: give at least one, like 2,4,8");
  refused(
      [](auto& o) {
        o.weight_precisions = {4, 9};
      },
      "weight precisions: 9 is not a supported bit-width: expected 1 to 8");
  refused([](auto& o) { o.weight_precisions = {1}; },
          "weight bits: minmax has no codes on both sides of 0 at 1 bit: expected at least 2, or mse or lsq on the odd "
          "grid");
  refused(
      [](auto& o) {
        o.activation_precisions = {0, 8};
      },
      "activation precisions: 0 bits prune channels of weights chosen per channel, not here: expected 2 to 8");
  CHECK_THROWS_WITH_AS(
      Regularizer("smell"),
      "unknown cost 'smell': expected size, flash, macs, params, ops, mpic-latency, mpic-energy, ne16-latency, "
      "activations, peak-ram, packed-ram, or table:FILE.toml",
      Error);
  refused([](auto& o) { o.temperature = 0; }, "temperature 0 must be above 0");
}
