// SPDX-License-Identifier: Apache-2.0
// Random networks in simulation, engine and C; forms_onnx_test.cpp covers ONNX.
#include "../random_graph.h"
#include "../shell.h"
#include "../skip.h"
#include "forms.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

using namespace mixgrad;
using test::FormCase;

namespace {

/// Whether the output of node i shares memory with its first input, although the operator is not elementwise.
bool overlaps(const IntegerNetwork& network, const Arena& arena, size_t i) {
  const IntegerNode& n = network.nodes[i];
  const auto from = static_cast<size_t>(n.inputs[0]);
  const int64_t output = arena.offsets[i], input = arena.offsets[from];
  if (n.overlap() != op::Overlap::in_order || output < 0 || input < 0) return false;
  return output < input + network.nodes[from].shape.size() && input < output + n.shape.size();
}

/// The operators whose output does.
std::set<std::string> overlaps(const IntegerNetwork& network) {
  const Arena arena = plan_arena(network);
  std::set<std::string> out;
  for (size_t i = 1; i < network.nodes.size(); ++i) {
    const IntegerNode& n = network.nodes[i];
    const bool depthwise = n.is_layer() && runs_depthwise(*n.layer());
    if (overlaps(network, arena, i))
      out.insert((depthwise ? "depthwise" : std::string(n.op_name())) + " over its input");
  }
  return out;
}

/// Whether a layer of several groups writes over its input: then one group's results may lie where the next one reads.
bool groups_overlap(const IntegerNetwork& network) {
  const Arena arena = plan_arena(network);
  for (size_t i = 1; i < network.nodes.size(); ++i) {
    const IntegerNode& n = network.nodes[i];
    const bool groups = n.is_layer() && n.layer()->size.groups > 1 && !runs_depthwise(*n.layer());
    if (groups && overlaps(network, arena, i)) return true;
  }
  return false;
}

/// The features of a network that its forms could get wrong.
std::set<std::string> contents(const FormCase& c) {
  const Graph& graph = c.graph;
  std::set<std::string> out;
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    const auto* conv = n.as<op::Conv2d>();
    const std::string op(n.op_name());
    out.insert(op);
    if (n.inputs[0] == 0) out.insert(op + " of the input");
    if (n.as<op::Add>() && n.inputs[0] == n.inputs[1]) out.insert("x + x");
    if (n.as<op::Mul>() && n.inputs[0] == n.inputs[1]) out.insert("x · x");
    if (n.as<op::Mul>()) {
      const Node& factor = graph.nodes[static_cast<size_t>(n.inputs[1])];
      if (factor.shape != n.shape) out.insert(factor.shape.rank() == 3 ? "factors as images" : "factors as features");
    }
    if (n.as<op::Function>() || n.as<op::PRelu>()) {
      out.insert(std::string(graph.input_slot(n)->is_signed ? "signed" : "unsigned") + " codes to " +
                 (n.output_slot->is_signed ? "signed" : "unsigned"));
      if (n.inputs[0] == 0) out.insert("function of the input");
      if (static_cast<int>(i) == graph.output) out.insert("result of a function");
      if (graph.input_slot(n) == n.output_slot.get()) out.insert("function within a quantizer");
    }
    if (n.activation == Activation::relu6) out.insert("relu6");
    if (graph.consumers(static_cast<int>(i)).size() > 1) out.insert("read by several");
    if (conv != nullptr && conv->attrs.groups > 1) out.insert(n.weight().dim(1) == 1 ? "depthwise" : "grouped");
    if (conv != nullptr && conv->attrs.dilation != std::array<int64_t, 2>{1, 1}) out.insert("dilated");
    if (n.is_layer() && !n.bias()) out.insert("no bias");
    if (const auto* select = n.as<op::SelectChannels>())
      out.insert(std::ranges::is_sorted(select->attrs.channels) ? "slice" : "shuffle");
    if (n.as<op::Concat>() && n.activation == Activation::none && graph.slot_of(static_cast<int>(i))->is_signed)
      out.insert("signed concat");
    if (n.is_layer()) out.insert(n.weight_slot->quantizer->name);
    if (graph.channels_set_by_bias(n) > 0) out.insert("small weights");
    if (n.weight_scales) out.insert("inputs pruned");
    if (const auto* up = n.as<op::ConvTranspose2d>()) {
      if (up->attrs.groups > 1) out.insert(n.weight().dim(1) == 1 ? op + " depthwise" : op + " grouped");
      if (up->attrs.output_padding != std::array<int64_t, 2>{0, 0}) out.insert("output padding");
    }
    if (n.as<op::Affine>() && n.activation != Activation::none) out.insert("affine with a relu");
    if (const Pool2dAttrs* pool = test::pool_of(n)) {
      if (pool->dilation != std::array<int64_t, 2>{1, 1}) out.insert(op + " dilated");
      if (std::ranges::any_of(pool->padding, [](int64_t p) { return p > 0; })) out.insert(op + " padded");
      if (pool->stride[0] > 0 && pool->stride[0] < pool->kernel[0]) out.insert(op + " overlapping");
    }
    if (op == "relu" && c.network.nodes[0].is_signed()) out.insert("relu in a signed network");
  }
  for (const std::string& what : overlaps(c.network)) out.insert(what);
  for (const IntegerNode& n : c.network.nodes) {
    if (n.as<integer::Flatten>()) out.insert("flattened image that not only linear layers read");
    if (n.raw && n.low == 0) out.insert("relu of a result without quantizer");
  }
  const std::string result(graph.nodes[static_cast<size_t>(graph.outputs()[0].node)].op_name());
  for (const IntegerOutput& o : c.network.outputs) {
    if (c.network.outputs.size() == 1) break;
    out.insert(c.network.node_of(o).raw ? "several outputs, one without quantizer" : "several outputs, one in codes");
    const auto reads = [&](const IntegerNode& n) { return std::ranges::count(n.inputs, o.node) > 0; };
    if (std::ranges::any_of(c.network.nodes, reads)) out.insert("an output that other nodes read");
  }
  out.insert((c.network.result().raw ? "result without quantizer of " : "result in codes of ") + result);
  const std::vector<float> values = graph.forward(c.x).to_vector();
  if (std::set<float>(values.begin(), values.end()).size() > 2) out.insert("result of many values");
  return out;
}

