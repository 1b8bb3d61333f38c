// SPDX-License-Identifier: Apache-2.0
// Discrete networks in bfloat16: the type that codes are stored in changes no value.
#include "../networks.h"
#include "../random_graph.h"

#include <doctest/doctest.h>

using namespace mixgrad;

namespace {

/// Makes some weights and some activations float.
Graph with_float_parts(const Graph& graph, uint64_t seed) {
  Rng rng(seed, "float parts");
  Graph out = graph.clone();
  for (Node& node : out.nodes) {
    if (rng.uniform() < 0.2) node.weight_slot = nullptr, node.weight_scales = {};
    if (rng.uniform() < 0.2) node.output_slot = nullptr;
  }
  return out;
}

/// Checks that the graph gives the same values in both types, and stores the codes of images as bfloat16.
void check_equal(const Graph& graph, const Tensor& x) {
  const Binding binding = graph.bind();
  std::vector<Tensor> exact, stored;
  const Tensor result = graph.run(binding, x, &exact);
  CHECK(test::same_bytes(graph.run(binding, x, &stored, DType::bfloat16).data(), result.data()));
  for (size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(graph.nodes[i].name);
    CHECK(test::same_bytes(cast(stored[i], DType::float32).data(), exact[i].data()));
    if (graph.nodes[i].output_slot && exact[i].shape().rank() == 4) CHECK(stored[i].dtype() == DType::bfloat16);
  }
}

void check_random_networks(uint64_t first, uint64_t count) {
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const test::RandomNetwork random = test::random_network(seed, 5);
    CAPTURE(seed);
    CAPTURE(test::structure(random.discrete));
    data::Loader loader(random.images, {.batch_size = 5});
    loader.start(0);
    const Tensor x = loader.batch(0).x;
    for (const Graph& graph : {random.graph, random.discrete, with_float_parts(random.discrete, seed)})
      check_equal(graph, x);
  }
}

}  // namespace

TEST_CASE("codes: a discrete network computes the same values in bfloat16, to the bit") {
  check_random_networks(0, 40);
  const Shape image{3, 16, 16};
  check_equal(test::every_op(true, 3), test::random_batch(4, image, 5, 3).x);
}

TEST_CASE("codes: 1000 random networks" * doctest::skip()) { check_random_networks(1000, 1000); }
