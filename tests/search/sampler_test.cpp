// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mixgrad;
using test::same_bytes;

namespace {

MixPrec searched(SamplerOptions sampler, AlphaInit init = AlphaInit::SCALED,
                 std::vector<int> weight_bits = {0, 2, 4, 8}, bool quantize_output = false) {
  return MixPrec(simplified(*test::random_resnet8(6), {3, 32, 32}),
                 {.activation_precisions = {2, 8},
                  .weight_precisions = std::move(weight_bits),
                  .w_mixprec_type = MixPrecType::PER_CHANNEL,
                  .calibration = {test::random_batch(8, {3, 32, 32}, 10, 5).x},
                  .sampler = sampler,
                  .alpha_init = init,
                  .quantize_output = quantize_output});
}

const WeightSlot* slot_of(const MixPrec& net, const char* name) {
  return std::ranges::find(net.graph().nodes, name, &Node::name)->weight_slot.get();
}

}  // namespace

TEST_CASE("sampler: softmax is softmax(α / τ)") {
  MixPrec net = searched({});
  test::randomize_architecture(net, 1);
  net.set_temperature(0.7);
  const Thetas sampled = net.sample(), expected = net.graph().softmax_thetas(0.7);
  REQUIRE(sampled.size() == expected.size());
  for (const auto& [slot, theta] : expected) CHECK(same_bytes(sampled.at(slot).data(), theta.data()));
}

TEST_CASE(
    "sampler: Gumbel noise follows the seed, differs from step to step, and picks with the probabilities of "
    "softmax(α)") {
  MixPrec a = searched({.kind = SamplerKind::GUMBEL, .hard = true, .seed = 3}),
          b = searched({.kind = SamplerKind::GUMBEL, .hard = true, .seed = 3});
  MixPrec c = searched({.kind = SamplerKind::GUMBEL, .hard = true, .seed = 4});
  const auto theta = [](MixPrec& net) { return net.sample().at(slot_of(net, "stack3.conv1")).to_vector(); };
  const std::vector<float> first = theta(a);
  CHECK(first == theta(b));
  CHECK(first != theta(a));
  CHECK(first != theta(c));
  const std::vector<float> p = softmax(slot_of(a, "stack3.conv1")->alpha).to_vector();
  std::vector<double> picked(4, 0);
  constexpr int draws = 100, channels = 64;
  for (int i = 0; i < draws; ++i) {
    const std::vector<float> t = theta(a);
    for (size_t k = 0; k < 4; ++k)
      picked[k] += std::accumulate(t.begin() + static_cast<int64_t>(k * channels),
                                   t.begin() + static_cast<int64_t>((k + 1) * channels), 0.0);
  }
  for (size_t k = 0; k < 4; ++k) {
    const double probability = p[k * channels],
                 deviation = std::sqrt(probability * (1 - probability) / (draws * channels));
    CHECK(std::abs(picked[k] / (draws * channels) - probability) < 5 * deviation);
  }
}

TEST_CASE("sampler: a hard sample is one-hot with the gradient of the soft one") {
  MixPrec hard = searched({.hard = true}), soft = searched({});
  test::randomize_architecture(hard, 2);
  test::randomize_architecture(soft, 2);
  const auto gradient = [](MixPrec& net, std::vector<float>& value) {
    const WeightSlot* slot = slot_of(net, "stack2.conv1");
    slot->alpha.zero_grad();
    Tape tape;
    const Tensor theta = net.sample().at(slot);
    value = theta.to_vector();
    tape.backward(expectation(theta, std::vector<double>{1, 3, 2, 7}));
    return std::vector<float>(slot->alpha.grad().begin(), slot->alpha.grad().end());
  };
  std::vector<float> one_hot, mixed;
  CHECK(gradient(hard, one_hot) == gradient(soft, mixed));
  CHECK(std::ranges::all_of(one_hot, [](float v) { return v == 0 || v == 1; }));
  CHECK(std::accumulate(one_hot.begin(), one_hot.end(), 0.0F) == 32);
  CHECK(one_hot == quant::one_hot(slot_of(hard, "stack2.conv1")->alpha, std::vector{0, 2, 4, 8}).to_vector());
}

TEST_CASE("sampler: disabled, θ stays as it was and α gets no gradients") {
  MixPrec net = searched({.kind = SamplerKind::GUMBEL, .seed = 1});
  const auto theta = [&] { return net.sample().at(slot_of(net, "conv")); };
  const std::vector<float> last = theta().to_vector();
  net.disable_sampling();
  CHECK(theta().to_vector() == last);
  CHECK(theta().to_vector() == last);
  CHECK_FALSE(theta().needs_grad());
  net.disable_sampling(false);
  CHECK(theta().to_vector() != last);
}

TEST_CASE("arg max: of channels that would all go, the one with most to lose stays") {
  const std::vector<int> bits{0, 2, 8};
  const Tensor alpha = Tensor::from({3, 3}, std::vector<float>{5, 4, 6, 1, 3.5F, 2, 1, 3, 5});
  CHECK(quant::arg_max(alpha, bits) == std::vector<size_t>{0, 1, 0});  // margins -4, -0.5, -1
  CHECK(quant::arg_max(alpha, std::vector{2, 4, 8}) == std::vector<size_t>{0, 0, 0});
  const Tensor one = Tensor::from({3, 2}, std::vector<float>{5, 4, 1, 1, 6, 1});
  CHECK(quant::arg_max(one, bits) == std::vector<size_t>{2, 0});  // one stays anyway
}

TEST_CASE("MixPrec: α starts in proportion to the bits, or all the same") {
  const MixPrec scaled = searched({}), same = searched({}, AlphaInit::SAME);
  for (const nn::NamedTensor& alpha : same.alpha_summary()) {
    for (float a : alpha.tensor.data()) CHECK(a == 1);
  }
  const auto alpha = slot_of(scaled, "conv")->alpha.to_vector();
  CHECK(alpha[0] == 0);
  CHECK(alpha[16] == 0.25F);
  CHECK(alpha[48] == 1);
}

TEST_CASE("MixPrec: with 0 bits the mixture starts at the float network's magnitude") {
  const Graph floating = simplified(*test::random_resnet8(6), {3, 32, 32});
  const MixPrec net = searched({}, AlphaInit::SCALED, {0, 8});
  const Binding binding = net.graph().bind();
  for (size_t i = 0; i < floating.nodes.size(); ++i) {
    if (!floating.nodes[i].is_layer()) continue;
    const std::vector<float> w = floating.nodes[i].weight().to_vector(), mixed = binding.nodes[i].weight.to_vector();
    const float largest = std::abs(*std::ranges::max_element(w, {}, [](float v) { return std::abs(v); }));
    for (size_t k = 0; k < w.size(); ++k) REQUIRE(std::abs(w[k] - mixed[k]) < 0.005F * largest);
    const std::vector<float> b = floating.nodes[i].bias().to_vector(), gated = binding.nodes[i].bias.to_vector();
    for (size_t k = 0; k < b.size(); ++k) REQUIRE(gated[k] == doctest::Approx(b[k]).epsilon(1e-5));
  }
}

TEST_CASE("MixPrec: quantize_output puts a quantizer on the output") {
  const MixPrec plain = searched({}), quantized = searched({}, AlphaInit::SCALED, {2, 8}, true);
  const auto output = [](const MixPrec& net) { return net.graph().nodes[static_cast<size_t>(net.graph().output)]; };
  CHECK(output(plain).output_slot == nullptr);
  REQUIRE(output(quantized).output_slot != nullptr);
  CHECK(output(quantized).output_slot->is_signed);
}
