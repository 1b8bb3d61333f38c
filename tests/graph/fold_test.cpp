// SPDX-License-Identifier: Apache-2.0
// Batch norms are folded into other layers wherever that is exact, and become layers elsewhere.
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
    const std::pair<const char*, nn::Module*> parts[] = {
        {"conv", &conv},           {"other", &other}, {"open", &open}, {"grouped", &grouped},
        {"depthwise", &depthwise}, {"point", &point}, {"up", &up},     {"fc", &fc},
        {"wide", &wide},           {"bn", &bn},       {"bn2", &bn2},   {"bn4", &bn4},
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
  nn::ConvTranspose2d up{{.in_channels = 2, .out_channels = 4, .stride = {2, 2}, .bias = false}};
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
  CHECK(std::ranges::count(graph.nodes, "affine", &Node::op_name) == 0);
  CHECK(difference(graph.forward(x), net(x)) < 1e-5);
}

/// Checks that the batch norms in `names` become layers of their own, and no others.
void check_stays(const std::vector<std::string>& names, Net::Body body, const std::function<void(Net&)>& change = {}) {
  CAPTURE(names);
  Net net(std::move(body));
  if (change) change(net);
  Graph graph = trace(net, image);
  const Tensor x = test::random_batch(3, image, 2, 4).x;
  fold_batch_norm(graph);
  CHECK(batch_norms(graph) == 0);
  std::vector<std::string> stay;
  for (const Node& node : graph.nodes) {
    if (node.as<op::Affine>()) stay.push_back(node.name);
  }
  CHECK(stay == names);
  CHECK(difference(graph.forward(x), net(x)) < 1e-5);
}

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

TEST_CASE("a batch norm that no node can absorb becomes a layer of its own") {
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.conv(n.bn(x)); });  // conv pads with zeros
  check_stays({"bn"}, [](Net& n, const Tensor& x) {                              // as pre-activation networks have it
    const Tensor y = n.conv(x);
    return add(y, n.other(relu(n.bn(y))));
  });
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.other(n.bn(relu(n.conv(x)))); });
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.point(pad2d(n.bn(relu(n.conv(x))), {{1, 1, 1, 1}})); });
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.bn(select_channels(n.conv(x), {{1, 1}})); });  // repeats
  check_stays({"bn4"}, [](Net& n, const Tensor& x) { return n.bn4(concat({n.conv(x), relu(n.other(x))})); });
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.bn(relu6(n.conv(x))); });
  check_stays({"bn"}, [](Net& n, const Tensor& x) {
    const Tensor y = relu(n.conv(x));
    return add(y, n.bn(y));
  });
  check_stays({"bn"}, [](Net& n, const Tensor& x) {  // one of two readers can't absorb it
    const Tensor y = n.bn(relu(n.conv(x)));
    return add(n.depthwise(y), max_pool2d(relu(y), {.kernel = {3, 3}, .stride = {1, 1}}));
  });
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.bn(avg_pool2d(n.conv(x), {.padding = {1, 1}})); });
  check_stays({"features"}, [](Net& n, const Tensor& x) { return n.features(flatten(n.conv(x))); });
  check_stays({"bn"}, [](Net& n, const Tensor& x) {  // the weights of depthwise are used twice
    const Tensor y = n.depthwise(n.bn(relu(x)));
    return add(y, n.depthwise(x));
  });
  check_stays({"bn"}, [](Net& n, const Tensor& x) { return n.up(n.bn(relu(n.conv(x)))); });
  check_stays({"bn2"}, [](Net& n, const Tensor& x) { return n.bn2(n.bn(relu(n.conv(x)))); });  // bn goes into bn2
}

TEST_CASE("a batch norm folds into the transposed convolution before it") {
  check_folds("transposed", [](Net& n, const Tensor& x) { return n.bn4(n.up(x)); });
}

TEST_CASE("a batch norm folds through max pooling only if no factor is negative") {
  const Net::Body pooled = [](Net& n, const Tensor& x) { return n.bn(max_pool2d(n.conv(x))); };
  check_stays({"bn"}, pooled, [](Net& n) { n.bn.gamma.data()[1] = -0.1F; });
  check_folds("no negative factor", pooled);
}

TEST_CASE("batch norms fold before ReLUs are fused and quantizers placed, or not at all") {
  Net fused([](Net& n, const Tensor& x) { return n.bn(relu(n.conv(x))); });
  Graph graph = trace(fused, image);
  fuse_relu(graph);
  fold_batch_norm(graph);
  CHECK(graph.nodes[static_cast<size_t>(graph.output)].op_name() == "affine");  // behind the ReLU in 'conv'
  Net plain([](Net& n, const Tensor& x) { return n.bn(n.conv(x)); });
  Graph placed = trace(plain, image);
  place_quantizers(placed, {});
  CHECK(test::refusal([&] { fold_batch_norm(placed); }) ==
        "cannot fold batch norm 'bn': it must be folded before quantizers are placed");
}

TEST_CASE("batch norms in random networks: the same outputs without them") {
  int64_t folded = 0, stay = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    test::RandomNet net(seed, true);
    Graph graph = trace(net, test::RandomNet::image);
    const int64_t before = batch_norms(graph);
    const Tensor x = test::random_batch(4, test::RandomNet::image, 2, seed).x;
    fold_batch_norm(graph);
    CHECK(batch_norms(graph) == 0);
    CHECK(difference(graph.forward(x), net(x)) < 1e-5);
    const int64_t left = std::ranges::count(graph.nodes, "affine", &Node::op_name);
    folded += before - left;
    stay += left;
  }
  CHECK(folded > 100);
  CHECK(stay > 100);
}
