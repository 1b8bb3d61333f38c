// SPDX-License-Identifier: Apache-2.0
// ReLU6s that join a node, and those that stay nodes of their own.
#include "../networks.h"
#include "random_net.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

const Shape image{2, 6, 6};

struct Net : nn::Module {
  explicit Net(std::function<Tensor(Net&, const Tensor&)> f) : body(std::move(f)) {
    add_module("a", a);
    add_module("b", b);
    Rng rng(1, "weights");
    for (const nn::Conv2d* conv : {&a, &b}) {
      for (float& w : conv->weight.data()) w = static_cast<float>(20 * rng.normal());  // far beyond 6
    }
    eval();
  }
  Tensor forward(const Tensor& x) override { return body(*this, x); }

  nn::Conv2d a{{.in_channels = 2, .out_channels = 2, .padding = {1, 1}}},
      b{{.in_channels = 2, .out_channels = 2, .padding = {1, 1}}};
  std::function<Tensor(Net&, const Tensor&)> body;
};

/// The ops of the graph after fusing, which must not change its values.
std::vector<std::string> fused(std::function<Tensor(Net&, const Tensor&)> body) {
  Net net(std::move(body));
  Graph g = trace(net, image);
  const Tensor x = test::random_batch(2, image, 2, 5).x;
  for (float& v : x.data()) v = 10 * v - 1;
  fuse_relu(g);
  const Tensor once = g.forward(x);
  CHECK(test::same_bytes(once.data(), net(x).data()));
  fuse_relu(g);
  CHECK(test::same_bytes(g.forward(x).data(), once.data()));
  std::vector<std::string> out;
  for (const Node& n : g.nodes)
    out.push_back(std::string(n.op_name()) + (n.activation == Activation::relu6  ? "+relu6"
                                              : n.activation == Activation::relu ? "+relu"
                                                                                 : ""));
  return out;
}

using Ops = std::vector<std::string>;

MixPrecOptions options(const Tensor& calibration) {
  return {.input_shape = test::RandomNet::image,
          .activation_precisions = {2, 4, 8},
          .weight_precisions = {2, 4, 8},
          .w_mixprec_type = MixPrecType::PER_CHANNEL,
          .calibration = {calibration},
          .quantize_output = true};
}

}  // namespace

TEST_CASE("a ReLU6 joins its producer where nobody else sees the value before it") {
  CHECK(fused([](Net& n, const Tensor& x) { return relu6(n.a(x)); }) == Ops{"input", "conv2d+relu6"});
  CHECK(fused([](Net& n, const Tensor& x) { return relu6(max_pool2d(relu(n.a(x)))); }) ==
        Ops{"input", "conv2d+relu6", "max_pool2d"});
  CHECK(fused([](Net& n, const Tensor& x) { return relu(flatten(relu6(n.a(x)))); }) ==
        Ops{"input", "conv2d+relu6", "flatten"});
  CHECK(fused([](Net& n, const Tensor& x) { return relu6(add(n.a(x), n.b(x))); }) ==
        Ops{"input", "conv2d", "conv2d", "add+relu6"});
}

TEST_CASE("a ReLU behind copies of values joins all nodes that make them, or none") {
  CHECK(fused([](Net& n, const Tensor& x) {
          return relu6(concat({n.a(x), max_pool2d(n.b(x), {.kernel = {1, 1}})}));
        }) == Ops{"input", "conv2d+relu6", "conv2d+relu6", "max_pool2d", "concat"});
  CHECK(fused([](Net& n, const Tensor& x) {
          return relu(concat({n.a(x), x}));
        }) == Ops{"input", "conv2d", "concat", "relu"});
  CHECK(fused([](Net& n, const Tensor& x) {
          const Tensor y = n.a(x);
          return concat({relu(concat({y, n.b(x)})), y});
        }) == Ops{"input", "conv2d", "conv2d", "concat", "relu", "concat"});
  CHECK(fused([](Net& n, const Tensor& x) {
          return relu(upsample2d(pad2d(channel_shuffle(n.a(x), 2), {{1, 0, 0, 1}}), {}));
        }) == Ops{"input", "conv2d+relu", "select_channels", "pad2d", "upsample2d"});
  CHECK(fused([](Net& n, const Tensor& x) {  // the larger values share the quantizer
          return concat({relu6(n.a(x)), n.b(x)});
        }) == Ops{"input", "conv2d+relu", "relu6", "conv2d", "concat"});
}

TEST_CASE("a ReLU6 that can't join a node stays one") {
  CHECK(fused([](Net&, const Tensor& x) { return relu6(x); }) == Ops{"input", "relu6"});
  CHECK(fused([](Net& n, const Tensor& x) { return relu6(avg_pool2d(n.a(x))); }) ==
        Ops{"input", "conv2d", "avg_pool2d", "relu6"});
  CHECK(fused([](Net& n, const Tensor& x) {
          const Tensor y = add(n.a(x), x);
          return add(n.b(relu6(y)), y);
        }) == Ops{"input", "conv2d", "add", "relu6", "conv2d", "add"});
}

TEST_CASE("a ReLU6 stays a node where larger values share its quantizer") {
  const auto with_larger = [](Net& n, const Tensor& x) {
    const Tensor y = relu6(n.a(x));
    return add(y, n.b(x));
  };
  CHECK(fused(with_larger) == Ops{"input", "conv2d+relu", "relu6", "conv2d", "add"});
  CHECK(fused([](Net& n, const Tensor& x) {
          const Tensor y = relu6(n.a(x));
          return add(y, max_pool2d(relu6(n.b(x)), {.kernel = {1, 1}}));
        }) == Ops{"input", "conv2d+relu6", "conv2d+relu6", "max_pool2d", "add"});
  Net net(with_larger);
  Graph g = trace(net, image);
  fuse_relu(g);
  MixPrecOptions o = options(test::random_batch(4, image, 2, 1).x);
  o.input_shape = image;
  const Graph discrete = MixPrec(g, o).arch_export();
  CHECK(discrete.nodes[1].output_slot->clip.data()[0] > 12);
  std::vector<Tensor> values;
  discrete.run(discrete.bind(), test::random_batch(4, image, 2, 2).x, &values);
  const ActivationSlot& slot = *discrete.nodes[1].output_slot;
  const float top = std::nearbyint(6 / slot.step());
  CHECK(slot.code_of(6) == top);
  int64_t wrong = 0;
  for (int64_t i = 0; i < values[1].size(); ++i) wrong += values[2].data()[i] != std::min(values[1].data()[i], top);
  CHECK(wrong == 0);
  CHECK(std::ranges::max(values[1].data()) > top);
}

TEST_CASE("ReLU6s in random networks: the integer network has the codes of the discrete graph") {
  int bounds = 0;
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    CAPTURE(seed);
    test::RandomNet net(seed, false, 30);
    MixPrec search(net, options(test::random_batch(4, test::RandomNet::image, 2, seed).x));
    test::randomize_architecture(search, seed);
    const Graph graph = search.arch_export();
    const IntegerNetwork integers = to_integer(graph);
    for (const IntegerNode& n : integers.nodes)
      bounds += n.as<integer::Relu>() && n.high < integers.nodes[static_cast<size_t>(n.inputs[0])].high;
    const Agreement agreement = compare(graph, integers, test::random_images(5, test::RandomNet::image, seed));
    for (const TensorAgreement& t : agreement.tensors) {
      CAPTURE(t.name);
      CHECK(t.equal == t.codes);
    }
  }
  CHECK(bounds > 10);
}
