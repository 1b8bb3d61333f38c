// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace mixgrad;

namespace {

/// A module made of one function and one conv.
struct Custom : nn::Module {
  explicit Custom(std::function<Tensor(Custom&, const Tensor&)> f) : body(std::move(f)) {
    add_module("conv", conv);
    nn::initialize(*this, Rng(1, "init"));
  }
  Tensor forward(const Tensor& x) override { return body(*this, x); }
  void register_bn() { add_module("bn", bn); }
  nn::Conv2d conv{{.in_channels = 2, .out_channels = 2, .padding = {1, 1}}};
  nn::BatchNorm2d bn{2};
  std::function<Tensor(Custom&, const Tensor&)> body;
};

const Shape image{2, 6, 6};

std::vector<std::string> ops_of(const Graph& g) {
  std::vector<std::string> out;
  for (const Node& n : g.nodes)
    out.push_back(std::string(n.op_name()) + (n.activation == Activation::none ? "" : "+relu"));
  return out;
}

}  // namespace

TEST_CASE("a traced module replays to the same values") {
  nn::Sequential net(std::make_unique<nn::Conv2d>(
                         nn::Conv2dOptions{.in_channels = 2, .out_channels = 4, .stride = {2, 1}, .padding = {1, 2}}),
                     std::make_unique<nn::ReLU>(), std::make_unique<nn::MaxPool2d>(Pool2dAttrs{}),
                     std::make_unique<nn::BatchNorm2d>(4),
                     std::make_unique<nn::AvgPool2d>(Pool2dAttrs{.kernel = {1, 2}}), std::make_unique<nn::Flatten>(),
                     std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 8, .out_features = 3}));
  nn::initialize(net, Rng(2, "init"));
  const Graph g = trace(net, image);
  CHECK(ops_of(g) == std::vector<std::string>{"input", "conv2d", "relu", "max_pool2d", "batch_norm", "avg_pool2d",
                                              "flatten", "linear"});
  CHECK(g.nodes[1].name == "0");
  CHECK(g.nodes[2].name == "1.relu");
  CHECK(g.nodes[7].shape == Shape{3});
  const Tensor x = test::random_batch(3, image, 3, 3).x;
  net.eval();
  CHECK(test::same_bytes(net(x).data(), g.forward(x).data()));
  CHECK(net.named_parameters()[0].name == "0.weight");
}

TEST_CASE("what can't be traced is named") {
  const auto message = [](std::function<Tensor(Custom&, const Tensor&)> body) {
    Custom net(std::move(body));
    return test::refusal([&] { trace(net, image); });
  };
  CHECK(message([](Custom& m, const Tensor& x) { return scale(m.conv(x), 2); }) ==
        "cannot convert scale: graphs support conv2d, conv_transpose2d, linear, add, max_pool2d, avg_pool2d, flatten, "
        "concat, select_channels, pad2d, upsample2d, relu, mul, sigmoid, prelu, batch_norm, outputs, relu6, "
        "hard_sigmoid, hard_swish, silu, tanh, leaky_relu, elu, clip, gelu, gelu_tanh, softplus, mish");
  CHECK(message([](Custom& m, const Tensor& x) {
          return softmax(flatten(m.conv(x)));
        }).starts_with("cannot convert softmax: "));
  CHECK(message([](Custom& m, const Tensor& x) { return conv2d(m.conv(x), m.conv.weight.clone(), {}, {}); }) ==
        "cannot convert conv2d: its weights are not registered parameters (add_parameter)");
  CHECK(message([](Custom& m, const Tensor& x) { return m.conv(x.clone()); }) ==
        "cannot trace conv2d in module 'conv': one of its inputs is not computed from the network's input by mixgrad "
        "ops");
  CHECK(message([](Custom&, const Tensor& x) { return x.clone(); }) ==
        "cannot trace the network: its output is not the result of a mixgrad op");
  CHECK(message([](Custom& m, const Tensor& x) { return m.conv(flatten(x)); }).starts_with("[conv2d] input [1, 72]"));
}

TEST_CASE("batch norm folds into the layer before it, and the module keeps its own weights") {
  struct Net : nn::Module {
    Net() {
      add_module("conv", conv);
      add_module("bn", bn);
      nn::initialize(*this, Rng(1, "init"));
    }
    Tensor forward(const Tensor& x) override { return bn(conv(x)); }
    nn::Conv2d conv{{.in_channels = 2, .out_channels = 2, .bias = true}};
    nn::BatchNorm2d bn{2};
  } net;
  net.bn.running_mean.data()[0] = 0.3F;
  net.bn.running_var.data()[1] = 4.0F;
  net.bn.gamma.data()[1] = -1.5F;
  net.conv.bias.data()[0] = 0.7F;
  Graph g = trace(net, image);
  const Tensor x = test::random_batch(2, image, 2, 4).x, before = g.forward(x);
  fold_batch_norm(g);
  CHECK(ops_of(g) == std::vector<std::string>{"input", "conv2d"});
  const Tensor after = g.forward(x);
  for (int64_t i = 0; i < before.size(); ++i) CHECK(after.data()[i] == doctest::Approx(before.data()[i]).epsilon(1e-4));
  CHECK(net.conv.bias.data()[0] == 0.7F);
}

