// SPDX-License-Identifier: Apache-2.0
// Compares a discrete graph with its integer form.
#include <mixgrad/deploy.h>
#include <mixgrad/train.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace mixgrad {
namespace {

/// Calls f(graph's value, integer) for every element; both are NHWC, the integers' channels in their own order.
template <typename F>
void for_each_pair(const IntegerNode& node, const Tensor& value, const std::vector<int32_t>& integers, const F& f) {
  const std::span<const float> values = value.data();
  for (size_t pixel = 0; pixel < integers.size(); pixel += node.channel_of.size()) {
    for (size_t c = 0; c < node.channel_of.size(); ++c) {
      f(values[pixel + static_cast<size_t>(node.channel_of[c])], integers[pixel + c]);
    }
  }
}

/// Of the real values of an output.
struct ResultTally {
  double difference = 0;
  float low = std::numeric_limits<float>::max(), high = std::numeric_limits<float>::lowest();

  void add(float real, float integer) {
    difference = std::max(difference, std::abs(static_cast<double>(real) - static_cast<double>(integer)));
    low = std::min(low, real);
    high = std::max(high, real);
  }
  void operator+=(const ResultTally& t) {
    difference = std::max(difference, t.difference);
    low = std::min(low, t.low);
    high = std::max(high, t.high);
  }
  /// The difference relative to the values' range.
  double relative() const { return high > low ? difference / static_cast<double>(high - low) : 0; }
};

struct Tally {
  std::vector<TensorAgreement> tensors;
  std::vector<ResultTally> results;  // by output
  int64_t images = 0, same_top1 = 0;

  void operator+=(const Tally& t) {
    if (results.empty()) results.resize(t.results.size());
    for (size_t o = 0; o < t.results.size(); ++o) results[o] += t.results[o];
    if (tensors.empty()) tensors.resize(t.tensors.size());
    for (size_t i = 0; i < t.tensors.size(); ++i) {
      tensors[i].codes += t.tensors[i].codes;
      tensors[i].equal += t.tensors[i].equal;
      tensors[i].largest_difference = std::max(tensors[i].largest_difference, t.tensors[i].largest_difference);
    }
    images += t.images;
    same_top1 += t.same_top1;
  }
};

class Comparison {
 public:
  Comparison(const Graph& graph, const IntegerNetwork& network)
      : graph_(graph), network_(network), binding_(graph.bind()) {
    for (const IntegerNode& node : network.nodes) {
      const auto at = std::ranges::find(graph.nodes, node.name, &Node::name);
      graph_node_.push_back(static_cast<size_t>(at - graph.nodes.begin()));
    }
  }

  Tally run(const IntegerEngine& engine, const Tensor& x) const {
    std::vector<Tensor> values;
    std::vector<std::vector<int32_t>> integers;
    const Tensor result = graph_.run(binding_, x, &values);
    const std::vector<int32_t> outputs = engine.run(network_.quantize(x), &integers);
    Tally tally{.tensors = std::vector<TensorAgreement>(network_.nodes.size()), .results = {}, .images = x.dim(0)};
    for (size_t i = 0; i < network_.nodes.size(); ++i) {
      const IntegerNode& node = network_.nodes[i];
      if (!node.raw) count(node, values[graph_node_[i]], integers[i], tally.tensors[i]);
    }
    judge(result, outputs, tally);
    return tally;
  }

 private:
  static void count(const IntegerNode& node, const Tensor& value, const std::vector<int32_t>& integers,
                    TensorAgreement& t) {
    for_each_pair(node, value, integers, [&](float code, int32_t integer) {
      const int off = std::abs(static_cast<int>(code) - integer);
      ++t.codes;
      t.equal += off == 0;
      t.largest_difference = std::max(t.largest_difference, off);
    });
  }

  void judge(const Tensor& result, const std::vector<int32_t>& integers, Tally& tally) const {
    const std::vector<float> real = result.to_vector(),
                             whole = network_.real_outputs(integers, result.dim(0)).to_vector();
    const auto largest = [](const std::vector<float>& values, std::ptrdiff_t at, std::ptrdiff_t size) {
      return std::max_element(values.begin() + at, values.begin() + at + size) - values.begin();
    };
    tally.results.resize(network_.outputs.size());
    for (std::ptrdiff_t n = 0, at = 0; n < result.dim(0); ++n) {
      bool same = true;
      for (size_t o = 0; o < network_.outputs.size(); ++o) {
        const auto size = static_cast<std::ptrdiff_t>(network_.node_of(network_.outputs[o]).shape.size());
        same = same && largest(real, at, size) == largest(whole, at, size);
        for (const auto end = at + size; at < end; ++at)
          tally.results[o].add(real[static_cast<size_t>(at)], whole[static_cast<size_t>(at)]);
      }
      tally.same_top1 += same;
    }
  }

  const Graph& graph_;
  const IntegerNetwork& network_;
  const Binding binding_;
  std::vector<size_t> graph_node_;
};

/// How much float32 may round an unquantized result, which is a layer's sum of up to 2^30 steps, or that of two codes.
double most_rounding(const IntegerNode& result) {
  return static_cast<double>(result.step) * (result.is_layer() ? 0x1p10 : 0.5);
}

}  // namespace

const TensorAgreement* Agreement::broken() const {
  const auto at = std::ranges::find_if(tensors, [](const TensorAgreement& t) { return t.largest_difference > 1; });
  return at == tensors.end() ? nullptr : &*at;
}

Agreement compare(const Graph& discrete, const IntegerNetwork& network, const data::Dataset& dataset,
                  int64_t most_images, IntegerEngine::Kernels kernels) {
  const Comparison comparison(discrete, network);
  const int64_t images = std::min(most_images, dataset.size()),
                batch_size = std::min(images, train::micro_batch_size(discrete));
  data::Loader loader(dataset, {.batch_size = batch_size});
  loader.start(0);
  const int64_t batches = (images + batch_size - 1) / batch_size;
  const IntegerEngine whole(network, batch_size, kernels);
  std::vector<Tally> tallies(static_cast<size_t>(batches));
  kernels::parallel_tasks(batches, [&](int64_t i) {
    const Tensor x = loader.batch(i).x.rows(0, std::min(batch_size, images - i * batch_size));
    Tally& tally = tallies[static_cast<size_t>(i)];
    tally = x.dim(0) == batch_size ? comparison.run(whole, x)
                                   : comparison.run(IntegerEngine(network, x.dim(0), kernels), x);
  });
  Tally total;
  for (const Tally& t : tallies) total += t;
  Agreement out{.tensors = {}, .images = total.images, .same_top1 = total.same_top1};
  for (size_t i = 0; i < network.nodes.size(); ++i) {
    if (network.nodes[i].raw) continue;
    out.tensors.push_back(total.tensors[i]);
    out.tensors.back().name = network.nodes[i].name;
  }
  const bool all_equal = std::ranges::all_of(out.tensors, [](const TensorAgreement& t) { return t.equal == t.codes; });
  for (size_t o = 0; o < total.results.size(); ++o) {
    const IntegerNode& node = network.node_of(network.outputs[o]);
    out.result_difference = std::max(out.result_difference, total.results[o].relative());
    if (node.raw && all_equal && total.results[o].difference > most_rounding(node)) out.result_broken = true;
  }
  return out;
}

std::vector<uint8_t> first_codes(const IntegerNetwork& network, const data::Dataset& dataset, int64_t most_images) {
  data::Loader loader(dataset, {.batch_size = std::min(most_images, dataset.size())});
  loader.start(0);
  return network.quantize(loader.batch(0).x);
}

}  // namespace mixgrad
