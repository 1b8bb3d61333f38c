// SPDX-License-Identifier: Apache-2.0
// The golden cases of tests/golden (or $MIXGRAD_GOLDEN): every file of a known kind is one case.
#include "golden.h"
#include "worse.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>

using namespace mixgrad;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Case {
  std::string name;  // of its file
  json j;
  io::Safetensors file;

  Tensor tensor(const std::string& key) const { return file.at(key).clone(); }
  Tensor leaf(const std::string& key) const { return tensor(key).requires_grad(); }
};

/// All cases of a kind, by file name.
std::vector<Case> cases(const std::string& kind) {
  std::vector<Case> out;
  for (const fs::directory_entry& entry : fs::directory_iterator(test::golden_folder())) {
    if (entry.path().extension() != ".safetensors") continue;
    Case c{.name = entry.path().stem().string(), .j = {}, .file = io::read_safetensors(entry.path().string())};
    c.j = json::parse(c.file.metadata.at("case"));
    if (c.j.at("kind") == kind) out.push_back(std::move(c));
  }
  std::ranges::sort(out, {}, &Case::name);
  REQUIRE(!out.empty());
  return out;
}

/// The tolerance of the golden README, or more if required by the scale of the case.
void check_close(const std::string& what, std::span<const float> memory_order, const Tensor& expected,
                 double floor = 1e-6) {
  CAPTURE(what);
  REQUIRE(std::ssize(memory_order) == expected.size());
  double largest = 0, worst = 0;
  for (float v : expected.data()) largest = std::max(largest, std::abs(static_cast<double>(v)));
  for (size_t i = 0; i < memory_order.size(); ++i) {
    worst = test::worse(worst, std::abs(static_cast<double>(memory_order[i]) - expected.data()[i]));
  }
  CHECK(worst <= std::max(1e-4 * largest, floor));
}

void check_grad(const std::string& what, const Tensor& leaf, const Tensor& expected, double floor = 1e-6) {
  const std::vector<float> zeros(static_cast<size_t>(expected.size()), 0.0F);  // for a tensor that nothing depends on
  check_close(what, leaf.grad().empty() ? std::span<const float>(zeros) : leaf.grad(), expected, floor);
}

/// The graph of a case; `q` names slots, which nodes share by name.
class NetworkCase {
 public:
  explicit NetworkCase(const Case& c) : c_(c) {
    add_input();
    for (const json& j : c.j.at("nodes")) add_node(j);
    graph.output = static_cast<int>(graph.nodes.size()) - 1;
    const std::vector<float> y = c.tensor("y").to_vector();
    batch = {.x = c.tensor("x"), .labels = std::vector<int32_t>(y.begin(), y.end())};
  }

  Graph graph;
  data::Batch batch;
  std::vector<nn::NamedTensor> leaves;

 private:
  static std::array<int64_t, 2> pair(const json& j, const char* key, int64_t otherwise) {
    if (!j.contains(key)) return {otherwise, otherwise};
    if (j.at(key).is_array()) return j.at(key).get<std::array<int64_t, 2>>();
    const auto v = j.at(key).get<int64_t>();
    return {v, v};
  }

  Tensor leaf(const std::string& name) {
    leaves.push_back({name, c_.leaf(name)});
    return leaves.back().tensor;
  }

  std::shared_ptr<ActivationSlot> slot(const std::string& q, bool is_signed) {
    auto& s = slots_[q];
    if (!s) {
      s = std::make_shared<ActivationSlot>();
      s->precisions = c_.j.at("act_bits").get<std::vector<int>>();
      s->alpha = leaf(q + ".alpha_a");
      s->clip = leaf(q + ".clip");
    }
    s->is_signed = s->is_signed || is_signed;
    return s;
  }

  void add_input() {
    const auto shape = c_.j.at("input_shape").get<std::vector<int64_t>>();
    graph.nodes.push_back({.name = "x",
                           .op = op::Input{},
                           .inputs = {},
                           .params = {},
                           .shape = Shape(shape),
                           .weight_slot = nullptr,
                           .output_slot = slot("in", false)});
    index_["x"] = 0;
  }

