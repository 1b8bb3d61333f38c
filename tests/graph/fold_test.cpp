// SPDX-License-Identifier: Apache-2.0
// Batch norms leave the graph wherever that is exact, and are refused by name elsewhere.
#include "../networks.h"
#include "../refusal.h"
#include "../worse.h"
#include "random_net.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

const Shape image{2, 6, 6};

/// Layers to build one network from; those that it calls are in its graph.
struct Net : nn::Module {
  using Body = std::function<Tensor(Net&, const Tensor&)>;

  explicit Net(Body f) : body(std::move(f)) {
    const std::pair<const char*, nn::Module*> parts[] = {{"conv", &conv},
                                                         {"other", &other},
                                                         {"open", &open},
                                                         {"grouped", &grouped},
                                                         {"depthwise", &depthwise},
                                                         {"point", &point},
                                                         {"fc", &fc},
                                                         {"wide", &wide},
                                                         {"bn", &bn},
                                                         {"bn2", &bn2},
                                                         {"bn4", &bn4},
                                                         {"features", &features}};
    for (const auto& [name, module] : parts) add_module(name, *module);
    nn::initialize(*this, Rng(1, "init"));
    Rng rng(2, "moments");
    for (nn::BatchNorm2d* norm : {&bn, &bn2, &bn4, &features}) {
      for (float& v : norm->gamma.data()) v = static_cast<float>(rng.uniform(0.5, 1.5));
      for (float& v : norm->running_var.data()) v = static_cast<float>(rng.uniform(0.5, 2));
      for (float& v : norm->beta.data()) v = static_cast<float>(rng.normal());
      for (float& v : norm->running_mean.data()) v = static_cast<float>(rng.normal());
    }
    eval();
  }
  Tensor forward(const Tensor& x) override { return body(*this, x); }

  nn::Conv2d conv{{.in_channels = 2, .out_channels = 2, .padding = {1, 1}}},
      other{{.in_channels = 2, .out_channels = 2, .padding = {1, 1}}};
  nn::Conv2d open{{.in_channels = 2, .out_channels = 4, .bias = false}},
      grouped{{.in_channels = 4, .out_channels = 6, .groups = 2}};
  nn::Conv2d depthwise{{.in_channels = 2, .out_channels = 2, .groups = 2}},
      point{{.in_channels = 2, .out_channels = 4, .kernel = {1, 1}}};
  nn::Linear fc{{.in_features = 2, .out_features = 2}}, wide{{.in_features = 72, .out_features = 3, .bias = false}};
  nn::BatchNorm2d bn{2}, bn2{2}, bn4{4}, features{72};
  Body body;
};

/// max |a - b| as a share of b's range.
double difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (int64_t i = 0; i < a.size(); ++i)
    largest = test::worse(largest, std::abs(static_cast<double>(a.data()[i]) - b.data()[i]));
  const auto [low, high] = std::ranges::minmax(b.data());
  return largest / (high - low);
}

int64_t batch_norms(const Graph& g) { return std::ranges::count(g.nodes, "batch_norm", &Node::op_name); }

void check_folds(const char* what, Net::Body body) {
  CAPTURE(what);
  Net net(std::move(body));
  Graph graph = trace(net, image);
  CHECK(batch_norms(graph) > 0);
  const Tensor x = test::random_batch(3, image, 2, 4).x;
  CHECK(test::refusal([&] { fold_batch_norm(graph); }) == "accepted");
  CHECK(batch_norms(graph) == 0);
  CHECK(difference(graph.forward(x), net(x)) < 1e-5);
}

std::string refused(Net::Body body, const std::function<void(Net&)>& change = {}, bool still_trained = false) {
  Net net(std::move(body));
  if (change) change(net);
  Graph graph = trace(net, image);
  return test::refusal([&] { fold_batch_norm(graph, still_trained); });
}

const std::string anywhere =
    ": put it directly after a conv or linear layer that feeds nothing else, or before linear layers or convs without "
    "padding";

}  // namespace

