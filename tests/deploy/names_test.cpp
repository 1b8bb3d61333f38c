// SPDX-License-Identifier: Apache-2.0
// Names are data: whatever bytes a layer's name or a title contains, the output stays valid.
#include "../networks.h"
#include "../shell.h"
#include "../skip.h"
#include "forms.h"
#include "src/internal/names.h"

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <algorithm>

using namespace mixgrad;

namespace {

const std::vector<std::string> hostile = {"*/ int x; /*",
                                          "ends in a backslash\\",
                                          "\"; rm -rf /tmp/none; echo \"",
                                          "two\nlines",
                                          "</script><!--",
                                          "\xff\xfe caf\xe9 \xc3\xa9",
                                          "?\?/ *?\?/",
                                          "/*/*/",
                                          "%s {} @DATA@",
                                          "input/value"};

/// A network with every op, whose nodes have these names.
test::FormCase hostile_case() {
  Graph graph = test::every_op(false, 3);
  for (size_t i = 1; i < graph.nodes.size(); ++i)
    graph.nodes[i].name = hostile[(i - 1) % hostile.size()] + (i > hostile.size() ? "2" : "");
  return {hostile[0], std::move(graph), test::random_images(5, {3, 16, 16}, 2)};
}

}  // namespace

TEST_CASE("names: in C comments") {
  CHECK(c_comment("stack1.conv1") == "stack1.conv1");
  CHECK(c_comment("*/ int x; /*") == "* / int x; / *");
  CHECK(c_comment("/*/*/") == "/ * / * /");
  CHECK(c_comment("a\nb\tc") == "a b c");
  CHECK(c_comment("caf\xc3\xa9\xff!") == "caf?!");
  CHECK(c_comment("?\?/") == "?/");
}

TEST_CASE("names: as UTF-8, on one line") {
  CHECK(valid_utf8("caf\xc3\xa9\n") == "caf\xc3\xa9\n");
  CHECK(valid_utf8("caf\xe9!") == "caf\xef\xbf\xbd!");
  CHECK(on_one_line("a\nb\x7f") == "a b ");
}

TEST_CASE("names: a C package compiles and gives the engine's outputs, whatever the names of its layers") {
  if (!test::has("gcc")) return test::skip("no gcc: apt-get install gcc");
  std::vector<test::FormCase> cases(hostile.size(), hostile_case());
  for (size_t i = 0; i < cases.size(); ++i) cases[i].name = hostile[i];
  test::check_c(cases);
}

TEST_CASE("names: clang also finds neither a comment in a comment nor a trigraph") {
  if (!test::has("clang-14")) return test::skip("no clang: apt-get install clang-14");
  const test::FormCase c = hostile_case();
  const CPackage package = c_package(c.network, fmt::format("{}", fmt::join(hostile, "")), c.network.quantize(c.x));
  const test::Folder folder;
  io::write_file(folder.path / "net.h", package.header);
  io::write_file(folder.path / "net.c", package.source);
  io::write_file(folder.path / "net_test.c", package.test);
  folder.run("clang-14 -std=c99 -Wall -Wextra -Wtrigraphs -Wcomment -pedantic -Werror net.c net_test.c -o t && ./t");
}

TEST_CASE("names: a network is saved and loaded with invalid UTF-8 in node names replaced") {
  const test::Folder folder;
  Graph graph = test::every_op(false, 3);
  const auto pool = std::ranges::find(graph.nodes, "max_pool2d", &Node::op_name);
  pool->name = hostile[5];
  save(graph, folder.path / "net.safetensors");
  const Graph loaded = load_graph(folder.path / "net.safetensors");
  CHECK(loaded.nodes[static_cast<size_t>(pool - graph.nodes.begin())].name == valid_utf8(hostile[5]));
}

TEST_CASE("names: Graphviz draws a network, whatever the names of its layers") {
  if (!test::has("dot")) return test::skip("no dot: apt-get install graphviz");
  const test::Folder folder;
  io::write_file(folder.path / "net.dot", inspect::dot(inspect::view(hostile_case().graph)));
  folder.run("dot -Tsvg net.dot -o net.svg");
  CHECK(folder.said() == "");
  CHECK(io::read_file(folder.path / "net.svg").find("*/ int x; /*") != std::string::npos);
}

TEST_CASE("names: tables and reports keep their structure") {
  const inspect::GraphView view = inspect::view(hostile_case().graph);
  const std::string text = inspect::text(view);
  CHECK(static_cast<size_t>(std::ranges::count(text, '\n')) >= view.nodes.size());
  CHECK(text.find("two\nlines") == std::string::npos);
  CHECK(valid_utf8(text) == text);
  const std::string page = report::page(inspect::json(view));
  CHECK(page.find("</script><!--") == std::string::npos);
  CHECK(valid_utf8(page) == page);
}
