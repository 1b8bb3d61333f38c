// SPDX-License-Identifier: Apache-2.0
// Functions, PReLU and Mul in training: gradients on codes, the same bytes for any number of threads, and exact codes
// at the end.
#include "../networks.h"

#include <mixgrad/tape.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

class Net : public nn::Module {
 public:
  Net() {
    add_module("stem", stem);
    add_module("slopes", slopes);
    add_module("down", down);
    add_module("up", up);
    add_module("fc", fc);
    nn::initialize(*this, Rng(2, "init"));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = slopes(stem(x));
    y = mul(y, hard_sigmoid(up(silu(down(global_avg_pool2d(y))))));
    return fc(flatten(global_avg_pool2d(hard_swish(y))));
  }

 private:
  nn::Conv2d stem{{.in_channels = 1, .out_channels = 6}}, down{{.in_channels = 6, .out_channels = 4, .kernel = {1, 1}}},
      up{{.in_channels = 4, .out_channels = 6, .kernel = {1, 1}}};
  nn::PReLU slopes{6};
  nn::Linear fc{{.in_features = 6, .out_features = 3}};
};

data::Splits splits() {
  data::Dataset d = test::random_images(60, {1, 10, 10}, 5);
  d.class_names = std::vector<std::string>(3);
  for (int32_t i = 0; i < 60; ++i) d.labels.push_back(i % 3);
  return {.train = d, .validation = d, .test = d};
}

Graph trained(int threads, DType dtype) {
  const train::Threads count(threads);
  Net net;
  const data::Splits data = splits();
  MixPrec search(net, {.input_shape = {1, 10, 10},
                       .activation_precisions = {4, 8},
                       .weight_precisions = {0, 4, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL,
                       .calibration = {test::random_batch(8, {1, 10, 10}, 3, 5).x}});
  train::Observer quiet;
  train::SearchSchedule schedule;
  schedule.epochs = 2;
  schedule.batch_size = 20;
  schedule.dtype = dtype;
  train::search(search, data, schedule, quiet);
  Graph found = search.arch_export();
  train::Schedule fine = schedule;
  fine.lr = 0.01;
  train::fine_tune(found, data, fine, search.regularizer(), quiet);
  return found;
}

const Tensor& slopes_of(const Graph& graph) {
  return std::ranges::find(graph.nodes, "prelu", &Node::op_name)->params[0];
}

}  // namespace

TEST_CASE("functions: search and fine-tuning train slopes, with the same bytes for any number of threads") {
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const Graph one = trained(1, dtype), two = trained(2, dtype);
    const std::vector<Parameter> a = one.parameters(), b = two.parameters();
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) CHECK(test::same_bytes(a[i].tensor.data(), b[i].tensor.data()));
    CHECK(one.parameters(Role::slope).size() == 1);
    for (const float slope : slopes_of(one).data()) CHECK(slope != 0.25F);
    const data::Dataset images = splits().test;
    const Agreement agreement = compare(one, to_integer(one), images);
    for (const TensorAgreement& t : agreement.tensors) CHECK(t.equal == t.codes);
    CHECK(agreement.same_top1 == agreement.images);
  }
}

TEST_CASE("functions: on codes, the gradients are those of the function and of the quantizers") {
  struct Case {
    Tensor (*apply)(const Tensor&);
    double slope;  // at 0.5
  };
  for (const auto& [apply, slope] :
       {Case{[](const Tensor& x) { return mixgrad::tanh(x); }, 1 - std::pow(std::tanh(0.5), 2)},
        Case{[](const Tensor& x) { return sigmoid(x); }, 0.2350037},
        Case{[](const Tensor& x) { return leaky_relu(x); }, 1}}) {
    struct One : nn::Module {
      explicit One(Tensor (*f)(const Tensor&)) : f_(f) { add_module("conv", conv); }
      Tensor forward(const Tensor& x) override { return f_(conv(x)); }
      Tensor (*f_)(const Tensor&);
      nn::Conv2d conv{{.in_channels = 1, .out_channels = 1, .kernel = {1, 1}}};
    } net(apply);
    std::ranges::fill(net.conv.weight.data(), 0.5F);
    MixPrec search(net, {.input_shape = {1, 1, 1},
                         .activation_precisions = {8},
                         .weight_precisions = {8},
                         .calibration = {Tensor::full({4, 1, 1, 1}, 1)},
                         .clips = {.percentile = 100}});
    Graph graph = discretize(search.graph());
    for (const auto& s : graph.activation_slots()) s->clip.data()[0] = 2;
    Tape tape;
    const Tensor x = Tensor::full({1, 1, 1, 1}, 1);
    const Tensor y = graph.forward(x);
    CHECK(static_cast<double>(y.item()) ==
          doctest::Approx(static_cast<double>(apply(Tensor::full({1}, 0.5F)).item())).epsilon(0.02));
    tape.backward(y);
    const auto conv = std::ranges::find(graph.nodes, "conv2d", &Node::op_name);
    CHECK(static_cast<double>(conv->weight().grad()[0]) == doctest::Approx(slope).epsilon(0.02));
  }
}