  static Operator operator_of(const json& j) {
    const std::string op = j.at("op");
    const auto p = pair(j, "padding", 0);
    if (op == "conv2d")
      return op::Conv2d{{.stride = pair(j, "stride", 1),
                         .padding = {p[0], p[1], p[0], p[1]},
                         .dilation = pair(j, "dilation", 1),
                         .groups = j.value("groups", 1)}};
    if (op == "avgpool") return op::AvgPool2d{{.kernel = pair(j, "kernel", 2)}};
    if (op == "maxpool") return op::MaxPool2d{{.kernel = pair(j, "kernel", 2)}};
    if (op == "linear") return op::Linear{};
    if (op == "add") return op::Add{};
    if (op == "flatten") return op::Flatten{};
    FAIL(op << " is not an operator of golden networks");
    return op::Input{};
  }

  void add_node(const json& j) {
    const std::string name = j.at("name");
    Node node{.name = name,
              .op = operator_of(j),
              .inputs = {},
              .params = {},
              .shape = {},
              .activation = j.value("relu", false) ? Activation::relu : Activation::none,
              .weight_slot = nullptr,
              .output_slot = nullptr};
    for (const json& input : j.at("inputs")) node.inputs.push_back(index_.at(input));
    if (node.is_layer()) {
      node.params = {leaf(name + ".weight"), leaf(name + ".bias")};
      auto& s = weight_slots_[c_.j.at("weight_alpha_of").at(name)];
      if (!s) {
        s = std::make_shared<WeightSlot>();
        s->precisions = c_.j.at("weight_bits_of").at(name).get<std::vector<int>>();
        s->alpha = leaf(name + ".alpha_w");
      }
      node.weight_slot = s;
    }
    if (j.contains("q")) node.output_slot = slot(j.at("q"), j.value("signed", false));
    index_[name] = static_cast<int>(graph.nodes.size());
    graph.nodes.push_back(std::move(node));
    graph.nodes.back().shape = shape_of_last();
  }

  /// The shape of a node's output, from running the graph so far in float.
  Shape shape_of_last() const {
    Graph plain = graph;
    for (Node& node : plain.nodes) node.weight_slot = nullptr, node.output_slot = nullptr;
    plain.output = static_cast<int>(plain.nodes.size()) - 1;
    return Shape(plain.forward(c_.tensor("x")).shape().dims().subspan(1));
  }

  const Case& c_;
  std::map<std::string, int> index_;
  std::map<std::string, std::shared_ptr<ActivationSlot>> slots_;
  std::map<std::string, std::shared_ptr<WeightSlot>> weight_slots_;
};

void check_costs(const Case& c, NetworkCase& n, double tau) {
  for (const std::string& name : cost::names()) {
    if (!c.file.contains("cost." + name)) continue;
    const cost::Model model = cost::find(name);
    for (const nn::NamedTensor& leaf : n.leaves) leaf.tensor.zero_grad();
    Tape tape;
    const Tensor value = cost::soft(n.graph, model, n.graph.softmax_thetas(tau));
    const double size = std::abs(static_cast<double>(value.item()));
    const double floor = name == "mpic-energy" ? 0 : std::max(1e-6 * size, 1e-6);
    check_close("cost." + name, value.data(), c.tensor("cost." + name));
    if (value.needs_grad()) tape.backward(value);
    for (const nn::NamedTensor& leaf : n.leaves) {
      const std::string key = "grad_cost." + name + "." + leaf.name;
      if (c.file.contains(key)) check_grad(key, leaf.tensor, c.tensor(key), floor);
    }
    const auto discrete = static_cast<float>(cost::discrete(n.graph, model));
    check_close("cost_discrete." + name, std::array{discrete}, c.tensor("cost_discrete." + name));
  }
}

