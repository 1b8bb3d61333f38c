// SPDX-License-Identifier: Apache-2.0
// NaN and infinity: a step that meets them fails with the op and the layer at fault.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>

using namespace mixgrad;
using test::random_batch;

namespace {

std::string complaint(const std::function<void()>& step) { return test::refusal(step, Error::Kind::failed_run); }

/// The error of a search step after `spoil` has changed the network.
std::string of_search_step(const auto& spoil) {
  const auto model = test::random_resnet8(1);
  MixPrec net(*model, {.input_shape = {3, 32, 32}, .activation_precisions = {4, 8}});
  spoil(net);
  const data::Batch batch = random_batch(12, {3, 32, 32}, 10, 4);
  return complaint([&] {
    train::step(net.graph(), batch,
                {.regularization = [&](const Thetas& t) { return net.get_regularization_loss(t); }});
  });
}

Tensor parameter(const MixPrec& net, const std::string& name) {
  for (const Parameter& p : net.graph().parameters()) {
    if (p.name == name) return p.tensor;
  }
  FAIL("no parameter " << name);
  return {};
}

}  // namespace

TEST_CASE("numerics: a search step names the op and the layer at fault") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(of_search_step([](MixPrec&) {}) == "accepted");
  const std::string weight =
      of_search_step([](MixPrec& net) { parameter(net, "stack2.conv1.weight").data()[5] = nan; });
  CHECK_MESSAGE(weight.find("of layer stack2.conv1: NaN at element 5 of its input 0") != std::string::npos, weight);
  const std::string bias = of_search_step([](MixPrec& net) { parameter(net, "fc.bias").data()[3] = nan; });
  CHECK_MESSAGE(bias.find("op linear of layer fc: NaN at element 3 of its input 2") != std::string::npos, bias);
  const std::string overflow = of_search_step([](MixPrec& net) {
    for (float& w : parameter(net, "fc.weight").data()) w = 3e38F;
  });
  CHECK_MESSAGE(overflow.find("of layer fc: infinity") != std::string::npos, overflow);
  const std::string alpha = of_search_step([](MixPrec& net) { net.nas_parameters()[0].data()[0] = nan; });
  CHECK_MESSAGE(alpha.find("NaN at element 0 of its input 0") != std::string::npos, alpha);
}

TEST_CASE("numerics: so does a float step, in its gradients too") {
  const auto model = test::random_resnet8(1);
  data::Batch batch = random_batch(12, {3, 32, 32}, 10, 4);
  model->train();
  CHECK(complaint([&] { train::step(*model, batch); }) == "accepted");
  batch.x.data()[7] = std::numeric_limits<float>::infinity();
  const std::string data = complaint([&] { train::step(*model, batch); });
  CHECK_MESSAGE(data.find("op conv2d of layer conv: infinity at element 7 of its input 0, [12, 3, 32, 32], which "
                          "comes from weights or data") != std::string::npos,
                data);
}
