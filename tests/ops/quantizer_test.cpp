// SPDX-License-Identifier: Apache-2.0
// Quantizers other than PACT: values and straight-through gradients by their formulas, and whole networks with them.
#include "../networks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include <unistd.h>

using namespace mixgrad;
using test::same_bytes;

namespace {

using Floats = std::vector<float>;

Tensor leaf(const Floats& v) { return Tensor::from({1, std::ssize(v)}, v).requires_grad(); }

struct Result {
  Floats value, gx;
  float gclip;
};

/// Codes of x, and the gradients of Σ g · x̂.
Result run(const ActivationQuantizer& q, const Floats& values, float clip, int bits, bool is_signed, const Floats& g) {
  const Tensor x = leaf(values), c = Tensor::full({1}, clip).requires_grad();
  const float levels = static_cast<float>((1 << (is_signed ? bits - 1 : bits)) - 1),
              step = q.step(clip, {is_signed ? -levels : 0, levels});
  Tape tape;
  const Tensor codes = quantize_activation(x, c, bits, {.is_signed = is_signed}, q);
  Floats scaled = g;
  for (float& v : scaled) v *= step;  // codes = x̂ / step
  codes.set_grad(scaled);
  tape.backward();
  return {codes.to_vector(), Floats(x.grad().begin(), x.grad().end()), c.grad()[0]};
}

/// One that a user might write: codes of x, ternary around a threshold.
struct Ternary {
  static float step(float clip, CodeRange) { return clip; }
  static float code(float x, float clip, CodeRange) { return x > clip / 2 ? 1.0F : x < -clip / 2 ? -1.0F : 0.0F; }
  static std::pair<float, float> slopes(float x, float clip, CodeRange r) { return {1, code(x, clip, r)}; }
  static double clip_scale(int64_t, CodeRange) { return 1; }
};

MixPrec searched(std::shared_ptr<const ActivationQuantizer> q) {
  MixPrec net(simplified(*test::random_resnet8(2), {3, 32, 32}),
              {.activation_precisions = {2, 4, 8},
               .weight_precisions = {2, 4, 8},
               .w_mixprec_type = MixPrecType::PER_CHANNEL,
               .calibration = {test::random_batch(8, {3, 32, 32}, 10, 5).x},
               .activation_quantizer = std::move(q)});
  test::randomize_architecture(net, 7);
  return net;
}

}  // namespace

TEST_CASE("plinio-pact rounds down, never uses its top code, cuts negatives") {
  const Result r = run(*quant::find_activation("plinio-pact"), {-1, 0, 0.99F, 1.01F, 2.9F, 3, 5}, 3, 2, false,
                       {1, 1, 1, 1, 1, 1, 1});
  CHECK(r.value == Floats{0, 0, 0, 1, 2, 2, 2});  // 3 · 3 / 3.001 is below 3
  CHECK(r.gx == Floats{0, 0, 1, 1, 1, 0, 0});
  CHECK(r.gclip == doctest::Approx(2));
}

TEST_CASE("lsq: values and gradients of the paper's equations") {
  const float clip = 3.5F, step = 0.5F;  // signed 4 bits: codes -7 to 7
  const Floats x = {-9, -3.5F, -0.3F, 0.2F, 0.35F, 3.4F, 8}, g = {1, 2, 3, 4, 5, 6, 7};
  const Result r = run(*quant::find_activation("lsq"), x, clip, 4, true, g);
  CHECK(r.value == Floats{-7, -7, -1, 0, 1, 7, 7});
  CHECK(r.gx == Floats{0, 0, 3, 4, 5, 6, 0});
  double expected = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = static_cast<double>(x[i]) / step, dstep = v <= -7 ? -7 : v >= 7 ? 7 : std::nearbyint(v) - v;
    expected += g[i] * dstep / 7;
  }
  CHECK(r.gclip == doctest::Approx(expected / std::sqrt(7.0 * 7)).epsilon(1e-4));
}