TEST_CASE("batch norm folds backward: through pools, flatten and Add, and behind another batch norm") {
  check_folds("conv", [](Net& n, const Tensor& x) { return n.bn(n.conv(x)); });
  check_folds("two", [](Net& n, const Tensor& x) { return n.bn2(n.bn(n.conv(x))); });
  check_folds("average pooling", [](Net& n, const Tensor& x) { return n.bn(avg_pool2d(n.conv(x))); });
  check_folds("max pooling, padded", [](Net& n, const Tensor& x) {
    return n.bn(max_pool2d(n.conv(x), {.padding = {1, 1}}));
  });
  check_folds("global pool, flatten",
              [](Net& n, const Tensor& x) { return n.bn(flatten(global_avg_pool2d(n.conv(x)))); });
  check_folds("Add", [](Net& n, const Tensor& x) {
    return n.bn(add(n.conv(x), max_pool2d(n.other(x), {.kernel = {1, 1}})));
  });
  check_folds("Add of one tensor twice", [](Net& n, const Tensor& x) {
    const Tensor y = n.conv(x);
    return n.bn(add(y, y));
  });
  check_folds("Concat", [](Net& n, const Tensor& x) { return n.bn4(concat({n.conv(x), n.other(x)})); });
  check_folds("slice", [](Net& n, const Tensor& x) { return n.bn(slice_channels(n.open(x), 1, 3)); });
  check_folds("shuffled and repeated",
              [](Net& n, const Tensor& x) { return n.bn4(upsample2d(channel_shuffle(n.open(x), 2))); });
  check_folds("linear", [](Net& n, const Tensor& x) { return n.bn(n.fc(flatten(global_avg_pool2d(n.conv(x))))); });
}

TEST_CASE("batch norm folds forward into whatever reads it, through pools and flatten") {
  check_folds("conv on the input", [](Net& n, const Tensor& x) { return n.open(n.bn(x)); });
  check_folds("1 x 1", [](Net& n, const Tensor& x) { return n.point(n.bn(relu(n.conv(x)))); });
  check_folds("groups", [](Net& n, const Tensor& x) { return n.grouped(n.bn4(relu(n.point(x)))); });
  check_folds("depthwise", [](Net& n, const Tensor& x) { return n.depthwise(n.bn(relu(n.conv(x)))); });
  check_folds("flattened images", [](Net& n, const Tensor& x) { return n.wide(flatten(n.bn(relu(n.conv(x))))); });
  check_folds("features of their own", [](Net& n, const Tensor& x) { return n.wide(n.features(flatten(n.conv(x)))); });
  check_folds("pools", [](Net& n, const Tensor& x) {
    return n.fc(flatten(global_avg_pool2d(max_pool2d(n.bn(relu(n.conv(x))), {.padding = {1, 1}}))));
  });
  check_folds("Concat of two batch norms, one of which is pooled", [](Net& n, const Tensor& x) {
    const Tensor y = relu(n.conv(x)), a = n.bn(y);
    return n.grouped(concat({n.bn2(y), avg_pool2d(a, {.kernel = {1, 1}})}));
  });
  check_folds("Concat that reads a batch norm on two ways", [](Net& n, const Tensor& x) {
    const Tensor y = n.bn(relu(n.conv(x)));
    return n.grouped(concat({upsample2d(y, {.factor = {1, 1}}), y}));
  });
  check_folds("slices", [](Net& n, const Tensor& x) {
    const std::vector<Tensor> parts = split_channels(n.bn4(relu(n.open(x))), {2, 2});
    const Tensor point = n.point(channel_shuffle(parts[0], 2));
    return concat({n.depthwise(parts[1]), max_pool2d(point, {.kernel = {3, 3}, .stride = {1, 1}})});
  });
  check_folds("several readers", [](Net& n, const Tensor& x) {
    const Tensor y = n.bn(relu(n.conv(x)));
    return add(n.fc(flatten(global_avg_pool2d(y))), flatten(global_avg_pool2d(n.depthwise(y))));
  });
  check_folds("another batch norm", [](Net& n, const Tensor& x) {
    return n.open(n.bn2(avg_pool2d(n.bn(relu(n.conv(x))), {.stride = {1, 1}})));
  });
  check_folds("two batch norms of one conv", [](Net& n, const Tensor& x) {
    const Tensor y = n.conv(x);
    return add(n.fc(flatten(global_avg_pool2d(n.bn(y)))), flatten(global_avg_pool2d(n.depthwise(n.bn2(y)))));
  });
}