TEST_CASE("a ReLU joins its producer only where nobody else sees the value before it") {
  Custom residual([](Custom& m, const Tensor& x) {
    const Tensor y = m.conv(x);
    return relu(add(y, relu(y)));
  });
  Graph g = trace(residual, image);
  const Tensor x = test::random_batch(2, image, 2, 5).x, before = g.forward(x);
  fuse_relu(g);
  CHECK(ops_of(g) == std::vector<std::string>{"input", "conv2d", "relu", "add+relu"});
  CHECK(test::same_bytes(g.forward(x).data(), before.data()));
}

TEST_CASE("a ReLU moves before max pooling, so that the tensor is known to be positive where it is quantized") {
  Custom pooled([](Custom& m, const Tensor& x) { return relu(max_pool2d(m.conv(x))); });
  Graph g = trace(pooled, image);
  const Tensor x = test::random_batch(2, image, 2, 6).x, before = g.forward(x);
  fuse_relu(g);
  CHECK(ops_of(g) == std::vector<std::string>{"input", "conv2d+relu", "max_pool2d"});
  CHECK(test::same_bytes(g.forward(x).data(), before.data()));
}

TEST_CASE("a layer used twice keeps one set of weights; batch norm can't fold into it") {
  Custom twice([](Custom& m, const Tensor& x) { return m.conv(m.conv(x)); });
  const Graph g = trace(twice, image).clone();
  CHECK(g.nodes[1].weight().is(g.nodes[2].weight()));
  CHECK_FALSE(g.nodes[1].weight().is(twice.conv.weight));

  Custom folded([](Custom& m, const Tensor& x) {
    const auto norm = [&](const Tensor& y) {
      return batch_norm(y, m.bn.gamma, m.bn.beta, m.bn.running_mean, m.bn.running_var);
    };
    return norm(m.conv(norm(m.conv(x))));
  });
  folded.register_bn();
  Graph shared = trace(folded, image);
  fold_batch_norm(shared);
  CHECK(ops_of(shared) == std::vector<std::string>{"input", "conv2d", "affine", "conv2d", "affine"});
}

TEST_CASE("tracing leaves every module in its mode") {
  Custom net([](Custom& m, const Tensor& x) { return m.conv(x); });
  net.conv.eval();
  trace(net, image);
  CHECK(net.training());
  CHECK_FALSE(net.conv.training());
}

TEST_CASE("a graph comes back from its file as it was") {
  const auto model = test::random_resnet8(7);
  MixPrec net(
      *model,
      {.input_shape = {3, 32, 32}, .activation_precisions = {2, 8}, .w_mixprec_type = MixPrecType::PER_CHANNEL});
  test::randomize_architecture(net, 8);
  const std::string path = (std::filesystem::temp_directory_path() / "mixgrad_graph_test.safetensors").string();
  const Tensor x = test::random_batch(2, {3, 32, 32}, 10, 9).x;
  for (const Graph& g : {simplified(*model, {3, 32, 32}), net.graph(), net.arch_export()}) {
    save(g, path);
    const Graph back = load_graph(path);
    CHECK(test::same_bytes(back.forward(x).data(), g.forward(x).data()));
    CHECK(cost::discrete(back, cost::size()) == cost::discrete(g, cost::size()));
    CHECK(back.activation_slots().size() == g.activation_slots().size());
  }
  std::filesystem::remove(path);
}

TEST_CASE("corrupt network files are refused with the file's name") {
  const std::string path = (std::filesystem::temp_directory_path() / "mixgrad_corrupt_test.safetensors").string();
  const auto model = test::random_resnet8(7);
  MixPrec net(*model, {.input_shape = {3, 32, 32}});
  save(net.arch_export(), path);
  const io::Safetensors good = io::read_safetensors(path);
  const auto refused = [&](auto change) {
    io::Safetensors file = good;
    change(file);
    io::write_safetensors(path, file);
    try {
      load_graph(path);
    } catch (const Error& e) {
      CHECK(e.kind() == Error::Kind::bad_input);
      CHECK(std::string(e.what()).starts_with(path + ": "));
      CHECK(std::string(e.what()).find("json") == std::string::npos);
      return true;
    }
    return false;
  };
  const auto replace = [](const std::string& from, const std::string& to) {
    return [from, to](io::Safetensors& f) {
      std::string& s = f.metadata.at("mixgrad");
      const size_t at = s.find(from);
      REQUIRE(at != std::string::npos);
      s.replace(at, from.size(), to);
    };
  };
  CHECK_FALSE(refused([](io::Safetensors&) {}));
  CHECK(refused([](io::Safetensors& f) { f.metadata.clear(); }));
  CHECK(refused([](io::Safetensors& f) { f.tensors.erase(f.tensors.begin()); }));
  CHECK(refused([](io::Safetensors& f) { f.tensors[0].second = Tensor::zeros({3}); }));
  CHECK(refused([](io::Safetensors& f) { f.metadata["mixgrad"].resize(100); }));
  CHECK(refused(replace("\"op\":\"add\"", "\"op\":\"sub\"")));
  CHECK(refused(replace("\"inputs\":[0]", "\"inputs\":[7]")));
  CHECK(refused(replace("\"format\":1", "\"format\":2")));
  CHECK(refused(replace("\"stride\":[2,2]", "\"stride\":[0,2]")));
  CHECK(refused(replace("\"output_slot\":0", "\"output_slot\":99")));
  std::filesystem::remove(path);
}
