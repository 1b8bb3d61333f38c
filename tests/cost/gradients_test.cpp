// SPDX-License-Identifier: Apache-2.0
// The gradient of every cost in every θ, compared with differences of the cost. Ceilings do not disturb them: if one
// candidate of all channels changes by as many channels as fill whole tiles, words and patches, a ceiling grows by
// exactly its straight-through gradient. Costs are at most quadratic in a slot's θ, so central differences are exact.
// Only packed-ram, of channels times bits, has ceilings that err, by words.
#include "../networks.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace mixgrad;

namespace {

/// A network for which every cost is defined: 3×3, depthwise and 1×1 convs, an Add, a linear layer that reads channels
/// twice, once and never.
class Net : public nn::Module {
 public:
  Net()
      : stem(conv(3, 32, 3, 1)),
        depthwise(conv(32, 32, 3, 32)),
        pointwise(conv(32, 64, 1, 1)),
        skip(conv(32, 64, 1, 1)) {
    add_module("stem", stem);
    add_module("depthwise", depthwise);
    add_module("pointwise", pointwise);
    add_module("skip", skip);
    add_module("fc", fc);
    nn::initialize(*this, Rng(2, "init"));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = relu(stem(x));
    const Tensor z = relu(add(pointwise(relu(depthwise(y))), skip(y)));
    const Tensor cut = concat({slice_channels(z, 0, 48), slice_channels(z, 0, 16)});
    return fc(flatten(avg_pool2d(cut, {.kernel = {8, 8}})));
  }

 private:
  static nn::Conv2dOptions conv(int64_t in, int64_t out, int64_t kernel, int64_t groups) {
    return {.in_channels = in,
            .out_channels = out,
            .kernel = {kernel, kernel},
            .padding = {kernel / 2, kernel / 2},
            .groups = groups};
  }
  nn::Conv2d stem, depthwise, pointwise, skip;
  nn::Linear fc{{.in_features = 64, .out_features = 10}};
};

struct Case {
  std::string cost;
  std::vector<int> activation_bits = {2, 4, 8};
  double channels = 32;  ///< by which a candidate's share changes
  double words = 0;      ///< bytes by which ceilings may err
};

/// Every built-in cost, so that new ones are tested too.
std::vector<Case> cases() {
  std::vector<Case> out;
  for (const std::string& name : cost::names()) {
    out.push_back({.cost = name});
    if (name == "ne16-latency") out.back().activation_bits = {8};
    if (name == "activations") out.back().channels = 0.5;  // the peak may move to another tensor
    if (name == "peak-ram") out.back().channels = 16;      // likewise
    if (name == "packed-ram") out.back().channels = 4, out.back().words = 8;
  }
  return out;
}

void check_gradients(const Case& c) {
  CAPTURE(c.cost);
  Net module;
  MixPrec net(module, {.input_shape = {3, 8, 8},
                       .activation_precisions = c.activation_bits,
                       .weight_precisions = {0, 2, 4, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL});
  test::randomize_architecture(net, 3);
  const cost::Model model = cost::find(c.cost);
  Thetas thetas;
  for (const auto& [slot, theta] : net.graph().softmax_thetas(1.3)) thetas[slot] = theta.clone().requires_grad();
  const auto soft = [&] { return cost::soft(net.graph(), model, thetas); };
  double value = 0;
  {
    Tape tape;
    const Tensor cost = soft();
    value = cost.item();
    tape.backward(cost);
  }
  int moved = 0;
  for (const auto& of_slot : thetas) {
    const Tensor& theta = of_slot.second;
    const int64_t columns = theta.size() / theta.dim(0);
    const double step = theta.shape().rank() == 2 ? c.channels / static_cast<double>(columns) : 0.1;
    for (int64_t p = 0; p < theta.dim(0); ++p) {
      CAPTURE(p);
      const auto row = [&](std::span<float> all) {
        return all.subspan(static_cast<size_t>(p * columns), static_cast<size_t>(columns));
      };
      double analytic = 0;
      if (theta.has_grad()) {
        for (const float g : row(theta.grad())) analytic += g * step;
      }
      const std::vector<float> kept(row(theta.data()).begin(), row(theta.data()).end());
      const auto at = [&](double by) {
        for (float& t : row(theta.data())) t += static_cast<float>(by);
        const double moved_to = soft().item();
        std::ranges::copy(kept, row(theta.data()).begin());
        return moved_to;
      };
      const double difference = (at(step) - at(-step)) / 2;
      const double tolerance = 1e-4 * (std::abs(difference) + value * 2e-3) + c.words;  // soft() is a float
      CHECK(std::abs(analytic - difference) <= tolerance);
      moved += std::abs(difference) > value * 1e-4;
    }
  }
  CHECK(moved >= 3);
}

}  // namespace

TEST_CASE("cost: gradients of every cost in every θ match differences, including ceilings") {
  for (const Case& c : cases()) check_gradients(c);
}
