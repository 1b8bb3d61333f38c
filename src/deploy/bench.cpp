// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/bench.h>
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/train.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <functional>
#include <limits>

namespace mixgrad::bench {
namespace {

constexpr int rounds = 9;

Graph without_quantizers(const Graph& discrete) {
  Graph out = discrete.clone();
  for (Node& node : out.nodes) node.weight_slot = nullptr, node.output_slot = nullptr;
  return out;
}

double cpu_milliseconds(const std::function<void(const Tensor&)>& run, const Tensor& x) {
  const std::clock_t start = std::clock();
  run(x);
  return static_cast<double>(std::clock() - start) * 1e3 / CLOCKS_PER_SEC;
}

}  // namespace

InferenceTimes inference(const Graph& discrete, const data::Dataset& dataset, int64_t images, int64_t batch) {
  if (images < 1) bad_input("images: {}: expected at least 1", images);
  if (batch < 1) bad_input("batch: {}: expected at least 1", batch);
  const train::Threads one(1);
  const Graph floating = without_quantizers(discrete);
  const Binding float_binding = floating.bind(), discrete_binding = discrete.bind();
  const IntegerNetwork network = to_integer(discrete);
  const IntegerEngine engine(network, batch);
  data::Loader loader(dataset, {.batch_size = batch, .drop_last = true});
  if (loader.batches() == 0) bad_input("batch: {}: expected at most the {} images of the data", batch, dataset.size());
  loader.start(0);

  const std::array<std::function<void(const Tensor&)>, 3> kinds = {
      [&](const Tensor& t) { floating.run(float_binding, t); },
      [&](const Tensor& t) { discrete.run(discrete_binding, t); },
      [&](const Tensor& t) { engine.run(network.quantize(t)); }};
  std::array<double, 3> least;
  least.fill(std::numeric_limits<double>::infinity());
  for (int round = 0; round < rounds; ++round) {
    for (size_t k = 0; k < kinds.size(); ++k) {
      for (int64_t i = 0; i < std::clamp<int64_t>(images / batch, 1, loader.batches()); ++i)
        least[k] = std::min(least[k], cpu_milliseconds(kinds[k], loader.batch(i).x) / static_cast<double>(batch));
    }
  }
  return {.float_ms = least[0], .discrete_ms = least[1], .integer_ms = least[2]};
}

}  // namespace mixgrad::bench