TEST_CASE("quantizers: a mixture is Σ θ x̂, with its gradients") {
  const ActivationQuantizer q = *quant::find_activation("lsq");
  const std::vector<int> bits{2, 8};
  const Floats values = {-0.4F, 0.31F, 0.77F, 1.2F, 2.6F}, g = {1, -2, 3, 0.5F, 2};
  const Tensor x = leaf(values), theta = Tensor::from({2}, Floats{0.3F, 0.7F}).requires_grad(),
               clip = Tensor::from({2}, Floats{1.5F, 2}).requires_grad();
  Tape tape;
  const Tensor y = activation_mixture(x, theta, clip, bits, {.relu = true}, q);
  y.set_grad(g);
  tape.backward();
  Floats relued = values, mixed(5, 0), gx(5, 0);
  relued[0] = 0;
  for (size_t p = 0; p < 2; ++p) {
    const float c = clip.data()[p], step = c / static_cast<float>((1 << bits[p]) - 1);
    const Result one = run(q, relued, c, bits[p], false, g);
    double dot = 0;
    for (size_t i = 0; i < 5; ++i) {
      mixed[i] += theta.data()[p] * step * one.value[i];
      gx[i] += theta.data()[p] * one.gx[i];
      dot += static_cast<double>(g[i]) * one.value[i] * step;
    }
    CHECK(theta.grad()[p] == doctest::Approx(dot).epsilon(1e-5));
    CHECK(clip.grad()[p] == doctest::Approx(theta.data()[p] * one.gclip).epsilon(1e-5));
  }
  for (size_t i = 0; i < 5; ++i) CHECK(y.to_vector()[i] == doctest::Approx(mixed[i]).epsilon(1e-5));
  for (size_t i = 1; i < 5; ++i) CHECK(x.grad()[i] == doctest::Approx(gx[i]).epsilon(1e-5));
  CHECK(x.grad()[0] == 0);
}

TEST_CASE("pact without its fast ops gives what they give") {
  const ActivationQuantizer fast = *quant::find_activation("pact");
  ActivationQuantizer plain = fast;
  plain.mixture = {};
  plain.quantize = {};
  const std::vector<int> bits{2, 5, 8};
  const Floats values = {-3, -1.4F, -0.7F, -0.01F, 0, 0.02F, 0.4F, 1, 1.5F, 1.6F, 2.7F}, clips = {1.5F, 1, 2.6F},
               g = {1, 2, -3, 4, 5, -6, 7, 8, 9, 10, -11};
  for (const ActivationFormat format : {ActivationFormat{}, {.is_signed = true}, {.is_signed = true, .relu = true}}) {
    CAPTURE(format.is_signed);
    CAPTURE(format.relu);
    const auto mixed = [&](const ActivationQuantizer& q) {
      const Tensor x = leaf(values), theta = Tensor::from({3}, Floats{0.2F, 0.3F, 0.5F}).requires_grad(),
                   clip = Tensor::from({3}, clips).requires_grad();
      Tape tape;
      const Tensor y = activation_mixture(x, theta, clip, bits, format, q);
      y.set_grad(g);
      tape.backward();
      Floats all = y.to_vector();
      for (const Tensor& t : {x, theta, clip}) all.insert(all.end(), t.grad().begin(), t.grad().end());
      return all;
    };
    const Floats a = mixed(fast), b = mixed(plain);
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-5));
    const Tensor x = leaf(values), clip = Tensor::full({1}, 1.5F);
    CHECK(quantize_activation(x, clip, 5, format, fast).to_vector() ==
          quantize_activation(x, clip, 5, format, plain).to_vector());
  }
}

TEST_CASE("quantizers: networks search, export exactly and come back from a file; a user's own too") {
  const auto own = std::make_shared<ActivationQuantizer>(quant::elementwise<Ternary>("ternary"));
  const auto find = [&](const std::string& name) { return name == "ternary" ? own : quant::find_activation(name); };
  const Tensor x = test::random_batch(4, {3, 32, 32}, 10, 3).x;
  for (const auto& q : {quant::find_activation("lsq"), quant::find_activation("plinio-pact"),
                        std::shared_ptr<const ActivationQuantizer>(own)}) {
    CAPTURE(q->name);
    MixPrec net = searched(q);
    for (const auto& slot : net.graph().activation_slots()) CHECK((slot->is_signed && q->never_signed) == false);
    const train::StepResult step =
        train::step(net.graph(), test::random_batch(4, {3, 32, 32}, 10, 3), {.sample = [&] { return net.sample(); }});
    CHECK(std::isfinite(step.task.loss));
    for (const Parameter& p : net.graph().parameters(Role::clip)) CHECK(!p.tensor.grad().empty());
    const Graph discrete = discretize(net.graph()), exported = net.arch_export();
    const std::string file =
        std::filesystem::temp_directory_path() / fmt::format("mixgrad-quantizer-{}.safetensors", ::getpid());
    save(exported, file);
    const Graph loaded = load_graph(file, find);
    std::vector<Tensor> a, b, c;
    discrete.run(discrete.bind(), x, &a);
    exported.run(exported.bind(), x, &b);
    loaded.run(loaded.bind(), x, &c);
    for (size_t i = 0; i < a.size(); ++i) {
      CHECK(same_bytes(a[i].data(), b[i].data()));
      CHECK(same_bytes(a[i].data(), c[i].data()));
    }
    if (q == own) CHECK_THROWS_AS(load_graph(file), Error);
    std::filesystem::remove(file);
  }
}
