// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/bench.h>
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/train.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

namespace mixgrad::bench {
namespace {

constexpr int rounds = 9;

Graph without_quantizers(const Graph& discrete) {
  Graph out = discrete.clone();
  for (Node& node : out.nodes) node.weight_slot = nullptr, node.output_slot = nullptr;
  return out;
}

double ms_an_image(const std::vector<Tensor>& images, const std::function<void(const Tensor&)>& run) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (const Tensor& x : images) run(x);
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count() / static_cast<double>(images.size());
}

}  // namespace

InferenceTimes inference(const Graph& discrete, const data::Dataset& dataset, int64_t images) {
  if (images < 1) bad_input("images: {}: expected at least 1", images);
  const train::Threads one(1);
  const Graph floating = without_quantizers(discrete);
  const Binding float_binding = floating.bind(), discrete_binding = discrete.bind();
  const IntegerNetwork network = to_integer(discrete);
  const IntegerEngine engine(network, 1);
  data::Loader loader(dataset, {.batch_size = 1});
  loader.start(0);
  std::vector<Tensor> x;
  for (int64_t i = 0; i < std::min(images, loader.batches()); ++i) x.push_back(loader.batch(i).x);

  const std::array<std::function<void(const Tensor&)>, 3> kinds = {
      [&](const Tensor& t) { floating.run(float_binding, t); },
      [&](const Tensor& t) { discrete.run(discrete_binding, t); },
      [&](const Tensor& t) { engine.run(network.quantize(t)); }};
  std::array<std::vector<double>, 3> ms;
  for (int round = -1; round < rounds; ++round) {  // the first round is a warm-up
    for (size_t k = 0; k < kinds.size(); ++k) {
      const double taken = ms_an_image(x, kinds[k]);
      if (round >= 0) ms[k].push_back(taken);
    }
  }
  for (std::vector<double>& m : ms) std::ranges::nth_element(m, m.begin() + rounds / 2);
  return {.float_ms = ms[0][rounds / 2], .discrete_ms = ms[1][rounds / 2], .integer_ms = ms[2][rounds / 2]};
}

}  // namespace mixgrad::bench