TEST_CASE("a batch norm that no node can absorb is refused by name, with the reasons and a remedy") {
  CHECK(refused([](Net& n, const Tensor& x) { return n.conv(n.bn(x)); }) ==
        "cannot fold batch norm 'bn': it reads the network's input, and 'conv' after it pads with zeros: remove "
        "it from the network and normalize the data instead (--normalize MEAN/STD)");
  CHECK(refused([](Net& n, const Tensor& x) {  // as pre-activation networks have it
          const Tensor y = n.conv(x);
          return add(y, n.other(relu(n.bn(y))));
        }) ==
        "cannot fold batch norm 'bn': 'conv' before it has other consumers, and there is a ReLU after it ('relu')" +
            anywhere);
  CHECK(refused([](Net& n, const Tensor& x) { return n.other(n.bn(relu(n.conv(x)))); }) ==
        "cannot fold batch norm 'bn': there is a ReLU before it ('relu'), and 'other' after it pads with zeros" +
            anywhere);
  CHECK(refused([](Net& n, const Tensor& x) {
          return n.point(pad2d(n.bn(relu(n.conv(x))), {{1, 1, 1, 1}}));
        }) == "cannot fold batch norm 'bn': there is a ReLU before it ('relu'), and 'pad2d' after it pads with zeros" +
                  anywhere);
  CHECK(refused([](Net& n, const Tensor& x) {
          return n.bn(select_channels(n.conv(x), {{1, 1}}));
        }).find("'select_channels' before it repeats channels") != std::string::npos);
  CHECK(refused([](Net& n, const Tensor& x) {
          return n.bn4(concat({n.conv(x), relu(n.other(x))}));
        }).find("there is a ReLU before it ('relu')") != std::string::npos);
  CHECK(refused([](Net& n, const Tensor& x) { return n.bn(relu6(n.conv(x))); }) ==
        "cannot fold batch norm 'bn': there is a ReLU before it ('relu6'), and 'bn' is the network's output" +
            anywhere);
  CHECK(refused([](Net& n, const Tensor& x) {
          const Tensor y = relu(n.conv(x));
          return add(y, n.bn(y));
        }).find("'relu' before it has other consumers, and 'add' after it (add) can't absorb it") != std::string::npos);
  CHECK(refused([](Net& n, const Tensor& x) {
          const Tensor y = n.bn(relu(n.conv(x)));
          return add(n.depthwise(y), max_pool2d(relu(y), {.kernel = {3, 3}, .stride = {1, 1}}));
        }).find("there is a ReLU after it ('relu_2')") != std::string::npos);  // one of two readers can't
  CHECK(refused([](Net& n, const Tensor& x) {
          return n.bn(avg_pool2d(n.conv(x), {.padding = {1, 1}}));
        }).find("average pooling 'avg_pool2d' counts its padding, and 'bn' is the network's output") !=
        std::string::npos);
  CHECK(refused([](Net& n, const Tensor& x) {
          return n.features(flatten(n.conv(x)));
        }).find("'flatten' before it turns positions into features") != std::string::npos);
  CHECK(refused([](Net& n, const Tensor& x) {
          const Tensor y = n.depthwise(n.bn(relu(x)));
          return add(y, n.depthwise(x));
        }).find("the weights of 'depthwise' are used more than once") != std::string::npos);
}

TEST_CASE("a batch norm folds through max pooling only if no factor is negative") {
  const Net::Body pooled = [](Net& n, const Tensor& x) { return n.bn(max_pool2d(n.conv(x))); };
  const auto negative = [](Net& n) { n.bn.gamma.data()[1] = -0.1F; };
  const std::string said = refused(pooled, negative);
  CHECK(said ==
        "cannot fold batch norm 'bn': max pooling 'max_pool2d' allows folding only if no γ is negative, but that "
        "of channel 1 is, and 'bn' is the network's output" +
            anywhere);
  CHECK(refused(pooled) == "accepted");
  CHECK(refused(pooled, {}, true)
            .find("max pooling 'max_pool2d' allows folding only if no γ is negative, which training may change") !=
        std::string::npos);
  Net net(pooled);
  const data::Splits splits{
      .train = test::random_images(8, image, 1), .validation = test::random_images(8, image, 2), .test = {}};
  train::Observer observer;
  CHECK(test::refusal([&] { train::warm_up(net, splits, {}, observer); }).find("which training may change") !=
        std::string::npos);
}

TEST_CASE("batch norms fold before ReLUs are fused and quantizers placed, or not at all") {
  Net fused([](Net& n, const Tensor& x) { return n.bn(relu(n.conv(x))); });
  Graph graph = trace(fused, image);
  fuse_relu(graph);
  CHECK(test::refusal([&] { fold_batch_norm(graph); }).find("there is a ReLU before it ('conv')") != std::string::npos);
  Net plain([](Net& n, const Tensor& x) { return n.bn(n.conv(x)); });
  Graph placed = trace(plain, image);
  place_quantizers(placed, {});
  CHECK(test::refusal([&] { fold_batch_norm(placed); }) ==
        "cannot fold batch norm 'bn': it must be folded before quantizers are placed");
}

TEST_CASE("batch norms in random networks: the same outputs without them, or a refusal by name") {
  int folded = 0, refusals = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    test::RandomNet net(seed, true);
    Graph graph = trace(net, test::RandomNet::image);
    if (batch_norms(graph) == 0) continue;
    const Tensor x = test::random_batch(4, test::RandomNet::image, 2, seed).x;
    const std::string said = test::refusal([&] { fold_batch_norm(graph); });
    if (said == "accepted") {
      ++folded;
      CHECK(batch_norms(graph) == 0);
      CHECK(difference(graph.forward(x), net(x)) < 1e-5);
    } else {
      ++refusals;
      CHECK(said.starts_with("cannot fold batch norm 'm"));
    }
  }
  CHECK(folded > 100);
  CHECK(refusals > 100);
}
