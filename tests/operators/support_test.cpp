// SPDX-License-Identifier: Apache-2.0
// docs/operators.md: what can be done with each operator, found by trying.
#include "../networks.h"
#include "../shell.h"
#include "support.h"

#include <mixgrad/mixgrad.h>
#include <mixgrad/tape.h>

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

using namespace mixgrad;
using namespace mixgrad::test;
using namespace mixgrad::test::support;

namespace {

bool holds(const Graph& graph, const std::string& name) {
  return std::ranges::any_of(graph.nodes, [&](const Node& node) { return node.op_name() == name; });
}

Graph searched(const Row& row, bool prunes) {
  Tried net(row);
  net.eval();
  MixPrec search(net, {.input_shape = image,
                       .activation_precisions = {4, 8},
                       .weight_precisions = prunes ? std::vector{0, 4, 8} : std::vector{2, 4, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL,
                       .calibration = {random_batch(4, image, 3, 5).x}});
  randomize_architecture(search, 7);
  return search.arch_export();
}

bool learns(const Tensor& weight) {
  return weight.has_grad() && std::ranges::any_of(weight.grad(), [](float g) { return g != 0; });
}

/// Runs forward and backward with a sum of squares as the loss.
void run_step(const std::function<Tensor(const Tensor&)>& net) {
  Tape tape;
  const Tensor y = net(random_batch(4, image, 3, 5).x);
  tape.backward(mse(y, Tensor::zeros(y.shape())));
}

bool trains(const Row& row) {
  Tried net(row);
  for (Tensor& p : net.parameters()) p.requires_grad();
  run_step([&](const Tensor& x) { return net(x); });
  return learns(net.stem.weight);
}

bool searches(const Row& row) {
  Tried net(row);
  net.eval();
  MixPrec search(
      net, {.input_shape = image, .activation_precisions = {4, 8}, .calibration = {random_batch(4, image, 3, 5).x}});
  run_step([&](const Tensor& x) { return search.forward(x); });
  return std::ranges::all_of(search.nas_parameters(),
                             [](const Tensor& alpha) { return alpha.dim(0) == 1 || learns(alpha); });
}

bool prunes(const Row& row) {
  const Graph graph = searched(row, true);
  const auto stem = std::ranges::find(graph.nodes, "stem", &Node::name);
  return stem != graph.nodes.end() && stem->weight().dim(0) < channels;
}

IntegerNetwork integer_of(const Row& row) { return to_integer(searched(row, false)); }

std::vector<uint8_t> codes_for(const IntegerNetwork& network) {
  return first_codes(network, random_images(2, image, 3), 2);
}

bool is_integer(const Row& row) {
  const Graph graph = searched(row, false);
  const Agreement agreement = compare(graph, to_integer(graph), random_images(8, image, 3));
  return std::ranges::all_of(agreement.tensors, [](const TensorAgreement& t) { return t.equal == t.codes; });
}

bool runs_as_c(const Row& row) {
  const IntegerNetwork network = integer_of(row);
  const auto run = run_c_package(c_package(network, row.name, codes_for(network)));
  return !run || run->equal == run->images;
}

bool reads(const Row& row, const std::string& bytes, const char* file) {
  const Folder folder;
  io::write_file(folder.path / file, bytes);
  models::Model model = models::make(folder.path / file, 1);
  return row.name == "batch_norm" || holds(simplified(*model.net, model.input_shape), row.name);
}

bool reads_onnx(const Row& row) {
  OnnxNet n({3, size, size}, row.opset);
  const std::string stem = onnx_conv(n, "stem"), y = row.onnx(n, stem);
  return reads(row, row.name == "outputs" ? n.bytes({stem, onnx_conv(n, "other")}) : n.bytes(y), "net.onnx");
}

bool reads_tflite(const Row& row) {
  if (!row.tflite) return false;
  TfliteNet n({1, size, size, 3});
  const int stem = tflite_conv(n, "stem", n.input()), y = row.tflite(n, stem);
  return reads(row,
               n.bytes(row.name == "outputs" ? std::vector{stem, tflite_conv(n, "other", n.input())} : std::vector{y}),
               "net.tflite");
}

bool writes_onnx(const Row& row) { return !to_onnx(integer_of(row)).empty(); }

bool writes_tflite(const Row& row) {
  const IntegerNetwork network = integer_of(row);
  return !to_tflite(network, codes_for(network)).empty();
}

struct Column {
  const char* name;
  bool (*tried)(const Row&);
};
constexpr Column columns[] = {{"train", trains},
                              {"search", searches},
                              {"prune", prunes},
                              {"integer", is_integer},
                              {"C", runs_as_c},
                              {"ONNX in", reads_onnx},
                              {"ONNX out", writes_onnx},
                              {"TFLite in", reads_tflite},
                              {"TFLite out", writes_tflite}};

/// A row of the page; reasons for refusals are added to `refused`.
std::string line(const Row& row, std::vector<std::string>& refused) {
  std::string out = fmt::format("| `{}` |", row.name);
  for (const Column& column : columns) {
    bool works = false;
    try {
      works = column.tried(row);
    } catch (const Error& e) {
      refused.push_back(fmt::format("- `{}`, {}: {}", row.name, column.name, e.what()));
    }
    out += works ? " yes |" : " no |";
  }
  return out + '\n';
}

/// The table, and below it why operators are refused.
std::string found_by_trying() {
  std::string head = "| operator |", rule = "|---|", table;
  for (const Column& column : columns) {
    head += fmt::format(" {} |", column.name);
    rule += "---|";
  }
  const std::vector<Row> all = rows();
  std::vector<std::string> refused;
  for (const Operator& op : op::all()) {
    const std::string name(name_of(op));
    CAPTURE(name);
    const auto row = std::ranges::find(all, name, &Row::name);
    REQUIRE(row != all.end());
    CHECK((name == "batch_norm" || name == "outputs" || holds(searched(*row, false), name)));
    table += line(*row, refused);
  }
  const std::string reasons = refused.empty() ? "" : fmt::format("\n{}\n", fmt::join(refused, "\n"));
  return head + '\n' + rule + '\n' + table + reasons;
}

}  // namespace

// MIXGRAD_WRITE_DOCS=1 rewrites the page.
TEST_CASE("operators: docs/operators.md says what can be done with each") {
  const std::string path = std::string(MIXGRAD_SOURCE_DIR) + "/docs/operators.md", found = found_by_trying();
  const std::string page = io::read_file(path), begin = "<!-- tried -->\n", end = "<!-- /tried -->\n";
  const size_t from = page.find(begin) + begin.size(), to = page.find(end);
  REQUIRE((from <= to && to < page.size()));
  CHECK(page.substr(from, to - from) == found);
  if (std::getenv("MIXGRAD_WRITE_DOCS")) io::write_file(path, page.substr(0, from) + found + page.substr(to));
}