void check_network(const Case& c, int64_t micro_batch) {
  NetworkCase n(c);
  const double tau = c.j.at("tau"), strength = c.j.at("strength");
  const cost::Model regularizer = cost::find(c.j.at("regularizer"));

  const Tensor logits = n.graph.run(n.graph.bind(n.graph.softmax_thetas(tau)), n.batch.x);
  check_close("logits", logits.data(), c.tensor("logits"));

  const train::StepResult result =
      train::step(n.graph, n.batch,
                  {.sample = [&] { return n.graph.softmax_thetas(tau); },
                   .regularization =
                       [&](const Thetas& thetas) { return scale(cost::soft(n.graph, regularizer, thetas), strength); },
                   .micro_batch = micro_batch});
  check_close("loss", std::array{static_cast<float>(result.task.mean_loss() + result.regularization)},
              c.tensor("loss"));
  for (const nn::NamedTensor& leaf : n.leaves) {
    if (c.file.contains("grad." + leaf.name))
      check_grad("grad." + leaf.name, leaf.tensor, c.tensor("grad." + leaf.name));
  }
  check_costs(c, n, tau);
  check_close("logits_discrete", discretize(n.graph).forward(n.batch.x).data(), c.tensor("logits_discrete"));
}

}  // namespace

TEST_CASE("golden: weight mixtures") {
  for (const Case& c : cases("weight-mix")) {
    CAPTURE(c.name);
    const Tensor w = c.leaf("w"), alpha = c.leaf("alpha");
    Tape tape;
    const Tensor out = weight_mixture(w, softmax(alpha, c.j.at("tau")), c.j.at("bits").get<std::vector<int>>());
    check_close("out", out.data(), c.tensor("out"));
    out.set_grad(c.tensor("grad_out").data());
    tape.backward();
    check_grad("grad_w", w, c.tensor("grad_w"));
    check_grad("grad_alpha", alpha, c.tensor("grad_alpha"));
  }
}

TEST_CASE("golden: weight mixtures with learned steps") {
  for (const Case& c : cases("weight-mix-learned")) {
    CAPTURE(c.name);
    const Tensor w = c.leaf("w"), alpha = c.leaf("alpha"), given = c.tensor("step");
    const std::string grid = c.j.at("grid");
    std::vector<CodeRange> ranges;
    for (const int bits : c.j.at("bits").get<std::vector<int>>()) {
      const CodeRange all = signed_range(bits);
      if (bits == 0) ranges.push_back({0, 0});
      if (bits > 0 && grid == "signed") ranges.push_back(all);
      if (bits > 0 && grid == "symmetric") ranges.push_back({-all.high, all.high});
      if (bits > 0 && grid == "odd") ranges.push_back({2 * all.low + 1, 2 * all.high + 1, 2});
    }
    const int64_t channels = w.dim(0), rows = std::ssize(ranges);
    REQUIRE(rows * channels - given.size() == (ranges[0].high == 0 ? channels : 0));
    Tensor scales = Tensor::full({rows, channels}, 1);
    std::ranges::copy(given.data(), scales.data().end() - given.size());
    scales.requires_grad();
    Tape tape;
    const Tensor out = weight_mixture(w, softmax(alpha, c.j.at("tau")), scales, ranges);
    check_close("out", out.data(), c.tensor("out"));
    out.set_grad(c.tensor("grad_out").data());
    tape.backward();
    check_grad("grad_w", w, c.tensor("grad_w"));
    check_grad("grad_alpha", alpha, c.tensor("grad_alpha"));
    check_close("grad_step", scales.grad().last(given.data().size()), c.tensor("grad_step"));
  }
}

TEST_CASE("golden: activation mixtures") {
  for (const Case& c : cases("act-mix")) {
    CAPTURE(c.name);
    const Tensor x = c.leaf("x"), alpha = c.leaf("alpha"), clip = c.leaf("clip");
    Tape tape;
    const Tensor out = activation_mixture(x, softmax(alpha, c.j.at("tau")), clip,
                                          c.j.at("bits").get<std::vector<int>>(), {.is_signed = c.j.at("signed")});
    check_close("out", out.data(), c.tensor("out"));
    out.set_grad(c.tensor("grad_out").data());
    tape.backward();
    check_grad("grad_x", x, c.tensor("grad_x"));
    check_grad("grad_clip", clip, c.tensor("grad_clip"));
    check_grad("grad_alpha", alpha, c.tensor("grad_alpha"));
  }
}

TEST_CASE("golden: networks") {
  for (const Case& c : cases("network")) {
    CAPTURE(c.name);
    for (const int64_t micro_batch : {1, 2, 64}) check_network(c, micro_batch);
  }
}