void check_in_c_and_engine(uint64_t count) {
  const bool has_compiler = test::has("gcc");
  test::for_each_batch(count, [&](const std::vector<FormCase>& batch) {
    for (const FormCase& c : batch) check_engine(c);
    if (has_compiler) check_c(batch);
  });
  if (!has_compiler) test::skip("no gcc: apt-get install gcc");
}

}  // namespace

TEST_CASE("forms: random networks cover all features") {
  constexpr uint64_t networks = 500;
  std::map<std::string, uint64_t> counts;
  test::for_each_batch(networks, [&](const std::vector<FormCase>& batch) {
    for (const FormCase& c : batch) {
      for (const std::string& what : contents(c)) ++counts[what];
    }
  });
  for (const std::string op : {"conv2d", "conv_transpose2d", "affine", "linear", "add", "relu", "max_pool2d",
                               "avg_pool2d", "flatten", "concat", "select_channels", "pad2d", "upsample2d"}) {
    CAPTURE(op);
    CHECK(counts[op] > 0);
    CHECK((counts[op + " of the input"] > 0 || op == "linear"));
    CHECK(counts["result in codes of " + op] > 0);
  }
  for (const char* function : function_names) {
    CAPTURE(function);
    CHECK(counts[function] > 0);
  }
  for (const std::string what : {"mul",
                                 "prelu",
                                 "x · x",
                                 "factors as images",
                                 "factors as features",
                                 "function of the input",
                                 "result of a function",
                                 "function within a quantizer",
                                 "signed codes to signed",
                                 "signed codes to unsigned",
                                 "unsigned codes to signed",
                                 "unsigned codes to unsigned",
                                 "max_pool2d dilated",
                                 "conv_transpose2d grouped",
                                 "conv_transpose2d depthwise",
                                 "output padding",
                                 "affine with a relu",
                                 "x + x",
                                 "relu6",
                                 "read by several",
                                 "depthwise",
                                 "grouped",
                                 "dilated",
                                 "no bias",
                                 "inputs pruned",
                                 "small weights",
                                 "relu in a signed network",
                                 "max_pool2d padded",
                                 "avg_pool2d padded",
                                 "max_pool2d overlapping",
                                 "avg_pool2d overlapping",
                                 "flattened image that not only linear layers read",
                                 "relu of a result without quantizer",
                                 "slice",
                                 "shuffle",
                                 "signed concat",
                                 "several outputs, one without quantizer",
                                 "several outputs, one in codes",
                                 "an output that other nodes read",
                                 "conv2d over its input",
                                 "depthwise over its input",
                                 "conv_transpose2d over its input",
                                 "linear over its input",
                                 "max_pool2d over its input",
                                 "avg_pool2d over its input",
                                 "pad2d over its input",
                                 "upsample2d over its input",
                                 "result without quantizer of add",
                                 "result without quantizer of conv2d",
                                 "result without quantizer of linear"}) {
    CAPTURE(what);
    CHECK(counts[what] > 0);
  }
  for (const std::string& quantizer : quant::weight_names()) {
    CAPTURE(quantizer);
    CHECK(counts[quantizer] > 0);
  }
  CHECK(counts["result of many values"] > networks * 3 / 4);
}

TEST_CASE("forms: 30 random networks give the same codes in simulation, engine and C") { check_in_c_and_engine(30); }
TEST_CASE("forms: 500 random networks give the same codes in simulation, engine and C" * doctest::skip()) {
  check_in_c_and_engine(500);
}

namespace {

/// With sanitizers, and with this CPU's vectors or none.
void check_sanitized(const std::vector<FormCase>& cases, bool vectors) {
  check_c(cases,
          std::string(vectors ? "-O1 -march=native" : "-O0") + " -fsanitize=address,undefined -fno-sanitize-recover");
}

}  // namespace

TEST_CASE("forms: 2000 random networks give the engine's codes in C under sanitizers" * doctest::skip()) {
  bool vectors = false;
  test::for_each_batch(2000, [&](const std::vector<FormCase>& batch) {
    vectors = !vectors;
    check_sanitized(batch, vectors);
  });
}

TEST_CASE("forms: the random network of the seed MIXGRAD_SEED gives the engine's codes in C" * doctest::skip()) {
  const char* seed = std::getenv("MIXGRAD_SEED");
  REQUIRE(seed != nullptr);
  const FormCase c = test::random_case(std::strtoull(seed, nullptr, 10));
  test::check_engine(c);
  for (const bool vectors : {false, true}) check_sanitized({c}, vectors);
}

TEST_CASE("forms: random networks in which groups of a layer write over its input give the same codes in C") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  std::vector<FormCase> cases;
  for (uint64_t seed = 700; cases.size() < 20 && seed < 2000; ++seed) {
    FormCase c = test::random_case(seed);
    if (groups_overlap(c.network)) cases.push_back(std::move(c));
  }
  CHECK(cases.size() == 20);
  check_sanitized(cases, true);
}

TEST_CASE("forms: pruned networks of the zoo give the same codes in C") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  check_c(test::zoo_cases());
}
