// SPDX-License-Identifier: Apache-2.0
// Batch norms leave a traced graph (SPEC §5).
#include <mixgrad/error.h>
#include <mixgrad/graph.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

bool weight_is_shared(const Graph& graph, const Node& layer) {
  return std::ranges::any_of(graph.nodes, [&](const Node& other) { return &other != &layer && other.is_layer() && other.weight().is(layer.weight()); });
}

void fold_into(Node& layer, const Node& norm) {
  const std::span<const float> gamma = norm.params[0].data(), beta = norm.params[1].data();
  const std::span<const float> mean = norm.params[2].data(), variance = norm.params[3].data();
  const float eps = std::get<BatchNormAttrs>(norm.attrs).eps;
  Tensor w = layer.weight().clone();
  Tensor b = layer.bias() ? layer.bias().clone() : Tensor::zeros({w.dim(0)});
  const int64_t row = w.size() / w.dim(0);
  for (int64_t c = 0; c < w.dim(0); ++c) {
    const float factor = gamma[c] / std::sqrt(variance[c] + eps);
    for (int64_t k = 0; k < row; ++k) w.data()[c * row + k] *= factor;
    b.data()[c] = beta[c] + (b.data()[c] - mean[c]) * factor;
  }
  layer.params = {w.requires_grad(), b.requires_grad()};
}

}  // namespace

void fold_batch_norm(Graph& graph) {
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& norm = graph.nodes[static_cast<size_t>(i)];
    if (norm.op != "batch_norm") continue;
    const int producer = norm.inputs[0];
    Node& layer = graph.nodes[static_cast<size_t>(producer)];
    if (!layer.is_layer() || graph.consumers(producer).size() != 1 || graph.output == producer) {
      bad_input("cannot fold batch norm '{}': it must directly follow a conv or linear layer that feeds nothing else, not '{}'",
                norm.name, layer.name);
    }
    if (weight_is_shared(graph, layer)) {
      bad_input("cannot fold batch norm '{}': the weights of '{}' are used more than once", norm.name, layer.name);
    }
    fold_into(layer, norm);
    redirect(graph, i, producer);
  }
  drop_unused(graph);
}

}  // namespace mixgrad
