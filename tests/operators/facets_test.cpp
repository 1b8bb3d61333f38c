// SPDX-License-Identifier: Apache-2.0
// Every operator against what the library asks of one: a new operator needs a row here and a place in test::every_op,
// whose network the tests of every form run.
#include "../networks.h"
#include "../refusal.h"

#include <doctest/doctest.h>
#include <src/internal/lowering.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace mixgrad;

namespace {

struct Row {
  std::string name;
  op::Quantizer quantizer;
  op::Channels channels;  // of the first such node in every_op
  bool is_layer;
  std::string integer;  // name of its integer form; empty: it has none
};

const std::vector<Row>& rows() {
  using op::Channels, op::Quantizer;
  static const std::vector<Row> table = {
      {"input", Quantizer::own, Channels::made, false, "input"},
      {"conv2d", Quantizer::own, Channels::made, true, "conv2d"},
      {"conv_transpose2d", Quantizer::own, Channels::made, true, "conv_transpose2d"},
      {"linear", Quantizer::own, Channels::made, true, "linear"},
      {"add", Quantizer::joint, Channels::tied, false, "add"},
      {"max_pool2d", Quantizer::passed, Channels::passed, false, "max_pool2d"},
      {"avg_pool2d", Quantizer::passed, Channels::passed, false, "avg_pool2d"},
      {"flatten", Quantizer::passed, Channels::moved, false, "flatten"},
      {"concat", Quantizer::passed, Channels::moved, false, "concat"},
      {"select_channels", Quantizer::passed, Channels::moved, false, "select_channels"},
      {"pad2d", Quantizer::passed, Channels::passed, false, "pad2d"},
      {"upsample2d", Quantizer::passed, Channels::passed, false, "upsample2d"},
      {"relu", Quantizer::passed, Channels::passed, false, "relu"},
      {"relu6", Quantizer::passed, Channels::passed, false, "relu"},
      {"mul", Quantizer::own, Channels::tied, false, "mul"},
      {"sigmoid", Quantizer::coded, Channels::passed, false, "table"},
      {"hard_sigmoid", Quantizer::coded, Channels::passed, false, "table"},
      {"hard_swish", Quantizer::coded, Channels::passed, false, "table"},
      {"silu", Quantizer::coded, Channels::passed, false, "table"},
      {"tanh", Quantizer::coded, Channels::passed, false, "table"},
      {"leaky_relu", Quantizer::coded, Channels::passed, false, "table"},
      {"elu", Quantizer::coded, Channels::passed, false, "table"},
      {"clip", Quantizer::coded, Channels::passed, false, "table"},
      {"gelu", Quantizer::coded, Channels::passed, false, "table"},
      {"gelu_tanh", Quantizer::coded, Channels::passed, false, "table"},
      {"softplus", Quantizer::coded, Channels::passed, false, "table"},
      {"mish", Quantizer::coded, Channels::passed, false, "table"},
      {"prelu", Quantizer::coded, Channels::passed, false, "prelu"},
      {"affine", Quantizer::own, Channels::passed, true, "affine"},
      {"batch_norm", Quantizer::own, Channels::passed, false, ""},
      {"outputs", Quantizer::none, Channels::made, false, ""},  // IntegerNetwork::outputs
  };
  return table;
}

std::set<std::string> names_in(const Graph& graph) {
  std::set<std::string> out;
  for (const Node& node : graph.nodes) out.emplace(node.op_name());
  return out;
}

}  // namespace

TEST_CASE("operators: each has one row, and every one with an integer form is in the network that all forms run") {
  std::set<std::string> names, with_integer_form;
  for (const Row& row : rows()) {
    CHECK(names.insert(row.name).second);
    if (!row.integer.empty()) with_integer_form.insert(row.name);
  }
  std::set<std::string> all;
  for (const Operator& op : op::all()) all.emplace(name_of(op));
  CHECK(all == names);
  CHECK(names_in(test::every_op(true, 1)) == with_integer_form);
}

TEST_CASE("operators: their answers are those of the table, before and behind a file") {
  const Graph graph = test::every_op(true, 1);
  const Graph loaded = graph_from(to_safetensors(graph));
  for (const Row& row : rows()) {
    if (row.integer.empty()) continue;
    CAPTURE(row.name);
    const auto node = std::ranges::find(graph.nodes, row.name, &Node::op_name);
    REQUIRE(node != graph.nodes.end());
    CHECK(node->quantizer() == row.quantizer);
    CHECK(node->channels() == row.channels);
    CHECK(node->is_layer() == row.is_layer);
    CHECK((node->macs() > 0) == row.is_layer);
    CHECK(loaded.nodes[static_cast<size_t>(node - graph.nodes.begin())].op_name() == row.name);
  }
  const Tensor x = test::random_batch(2, graph.input_shape(), 2, 3).x;
  CHECK(test::same_bytes(loaded.forward(x).data(), graph.forward(x).data()));
}

TEST_CASE("operators: each becomes the integer operator of its row, or is refused by its node's name") {
  const Graph graph = test::every_op(true, 1);
  std::map<std::string, std::string> integer;  // by the graph's node
  for (const IntegerNode& node : to_integer(graph).nodes) integer[node.name] = node.op_name();
  for (const Node& node : graph.nodes) {
    CAPTURE(node.name);
    const auto row = std::ranges::find(rows(), std::string(node.op_name()), &Row::name);
    const bool vanished = node.as<op::Flatten>() != nullptr && !integer.contains(node.name);  // it moves no byte
    CHECK((vanished || integer[node.name] == row->integer));
  }

  Graph norm;
  norm.nodes.emplace_back();
  norm.nodes[0].name = "stem.norm";
  const Binding::NodeBinding binding;
  const IntegerNetwork lowered;
  IntegerNode out;
  LoweringContext context{
      .graph = norm, .index = 0, .binding = binding, .lowered = lowered, .flattened_channels = 0, .out = out};
  const std::string said = test::refusal([&] { op::BatchNorm().lower(context); });
  CHECK(said.find("'stem.norm'") != std::string::npos);
}
